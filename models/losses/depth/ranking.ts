/**
 * Ordinal ranking (Chen et al. 2016; Xian et al. 2018, 2020): of sampled pairs of cells, ordered ones pay
 * ln(1 + exp(-order * difference)), equally deep ones the squared difference.
 */
import { add, type DepthLoss, type DepthMaps, type DepthTerm } from "./map.ts";
import { type DepthPair, samplePairs } from "./pairs.ts";

export const ranking: DepthLoss = (maps) => rankPairs(maps, samplePairs(maps));

/** The mean over these pairs; null when there are none. */
export function rankPairs({ prediction }: DepthMaps, pairs: readonly DepthPair[]): DepthTerm | null {
  if (pairs.length === 0) return null;
  const gradient = new Float64Array(prediction.length);
  let value = 0;
  for (const { first, second, order } of pairs) {
    const difference = (prediction[first] as number) - (prediction[second] as number);
    let by: number;
    if (order === 0) {
      value += difference ** 2;
      by = 2 * difference;
    } else {
      const against = -order * difference;
      // ln(1 + e^x) without overflow.
      value += Math.max(against, 0) + Math.log1p(Math.exp(-Math.abs(against)));
      by = -order / (1 + Math.exp(-against));
    }
    add(gradient, first, by / pairs.length);
    add(gradient, second, -by / pairs.length);
  }
  return { value: value / pairs.length, gradient };
}
