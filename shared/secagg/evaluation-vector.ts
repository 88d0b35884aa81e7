/**
 * What stands where in the vector that an evaluation sums: every counter of the statistics of R, then every counter
 * of the quantized `model/`, in limbs; both sides derive it from the plan and the number of counters.
 */
import { limbsFor, readLimbs, writeLimbs, type Limbs } from "../quantize/limbs.ts";
import { newWords, type WordBits, type Words } from "./mask.ts";

export interface EvaluationLayout {
  readonly wordBits: WordBits;
  /** Counters of one model's statistics. */
  readonly counters: number;
  readonly limbs: Limbs;
  /** Length of the vector. */
  readonly words: number;
}

/** Counters of one client, or their sums: non-negative integers below 2^53. */
export interface EvaluationCounts {
  /** Of the version R itself. */
  readonly reference: Float64Array;
  /** Of the quantized model made from R. */
  readonly quantized: Float64Array;
}

/** Layout of the counters of two models, R and `model/`; throws CONFIG_HEADROOM. */
export function evaluationLayout(config: {
  wordBits: WordBits;
  cohortMax: number;
  counters: number;
}): EvaluationLayout {
  const limbs = limbsFor(config.wordBits, config.cohortMax);
  return { wordBits: config.wordBits, counters: config.counters, limbs, words: 2 * config.counters * limbs.count };
}

/** STATISTIC_INVALID names the counter that is no such integer, or how many there should be. */
export function encodeEvaluation(layout: EvaluationLayout, counts: EvaluationCounts): Words {
  const words = newWords(layout.wordBits, layout.words);
  for (const [block, name] of BLOCKS.entries()) {
    for (let i = 0; i < layout.counters; i++) {
      const at = (block * layout.counters + i) * layout.limbs.count;
      // A vector that is too short gives NaN here, which is refused.
      writeLimbs(layout.limbs, `${name}[${i}]`, counts[name][i] ?? Number.NaN, words, at);
    }
  }
  return words;
}

/** The sums over the clients; STATISTIC_INVALID when one does not fit a number exactly. */
export function decodeEvaluation(layout: EvaluationLayout, sum: Words): EvaluationCounts {
  if (sum.length !== layout.words) throw new Error("the sum does not have this layout");
  const [reference, quantized] = BLOCKS.map((name, block) => {
    const values = new Float64Array(layout.counters);
    for (let i = 0; i < layout.counters; i++) {
      values[i] = readLimbs(layout.limbs, `${name}[${i}]`, sum, (block * layout.counters + i) * layout.limbs.count);
    }
    return values;
  });
  return { reference: reference as Float64Array, quantized: quantized as Float64Array };
}

const BLOCKS = ["reference", "quantized"] as const;
