/**
 * Every way in which clients can vanish, up to permutation, for cohorts up to 6, and random ones for larger cohorts: the
 * sum is exact, or the attempt fails; and the shares revealed never open any other sum than the one promised.
 */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { newWords, type Words } from "../../shared/secagg/mask.ts";
import { thresholds, toleratedDropouts, type SecureMode } from "../../shared/secagg/thresholds.ts";
import { withVerificationCache } from "../../shared/secagg/verification-cache.ts";
import { fakeFederation, fakeSession, runAttempt, SETTINGS, type AttemptResult, type LostAt } from "../fakes/secagg.ts";

const STEPS: readonly LostAt[] = [null, "share-keys", "masked-input", "consistency", "unmask"];

/** All multisets of `size` fates. */
function fates(size: number, from = 0): LostAt[][] {
  if (size === 0) return [[]];
  return STEPS.slice(from).flatMap((fate, i) => fates(size - 1, from + i).map((rest) => [fate, ...rest]));
}

function inputs(size: number, words: number): Words[] {
  return Array.from({ length: size }, (_, c) => newWords(32, words).map((_w, i) => (c + 1) * 2_654_435_761 + i * 97));
}

function plainSum(vectors: readonly Words[], words: number): Words {
  const sum = newWords(32, words);
  for (const vector of vectors) for (const [i, word] of vector.entries()) sum[i] = (sum[i] ?? 0) + word;
  return sum;
}

/** Each set of clients whose sum the coordinator could open with what was revealed to it. */
function openable(
  names: readonly string[],
  sharers: readonly string[],
  result: AttemptResult,
  mode: SecureMode,
): string[][] {
  const limits = thresholds(names.length, mode);
  const count = (kind: "selfMask" | "maskKey", owner: string) =>
    result.revealed.flatMap((r) => r[kind]).filter((share) => share.owner === owner).length;
  const seedKnown = new Set(names.filter((name) => count("selfMask", name) >= limits.selfMask));
  const keyKnown = new Set(names.filter((name) => count("maskKey", name) >= limits.maskKey));
  const masked = [...result.masked.keys()];
  const out: string[][] = [];
  for (let set = 1; set < 2 ** masked.length; set++) {
    const group = masked.filter((_, i) => set & (1 << i));
    const rest = sharers.filter((name) => !group.includes(name as never));
    if (group.every((name) => seedKnown.has(name)) && rest.every((name) => keyKnown.has(name))) out.push(group);
  }
  return out;
}

const crypto = withVerificationCache(new NodeCrypto());
const settings = { ...SETTINGS, words: 3 };

async function check(mode: SecureMode, lost: readonly LostAt[]): Promise<AttemptResult> {
  const fed = fakeFederation(lost.length, crypto);
  const vectors = inputs(lost.length, settings.words);
  const result = await runAttempt(fed, fakeSession(fed), vectors, { ...settings, mode }, lost);
  const names = fed.clients.map(({ name }) => name);
  const sharers = names.filter((_, i) => lost[i] !== "share-keys");
  const opened = openable(names, sharers, result, mode);
  const gone = lost.filter((fate) => fate !== null).length;
  if (result.sum) {
    const summed = vectors.filter((_, i) => lost[i] !== "share-keys" && lost[i] !== "masked-input");
    expect(result.sum).toEqual(plainSum(summed, settings.words));
    expect(opened).toEqual([result.survivors.toSorted()]);
  } else {
    expect(gone).toBeGreaterThan(toleratedDropouts(lost.length, mode, settings.minSurvivors));
    expect(opened).toEqual([]);
  }
  return result;
}

describe.each<SecureMode>(["malicious", "semi-honest"])("%s", (mode) => {
  test.each(mode === "malicious" ? [3, 4, 5, 6] : [3, 4, 5])(
    "every way in which %i clients can vanish",
    async (size) => {
      const all = fates(size);
      let completed = 0;
      for (const [i, fate] of all.entries()) {
        // Turned round, so that it is not always the same names that vanish.
        const lost = fate.map((_, at) => fate[(at + i) % size] as LostAt);
        if ((await check(mode, lost)).sum) completed++;
      }
      expect(completed).toBeGreaterThan(0);
      expect(completed).toBeLessThan(all.length);
    },
  );

  test("larger cohorts, at random", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 7, max: 12 }).chain((n) =>
          fc.array(
            fc.oneof({ weight: 5, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.constantFrom(...STEPS) }),
            {
              minLength: n,
              maxLength: n,
            },
          ),
        ),
        async (lost) => void (await check(mode, lost)),
      ),
      { numRuns: 8 },
    );
  });
});
