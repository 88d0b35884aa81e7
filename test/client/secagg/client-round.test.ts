import { describe, expect, test } from "@jest/globals";
import { newWords, type Words } from "../../../shared/secagg/mask.ts";
import { fakeFederation, fakeSession, runAttempt, SETTINGS, type LostAt } from "../../fakes/secagg.ts";

function inputsFor(size: number, words: number): Words[] {
  return Array.from({ length: size }, (_, c) =>
    newWords(32, words).map((_w, i) => ((c + 1) * 1000 + i * 7) * (i % 2 ? 1 : -1)),
  );
}

function plainSum(inputs: readonly Words[]): Words {
  const sum = newWords(32, inputs[0]?.length ?? 0);
  for (const input of inputs) for (const [i, word] of input.entries()) sum[i] = (sum[i] ?? 0) + word;
  return sum;
}

describe("one attempt", () => {
  test("everyone stays: the sum is exact", async () => {
    const fed = fakeFederation(4);
    const inputs = inputsFor(4, SETTINGS.words);
    const result = await runAttempt(fed, fakeSession(fed), inputs);
    expect(result.sum).toEqual(plainSum(inputs));
  });

  test.each<LostAt>(["share-keys", "masked-input", "consistency", "unmask"])(
    "one of five vanishes at %s",
    async (at) => {
      const fed = fakeFederation(5);
      const inputs = inputsFor(5, SETTINGS.words);
      const result = await runAttempt(fed, fakeSession(fed), inputs, SETTINGS, [null, at, null, null, null]);
      const summed = at === "share-keys" || at === "masked-input" ? inputs.toSpliced(1, 1) : inputs;
      expect(result.sum).toEqual(plainSum(summed));
    },
  );
});
