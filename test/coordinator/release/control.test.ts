/** A release of a federation with control variates: the chain has them, the model does not. */
import { expect, test } from "@jest/globals";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { register } from "../../../bin/commands/release.ts";
import { loadRelease } from "../../../client/model-cache/load-model-folder.ts";
import { correctingDrift } from "../../../client/training/drift.ts";
import { begunWith } from "../../../coordinator/release/initial-model.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { simulateFederation } from "../../../simulations/federation.ts";
import { runCommand } from "../../bin/commands/run-command.ts";
import { QuadraticTrainer } from "../../fakes/quadratic-trainer.ts";

test("verifies offline, and holds the model alone", async () => {
  const out = await mkdtemp(join(tmpdir(), "control-"));
  try {
    const config = federationConfig.parse({
      federation: "control",
      labels: { scene: ["a", "b"], depth: { kind: "none" } },
      training: { optimizer: { name: "sgd", learningRate: 0.1 } },
      strategy: { name: "scaffold" },
      schedule: { rounds: 2, cohort: { min: 3, max: 3, overSelect: 1 }, minSurvivors: 3 },
    });
    const trainers = [0.5, -0.25, 1].map(
      (at) => new QuadraticTrainer({ curvature: [1, 2], minimum: [at, -at] }, 3, 0.1),
    );
    const { layout } = trainers[0] as QuadraticTrainer;
    const begin = begunWith({ layout, params: async () => new Float32Array(2) }, config.strategy);
    const { params } = await simulateFederation({
      config,
      trainers: new Map(
        trainers.map((one, i) => [
          `site-${i}` as ClientName,
          correctingDrift(one, config.strategy, config.training.optimizer),
        ]),
      ),
      initialParams: begin.params,
      out,
      options: { evaluationEvery: 0 },
    });
    expect(params).toHaveLength(4);
    expect(params.subarray(2).some((value) => value !== 0)).toBe(true);
    const folder = join(out, "releases", "2");
    const loaded = await loadRelease(folder);
    expect(loaded.layout.tensors.map(({ name }) => name)).toEqual(["x"]);
    expect(loaded.params).toHaveLength(2);
    const verified = await runCommand(register, "release", "verify", folder);
    expect([verified.code, verified.out]).toEqual([0, expect.stringContaining("byte for byte")]);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});
