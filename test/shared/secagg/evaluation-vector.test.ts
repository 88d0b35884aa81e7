import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeEvaluation, encodeEvaluation, evaluationLayout } from "../../../shared/secagg/evaluation-vector.ts";

describe("evaluation vector", () => {
  test("the sum of the words decodes to the sum of the counters", () => {
    const counter = fc.integer({ min: 0, max: 2 ** 50 });
    const client = fc.record({
      reference: fc.array(counter, { minLength: 5, maxLength: 5 }),
      quantized: fc.array(counter, { minLength: 5, maxLength: 5 }),
    });
    fc.assert(
      fc.property(
        fc.array(client, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(16 as const, 32 as const),
        (clients, wordBits) => {
          const layout = evaluationLayout({ wordBits, cohortMax: 6, counters: 5 });
          const vectors = clients.map(({ reference, quantized }) =>
            encodeEvaluation(layout, {
              reference: Float64Array.from(reference),
              quantized: Float64Array.from(quantized),
            }),
          );
          const sum = (vectors[0] as Uint32Array).slice();
          for (const vector of vectors.slice(1)) vector.forEach((word, i) => (sum[i] = (sum[i] as number) + word));
          const decoded = decodeEvaluation(layout, sum);
          for (const block of ["reference", "quantized"] as const) {
            const expected = decoded[block].map((_, i) => clients.reduce((total, c) => total + (c[block][i] ?? 0), 0));
            expect(decoded[block]).toEqual(expected);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test.each([[[1, 2]], [[1, 2, Number.NaN]], [[1, 2, -1]], [[1, 2, 0.5]]])("refuses the counters %j", (values) => {
    const layout = evaluationLayout({ wordBits: 32, cohortMax: 4, counters: 3 });
    const reference = Float64Array.from(values);
    expect(() => encodeEvaluation(layout, { reference, quantized: new Float64Array(3) })).toThrow(
      expect.objectContaining({ code: "STATISTIC_INVALID" }),
    );
  });
});
