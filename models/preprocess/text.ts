/**
 * Text without a vocabulary that could leak: each lower-cased word is a token, a bag of the word itself and its
 * character 3- to 5-grams (Bojanowski et al. 2017), every feature hashed into 8192 buckets (FNV-1a, 32 bit).
 */

/** Bucket 0 means "nothing"; features fall into the other 8191. */
export const TEXT_BUCKETS = 8192;
/** Tokens of one picture; further words are dropped. */
export const TEXT_WORDS = 32;
/** Features of one word; longer words keep the word, then 3-, 4- and 5-grams in this order. */
export const TEXT_FEATURES = 16;

/** Bucket of one feature, 1 to 8191. */
export function bucketOf(feature: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(feature)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return 1 + ((hash >>> 0) % (TEXT_BUCKETS - 1));
}

/** The features of one lower-cased word: `<word>` with marks at both ends, then its n-grams. */
export function wordFeatures(word: string): string[] {
  const marked = [..."<", ...word, ..."<"];
  marked[marked.length - 1] = ">";
  const features = [marked.join("")];
  for (let n = 3; n <= 5; n++) {
    for (let start = 0; start + n <= marked.length && features.length < TEXT_FEATURES; start++) {
      if (n < marked.length) features.push(marked.slice(start, start + n).join(""));
    }
  }
  return features;
}

/** The words of a text that a model sees, lower-cased. */
export function wordsOf(text: string): string[] {
  const words =
    text
      .normalize("NFKC")
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.slice(0, TEXT_WORDS);
}

/**
 * The bucket ids of a text.
 *
 * @param swapped pairs of words of which each is read as the other
 * @returns [TEXT_WORDS * TEXT_FEATURES], 0 where there is no word or feature
 */
export function tokenise(text: string, swapped: readonly (readonly [string, string])[] = []): Int32Array {
  const other = new Map(swapped.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]));
  const ids = new Int32Array(TEXT_WORDS * TEXT_FEATURES);
  for (const [w, word] of wordsOf(text).entries()) {
    for (const [f, feature] of wordFeatures(other.get(word) ?? word).entries())
      ids[w * TEXT_FEATURES + f] = bucketOf(feature);
  }
  return ids;
}
