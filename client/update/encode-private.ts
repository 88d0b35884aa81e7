/**
 * The client half of client-level privacy: clip, round, make sure of the norm of the integers, add discrete Gaussian noise
 * (Kairouz, Liu, Steinke 2021). Every client weighs the same; counts and losses, which have no noise, stay here. Where the
 * clipping norm adapts, one coordinate more says whether the update was within it.
 */
import { CodedError } from "../../shared/errors.ts";
import type { ParamLayout } from "../../shared/params/layout.ts";
import { clipFactor } from "../../shared/privacy/clip.ts";
import { discreteGaussian } from "../../shared/privacy/discrete-gaussian.ts";
import type { PrivateGrid } from "../../shared/privacy/plan.ts";
import { SecureNumbers } from "../../shared/privacy/secure-numbers.ts";
import { encodeCoordinates, signedView } from "../../shared/quantize/fixed-point.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import { newWords, type Words } from "../../shared/secagg/mask.ts";
import { writeStatistics } from "../../shared/secagg/vector-layout.ts";
import { checkUpdate, type EncodedUpdate, type LocalUpdate, type UpdateRules } from "./encode.ts";

/** `random`: null where a trusted coordinator adds the noise. Errors of {@link checkUpdate}. */
export function encodePrivately(
  rules: UpdateRules,
  params: ParamLayout,
  update: Pick<LocalUpdate, "delta">,
  { grid, random }: { readonly grid: PrivateGrid; readonly random: SecureRng | null },
  words: Words = newWords(rules.layout.wordBits, rules.layout.words),
): EncodedUpdate {
  const { layout, fixed, clipNorm } = rules;
  const norm = checkUpdate(update.delta, params);
  const { weightAt, clipBitAt } = layout;
  if (weightAt === null) throw new Error("an update has a weight");
  let factor = clipFactor(norm, clipNorm);
  let clipped = encodeCoordinates(fixed, update.delta, 1, factor, words);
  const values = signedView(words.subarray(0, layout.coordinates));
  // Rounding may have made it longer than what the noise is for.
  for (let length = normOf(values); length > grid.update; length = normOf(values)) {
    factor *= (grid.update / length) * (1 - 2 ** -20);
    if (factor === 0) throw new CodedError("UPDATE_NOT_FINITE", "the update cannot be clipped", { norm });
    clipped = encodeCoordinates(fixed, update.delta, 1, factor, words);
  }
  if (clipBitAt !== null) words[clipBitAt] = clipNorm === null || norm <= clipNorm ? grid.bit : -grid.bit;
  if (random !== null) {
    const sample = discreteGaussian(new SecureNumbers(random), grid.stddev);
    for (let i = 0; i < values.length; i++) words[i] = (values[i] as number) + sample();
    if (clipBitAt !== null) words[clipBitAt] = (words[clipBitAt] as number) + sample();
  }
  words[weightAt] = 1;
  writeStatistics(layout, Object.fromEntries(layout.statistics.map((name) => [name, 0])), words);
  return { words, weight: 1, norm, clipped };
}

/** The L2 norm, or a little more: by what the sum may have lost in rounding. */
function normOf(values: Int32Array | Int16Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) ** 2;
  return Math.sqrt(sum) * (1 + values.length * 2 ** -52);
}
