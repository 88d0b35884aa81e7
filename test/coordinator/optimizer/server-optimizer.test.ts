import { describe, expect, test } from "@jest/globals";
import { initialServerState, serverStep } from "../../../coordinator/optimizer/server-optimizer.ts";
import type { Strategy } from "../../../shared/config/strategy.ts";
import { decodeServerState, encodeServerState } from "../../../coordinator/optimizer/server-state-codec.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { fedAdaptive, fedAvgMomentum } from "../../reference/server-optimizers.ts";

const ROUNDS = 25;
const X0 = [0, 1, -2, 0.5, 100];

/** Deltas per round and coordinate, in float32 as they come from the sum. */
const DELTAS = Array.from({ length: ROUNDS }, (_, round) => {
  const rng = Rng.of("deltas", round);
  return Float32Array.from(X0, (_x, i) => rng.normal() * 10 ** (i - 3));
});

function run(strategy: Strategy): Float32Array[] {
  const step = serverStep(strategy);
  let state = initialServerState(Float32Array.from(X0));
  return DELTAS.map((delta) => {
    state = step(state, delta);
    return state.params;
  });
}

/** Coordinate by coordinate against the paper's scalar form, to float32 rounding of params and moments. */
function expectTwin(strategy: Strategy, twin: (x0: number, deltas: number[]) => number[]): void {
  const fast = run(strategy);
  for (const [i, x0] of X0.entries()) {
    const slow = twin(
      x0,
      DELTAS.map((delta) => delta[i] as number),
    );
    for (const [round, x] of slow.entries()) {
      const got = fast[round]?.[i] as number;
      expect(Math.abs(got - x)).toBeLessThanOrEqual(2e-5 * Math.max(1, Math.abs(x)));
    }
  }
}

const ADAPTIVE = { serverLearningRate: 0.03, beta1: 0.9, beta2: 0.97, tau: 1e-2 };

describe("server optimizers against the paper", () => {
  test("fedavg without momentum adds the mean delta", () => {
    const [first] = run({ name: "fedavg", serverLearningRate: 1, serverMomentum: 0 });
    expect(first).toEqual(Float32Array.from(X0, (x, i) => x + (DELTAS[0]?.[i] as number)));
    expect(run({ name: "fedprox", mu: 0.1 })).toEqual(
      run({ name: "fedavg", serverLearningRate: 1, serverMomentum: 0 }),
    );
  });
  test("fedavg with momentum", () => {
    expectTwin({ name: "fedavg", serverLearningRate: 0.7, serverMomentum: 0.9 }, (x0, deltas) =>
      fedAvgMomentum(x0, deltas, 0.7, 0.9),
    );
  });
  test("fedadam", () => {
    expectTwin({ name: "fedadam", ...ADAPTIVE }, (x0, deltas) =>
      fedAdaptive("adam", x0, deltas, 0.03, 0.9, 0.97, 1e-2),
    );
  });
  test("fedyogi", () => {
    expectTwin({ name: "fedyogi", ...ADAPTIVE }, (x0, deltas) =>
      fedAdaptive("yogi", x0, deltas, 0.03, 0.9, 0.97, 1e-2),
    );
  });
  test("fedadagrad", () => {
    expectTwin({ name: "fedadagrad", serverLearningRate: 0.03, tau: 1e-2 }, (x0, deltas) =>
      fedAdaptive("adagrad", x0, deltas, 0.03, 0, 0, 1e-2),
    );
  });

  test("a step changes neither the state it is given nor the delta", () => {
    const state = initialServerState(Float32Array.from(X0));
    const step = serverStep({ name: "fedadam", ...ADAPTIVE });
    const after = step(state, DELTAS[0] as Float32Array);
    const moments = structuredClone(after.moments);
    step(after, DELTAS[1] as Float32Array);
    expect(state.params).toEqual(Float32Array.from(X0));
    expect(after.moments).toEqual(moments);
  });
});

describe("the server state on disk", () => {
  test("comes back bit for bit, with moments and without", () => {
    for (const strategy of [
      { name: "fedavg", serverLearningRate: 1, serverMomentum: 0 },
      { name: "fedyogi", ...ADAPTIVE },
    ] as const) {
      const state = serverStep(strategy)(initialServerState(Float32Array.from(X0)), DELTAS[0] as Float32Array);
      const bytes = encodeServerState(state);
      expect(decodeServerState(bytes, X0.length)).toEqual(state);
      // As files come: in a Buffer, at any offset of a larger one.
      const file = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3);
      expect(decodeServerState(file, X0.length)).toEqual(state);
    }
  });

  test("keeps the clipping norm of the next round, to the last bit", () => {
    const state = { ...initialServerState(Float32Array.from(X0)), clipNorm: 0.1 + 0.2 };
    const bytes = encodeServerState(state);
    expect(decodeServerState(bytes, X0.length)).toEqual(state);
    expect(encodeServerState(decodeServerState(bytes, X0.length))).toEqual(bytes);
    const text = Buffer.from(bytes)
      .toString("latin1")
      .replace(/"clipNorm":0\.3/, '"clipNorm":-.3');
    expect(() => decodeServerState(Buffer.from(text, "latin1"), X0.length)).toThrow(
      expect.objectContaining({ code: "STORE_CORRUPT" }),
    );
  });

  test("damage is found", () => {
    const bytes = encodeServerState(initialServerState(Float32Array.from(X0)));
    const damaged = [bytes.subarray(0, bytes.length - 1), bytes.subarray(5), new Uint8Array(0)];
    for (const broken of damaged) {
      expect(() => decodeServerState(broken, X0.length)).toThrow(expect.objectContaining({ code: "STORE_CORRUPT" }));
    }
    expect(() => decodeServerState(bytes, X0.length + 1)).toThrow(expect.objectContaining({ code: "STORE_CORRUPT" }));
  });
});
