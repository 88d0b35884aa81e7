/** How well the params that a round begins with do on the site's own training samples: what q-FedAvg weighs sites by. */
import { setImmediate } from "node:timers/promises";
import { lossOn, type LossPlace } from "./curriculum.ts";
import type { SampleCache } from "./sample-cache.ts";

/** Mean over the samples with labels of the heads' summed losses, as they are, without augmentation; 0 where none has any. */
export async function startLoss(
  indices: readonly number[],
  cache: SampleCache,
  place: LossPlace,
  signal: AbortSignal,
): Promise<number> {
  let sum = 0;
  let count = 0;
  for (const index of indices) {
    signal.throwIfAborted();
    const loss = lossOn(await cache.get(index), place);
    await setImmediate();
    if (loss === null) continue;
    sum += loss;
    count++;
  }
  return sum / Math.max(1, count);
}
