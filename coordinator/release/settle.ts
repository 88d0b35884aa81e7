/** Decides with which fallbacks `model/` is released, and says honestly whether its drop was measured. */
import type { ParamLayout } from "../../shared/params/layout.ts";
import type { Dtype, Fallback } from "../../shared/quantize/dtype.ts";
import { chooseFallbacks } from "../../shared/quantize/fallback.ts";
import { deriveModel } from "../../shared/quantize/model.ts";
import { dropsBetween, mapHeads, NO_DROPS, worstDrop, type Drops, type Metrics } from "../../shared/release/scores.ts";

export interface Scored {
  readonly layout: ParamLayout;
  /** R. */
  readonly params: Float32Array;
  readonly dtype: Dtype;
  /** Those that `evaluation.quantized` was scored with. */
  readonly fallbacks: readonly Fallback[];
  readonly maxDrop: number;
  readonly evaluation: { readonly reference: Metrics; readonly quantized: Metrics } | null;
}

export interface Settled {
  readonly fallbacks: Fallback[];
  readonly drops: Drops;
  readonly evaluation: "measured" | "predicted" | "unevaluated";
}

/** Measured again at most this often. */
const MOST_MEASUREMENTS = 5;
/** The share of `maxDrop` that is aimed at. */
const MARGIN = 0.8;

/**
 * Keeps the fallbacks while every head's drop is within `maxDrop`; otherwise adds some until the drop, in proportion
 * to the noise, should be well within `maxDrop`. With `measure` the result is scored and the step repeated if need be;
 * without it the drop is a prediction, and the next version's evaluation measures it.
 */
export async function settleFallbacks(
  scored: Scored,
  measure?: (params: Float32Array) => Promise<Metrics>,
): Promise<Settled> {
  const { layout, params, dtype, maxDrop, evaluation } = scored;
  let fallbacks = scored.fallbacks.map(({ tensor, dtype: stored }) => ({ tensor, dtype: stored }));
  if (evaluation === null) return { fallbacks, drops: NO_DROPS, evaluation: "unevaluated" };
  let reference = evaluation.reference;
  let drops = dropsBetween(reference, evaluation.quantized);
  for (let round = 0; ; round++) {
    const worst = worstDrop(drops);
    if (worst === null) return { fallbacks, drops, evaluation: "unevaluated" };
    if (worst <= maxDrop) return { fallbacks, drops, evaluation: "measured" };
    const last = round === MOST_MEASUREMENTS - 1;
    // The last attempt takes no chances: everything is stored whole, and nothing is lost.
    const share = last ? 0 : Math.min(0.75, (MARGIN * maxDrop) / worst);
    const choice = chooseFallbacks(layout, params, dtype, fallbacks, share);
    fallbacks = choice.fallbacks;
    if (measure === undefined) {
      const predicted = mapHeads((head) => {
        const drop = drops[head];
        return drop === null || drop <= 0 ? drop : drop * choice.remaining;
      });
      return { fallbacks, drops: predicted, evaluation: "predicted" };
    }
    // Whoever measures here may hold other samples than those that were scored before.
    if (round === 0) reference = await measure(params);
    drops = dropsBetween(reference, await measure(deriveModel(params, layout, dtype, fallbacks)));
    if (last) return { fallbacks, drops, evaluation: "measured" };
  }
}
