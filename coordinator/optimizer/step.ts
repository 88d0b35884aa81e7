/**
 * From what a sum came to, to the server's next state: the strategy's scaling, then its server step; and the next round's
 * clipping norm where it adapts.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { Strategy } from "../../shared/config/strategy.ts";
import { CodedError } from "../../shared/errors.ts";
import { adaptiveClip, nextClip } from "../../shared/privacy/adaptive-clip.ts";
import { scales, serverGain, SHARE } from "../../shared/strategies/scaling.ts";
import type { Aggregate } from "../aggregate/decode.ts";
import { serverStep } from "./server-optimizer.ts";
import type { ServerState } from "./server-state-codec.ts";

/** A round's clients in the mean, and the norm that they clipped to where it adapts. */
export interface Stepped {
  readonly survivors: number;
  /** All that were asked; as many as `survivors` unless given. */
  readonly invited?: number;
  readonly clipNorm?: number | undefined;
}

/** AGGREGATE_RANGE where the clients' shares of a strategy that scales updates cannot be right. */
export function takeStep(
  { strategy, privacy }: Pick<FederationConfig, "strategy" | "privacy">,
  before: ServerState,
  aggregate: Aggregate,
  { survivors, invited = survivors, clipNorm }: Stepped,
): ServerState {
  const after = serverStep(strategy)(before, scaledMean(strategy, aggregate), survivors, invited);
  const adaptive = adaptiveClip(privacy);
  const { shareWithinClip } = aggregate;
  if (adaptive === null || clipNorm === undefined || shareWithinClip === null) return after;
  return { ...after, clipNorm: nextClip(adaptive, clipNorm, shareWithinClip) };
}

function scaledMean(strategy: Strategy, { meanDelta, totalShare, totalWeight }: Aggregate): Float32Array {
  if (!scales(strategy)) return meanDelta;
  const gain = serverGain(strategy, totalShare, totalWeight);
  if (!(gain > 0) || !Number.isFinite(gain)) {
    throw new CodedError("AGGREGATE_RANGE", `updates are scaled by ${gain} in all`, { field: SHARE, got: gain });
  }
  return meanDelta.map((value) => gain * value);
}
