/** From what a sum came to, to the server's next state: the strategy's scaling, then its server step. */
import type { Strategy } from "../../shared/config/strategy.ts";
import { CodedError } from "../../shared/errors.ts";
import { scales, serverGain, SHARE } from "../../shared/strategies/scaling.ts";
import type { Aggregate } from "../aggregate/decode.ts";
import { serverStep } from "./server-optimizer.ts";
import type { ServerState } from "./server-state-codec.ts";

/** AGGREGATE_RANGE where the clients' shares of a strategy that scales updates cannot be right. */
export function takeStep(
  strategy: Strategy,
  before: ServerState,
  aggregate: Aggregate,
  survivors: number,
): ServerState {
  return serverStep(strategy)(before, scaledMean(strategy, aggregate), survivors);
}

function scaledMean(strategy: Strategy, { meanDelta, totalShare, totalWeight }: Aggregate): Float32Array {
  if (!scales(strategy)) return meanDelta;
  const gain = serverGain(strategy, totalShare, totalWeight);
  if (!(gain > 0) || !Number.isFinite(gain)) {
    throw new CodedError("AGGREGATE_RANGE", `updates are scaled by ${gain} in all`, { field: SHARE, got: gain });
  }
  return meanDelta.map((value) => gain * value);
}
