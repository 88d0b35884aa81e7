/** What the models of the zoo share: the name of their one output, and their sizes. */
import type { FederationConfig } from "../../shared/config/federation.ts";
import { OUTPUTS } from "../allulook4/build.ts";

export type ZooConfig = Pick<FederationConfig, "model" | "input">;
type PresetName = FederationConfig["model"]["preset"];

export const DEPTH_OUTPUT = OUTPUTS.depth;

/** `base` is a model as it is described; the others are as deep, and narrower. */
const WIDTH: Readonly<Record<PresetName, number>> = { nano: 0.25, tiny: 0.5, small: 0.75, base: 1 };

/** Channels of a layer that has `filters` in `base`: a multiple of four, for the sake of groups and heads. */
export function scaledTo(preset: PresetName, filters: number): number {
  return Math.max(4, Math.round((filters * WIDTH[preset]) / 4) * 4);
}
