/** What gradient inversion attacks: a network, one step of training on one picture, and the way back. */
import type { ParamLayout } from "../../shared/params/layout.ts";

export const CLASSES = 10;
/** Learning rate of the step; attackers know it, as they know the plan. */
export const RATE = 0.5;

export interface AttackedNetwork {
  /** Of the params that are trained. */
  readonly params: ParamLayout;
  /** What one step of SGD on one picture (values in [0, 1]) changes. */
  step(picture: Float32Array, label: number): Float32Array;
  /** The attack: the picture, with values in [0, 1], that such a change tells of. */
  invert(delta: Float32Array, signal: AbortSignal): Promise<Float32Array>;
}
