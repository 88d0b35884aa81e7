import { beforeAll, describe, expect, test } from "@jest/globals";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { buildModel } from "../../../models/registry.ts";
import { sobelEdges } from "../../../models/zoo/stages.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { withModelDefaults } from "../../../shared/config/models.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { datasetOfSamples, squares } from "../synthetic-samples.ts";

describe("Sobel edges", () => {
  test("of a ramp are eight times its slope, and unknown where a neighbour is", () => {
    const depth = Float32Array.from({ length: 25 }, (_, i) => 3 * (i % 5) + 4 * Math.floor(i / 5));
    const known = new Float32Array(25).fill(1);
    const whole = sobelEdges(depth, known, 1, 5, 5);
    expect([...whole.weight]).toEqual(
      Array.from({ length: 25 }, (_, i) => (i % 5 > 0 && i % 5 < 4 && i >= 5 && i < 20 ? 1 : 0)),
    );
    expect(whole.values[12]).toBeCloseTo(8 * Math.hypot(3, 4), 4);
    known[6] = 0;
    const { weight, values } = sobelEdges(depth, known, 1, 5, 5);
    expect([weight[12], values[12], weight[13]]).toEqual([0, 0, 1]);
  });
});

describe("depth-2d-edges", () => {
  beforeAll(async () => {
    await loadEngine();
  });

  const raw = { federation: "zoo", model: { name: "depth-2d-edges" }, labels: { depth: { kind: "relative" } } };
  const base = federationConfig.parse(withModelDefaults(raw));
  const training = { ...base.training, batchSize: 2, localSteps: 4 };

  /** Names of the weights that a round changes, by the network they belong to. */
  async function changed(round: number, rounds: number): Promise<{ edges: number; depth: number }> {
    const config = { ...base, training, schedule: { ...base.schedule, rounds } };
    const trainer = await createTrainer({
      config,
      dataset: datasetOfSamples(squares(6)),
      clientName: "site-a",
      seed: 7,
    });
    const built = buildModel(config, 7);
    const { delta } = await trainer.train({
      params: built.getParams(),
      round,
      rng: Rng.of(7, "train"),
      signal: new AbortController().signal,
      onProgress: () => {},
    });
    const moved = trainer.layout.tensors.filter(({ offset, size }) =>
      delta.subarray(offset, offset + size).some((value) => value !== 0),
    );
    trainer.dispose();
    built.dispose();
    const edges = moved.filter(({ name }) => name.startsWith("edges_")).length;
    return { edges, depth: moved.length - edges };
  }

  test("learns edges in the first half of the rounds and depth in the second, each with its own weights", async () => {
    const half = buildModel(base, 7).layout.tensors.length / 2;
    expect(await changed(1, 4)).toEqual({ edges: half, depth: 0 });
    expect(await changed(2, 4)).toEqual({ edges: half, depth: 0 });
    expect(await changed(3, 4)).toEqual({ edges: 0, depth: half });
    // One round holds both, and the edges stay as the first half left them.
    expect(await changed(1, 1)).toEqual({ edges: half, depth: half });
  });
});
