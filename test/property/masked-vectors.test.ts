/** What a coordinator holds of a client during a round is noise: uniform, and uncorrelated with the client's update. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { encodeUpdate } from "../../client/update/encode.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { layoutOf } from "../../shared/params/layout.ts";
import { fixedPoint, signedView } from "../../shared/quantize/fixed-point.ts";
import { bytesOf, type WordBits, type Words } from "../../shared/secagg/mask.ts";
import { trainingLayout } from "../../shared/secagg/vector-layout.ts";
import { chiSquare, correlation } from "../reference/uniformity.ts";
import { fakeFederation, fakeSession, GRAPH, runAttempt, type FakeFederation } from "../fakes/secagg.ts";

const COORDINATES = 40_000;
const CLIENTS = 4;

describe.each<WordBits>([32, 16])("%i bits", (wordBits) => {
  let fed: FakeFederation;
  let plain: Words[];
  let masked: Words[];
  let again: Words[];

  beforeAll(async () => {
    fed = fakeFederation(CLIENTS, new NodeCrypto());
    const params = layoutOf([{ name: "w", shape: [COORDINATES] }]);
    const layout = trainingLayout({ wordBits, cohortMax: CLIENTS, coordinates: COORDINATES });
    const fixed = fixedPoint({ wordBits, cohortMax: CLIENTS, maxWeight: 8, coordinateBound: 1 });
    plain = fed.clients.map(({ name }) => {
      const rng = Rng.of(name);
      const delta = Float32Array.from({ length: COORDINATES }, () => 0.01 * rng.normal());
      const rules = { layout, fixed, clipNorm: null, examplesPerWeight: 8 };
      return encodeUpdate(rules, params, { delta, examples: 32, examplesSeen: 64, lossSum: 80 }).words;
    });
    const settings = { mode: "malicious", minSurvivors: 3, graph: GRAPH, words: layout.words, wordBits } as const;
    const attempt = async (n: number) => {
      const result = await runAttempt(fed, fakeSession(fed, { attempt: n }), plain, settings);
      return fed.clients.map(({ name }) => result.masked.get(name) as Words);
    };
    masked = await attempt(0);
    again = await attempt(1);
  });

  function uniform(words: Words): boolean {
    const bytes = bytesOf(words);
    const stride = words.BYTES_PER_ELEMENT;
    return Array.from({ length: stride }, (_, at) => chiSquare(bytes, stride, at)).every((x) => x.value < x.limit);
  }

  test("every byte of every masked vector is uniform, that of an unmasked one is not", () => {
    for (const words of masked) expect(uniform(words)).toBe(true);
    for (const words of plain) expect(uniform(words)).toBe(false);
  });

  test("masked vectors are uncorrelated with the updates and with each other", () => {
    for (const [i, words] of masked.entries()) {
      const series = signedView(words);
      for (const update of plain) {
        const { value, limit } = correlation(series, signedView(update));
        expect(Math.abs(value)).toBeLessThan(limit);
      }
      for (const other of masked.slice(i + 1)) {
        const { value, limit } = correlation(series, signedView(other));
        expect(Math.abs(value)).toBeLessThan(limit);
      }
      const self = correlation(signedView(plain[i] as Words), signedView(plain[i] as Words));
      expect(self.value).toBeGreaterThan(self.limit);
    }
  });

  test("the same update masked in two attempts differs by noise: no mask is used twice", () => {
    for (const [i, words] of masked.entries()) {
      expect(uniform(words.map((word, k) => word - ((again[i] as Words)[k] as number)))).toBe(true);
    }
  });

  test("a sum of all but one is noise, too", () => {
    const sum = (masked[0] as Words).slice();
    for (const words of masked.slice(1, -1))
      for (const [k, word] of words.entries()) sum[k] = (sum[k] as number) + word;
    expect(uniform(sum)).toBe(true);
  });
});
