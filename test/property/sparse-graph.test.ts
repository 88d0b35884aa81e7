/**
 * Small rosters on a sparse graph, at random: whoever vanishes when, the sum is exact or the attempt fails, and the shares
 * revealed open no other sum than the one promised.
 */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { ClientName } from "../../shared/ids.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { newWords, type Words } from "../../shared/secagg/mask.ts";
import { sharingGraph } from "../../shared/secagg/sharing-graph.ts";
import type { SecureMode } from "../../shared/secagg/thresholds.ts";
import { withVerificationCache } from "../../shared/secagg/verification-cache.ts";
import {
  fakeFederation,
  fakeSession,
  SPARSE_GRAPH,
  runAttempt,
  SETTINGS,
  type AttemptResult,
  type LostAt,
} from "../fakes/secagg.ts";

const FATES: readonly LostAt[] = [null, "share-keys", "masked-input", "consistency", "unmask"];
const SMALL = SPARSE_GRAPH;
const crypto = withVerificationCache(new NodeCrypto());
const WORDS = 3;

function inputs(size: number): Words[] {
  return Array.from({ length: size }, (_, c) => newWords(32, WORDS).map((_w, i) => (c + 1) * 2_654_435_761 + i * 97));
}

function plainSum(vectors: readonly Words[]): Words {
  const sum = newWords(32, WORDS);
  for (const vector of vectors) for (const [i, word] of vector.entries()) sum[i] = (sum[i] ?? 0) + word;
  return sum;
}

/** Each set of clients whose sum the coordinator could open with what was revealed to it. */
function openable(result: AttemptResult, mode: SecureMode, size: number): ClientName[][] {
  const { limits } = sharingGraph(size, mode, SMALL);
  const count = (kind: "selfMask" | "maskKey", owner: ClientName) =>
    result.revealed.flatMap((r) => r[kind]).filter((share) => share.owner === owner).length;
  const sharers = [...result.shared.keys()];
  const seedKnown = new Set(sharers.filter((name) => count("selfMask", name) >= limits.selfMask));
  const keyKnown = new Set(sharers.filter((name) => count("maskKey", name) >= limits.maskKey));
  expect([...seedKnown].filter((name) => keyKnown.has(name))).toEqual([]);
  const picked = (a: ClientName, b: ClientName) => result.shared.get(a)?.isHeldBy(b) === true;
  const linked = (a: ClientName, b: ClientName) => picked(a, b) || picked(b, a);
  const masked = [...result.masked.keys()];
  const out: ClientName[][] = [];
  for (let set = 1; set < 2 ** masked.length; set++) {
    const group = masked.filter((_, i) => set & (1 << i));
    const rest = sharers.filter((name) => !group.includes(name));
    const bare = (name: ClientName) =>
      seedKnown.has(name) && rest.every((other) => keyKnown.has(other) || !linked(name, other));
    if (group.every(bare)) out.push(group.toSorted());
  }
  return out;
}

describe.each<SecureMode>(["malicious", "semi-honest"])("%s", (mode) => {
  test("whoever vanishes when", async () => {
    const seen = { sums: 0, sumsWithDropouts: 0, failures: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc
          .integer({ min: 7, max: 11 })
          .chain((n) =>
            fc.array(
              fc.oneof(
                { weight: 6, arbitrary: fc.constant(null) },
                { weight: 1, arbitrary: fc.constantFrom(...FATES) },
              ),
              { minLength: n, maxLength: n },
            ),
          ),
        fc.integer({ min: 0, max: 1_000 }),
        async (lost, attempt) => {
          const size = lost.length;
          expect(sharingGraph(size, mode, SMALL).complete).toBe(false);
          const fed = fakeFederation(size, crypto);
          const settings = { ...SETTINGS, words: WORDS, mode, graph: SMALL };
          // Another attempt has another graph.
          const session = fakeSession(fed, { attempt });
          const vectors = inputs(size);
          const result = await runAttempt(fed, session, vectors, settings, lost);
          const opened = openable(result, mode, size);
          if (result.sum === null) {
            seen.failures++;
            expect(lost.some((fate) => fate !== null)).toBe(true);
            expect(opened.every((group) => group.join() === result.survivors.toSorted().join())).toBe(true);
            return;
          }
          seen.sums++;
          if (lost.includes("masked-input")) seen.sumsWithDropouts++;
          const summed = fed.clients.flatMap(({ name }, i) => (result.survivors.includes(name) ? [i] : []));
          expect(result.sum).toEqual(plainSum(summed.map((i) => vectors[i] as Words)));
          expect(opened).toEqual([result.survivors.toSorted()]);
        },
      ),
      { numRuns: 40, seed: 20 },
    );
    expect(seen.sums).toBeGreaterThan(5);
    expect(seen.sumsWithDropouts).toBeGreaterThan(0);
    expect(seen.failures).toBeGreaterThan(3);
  });
});
