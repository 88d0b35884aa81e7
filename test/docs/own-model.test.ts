/** The documentation's example of a model of one's own is what its script makes, and is trained from federation.yaml on. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { beforeAll, expect, test } from "@jest/globals";
import { createTrainer } from "../../client/training/allulook-trainer.ts";
import { checkFederationConfig } from "../../coordinator/config.ts";
import { completeConfig } from "../../coordinator/own-model.ts";
import { initialModel } from "../../coordinator/release/initial-model.ts";
import { modelJson } from "../../docs/examples/own-model/make.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import type { ClientName } from "../../shared/ids.ts";
import { simulateFederation } from "../../simulations/federation.ts";
import { datasetOfSamples, squares } from "../models/synthetic-samples.ts";

const EXAMPLE = resolve(import.meta.dirname, "../../docs/examples/own-model");

beforeAll(async () => {
  await loadEngine();
});

test("model.json is what make.ts writes", async () => {
  expect(JSON.parse(modelJson())).toEqual(JSON.parse(await readFile(join(EXAMPLE, "model.json"), "utf8")));
});

test("make.ts writes nothing when it is imported, whatever the command line of the program says", async () => {
  const folder = await mkdtemp(join(tmpdir(), "allulook-make-"));
  const given = process.argv;
  try {
    process.argv = [given[0] as string, "program.js", join(folder, "stray")];
    const again = `${join(EXAMPLE, "make.ts")}?again`;
    expect(await import(again)).toHaveProperty("modelJson");
    expect(await readdir(folder)).toEqual([]);
  } finally {
    process.argv = given;
    await rm(folder, { recursive: true, force: true });
  }
});

test("the example is trained, aggregated, released and evaluated in a federation", async () => {
  const out = await mkdtemp(join(tmpdir(), "allulook-own-"));
  try {
    const raw = {
      federation: "example",
      model: { init: "two-heads.yaml" },
      labels: { segmentation: ["ground", "square", "nothing"], depth: { kind: "metric" } },
      input: { size: [32, 32] },
      training: { localSteps: 6, batchSize: 4, optimizer: { learningRate: 0.01 } },
      schedule: { rounds: 2, minSurvivors: 3, cohort: { min: 3, max: 3 } },
    };
    const complete = federationConfig.parse(await completeConfig(raw, EXAMPLE, "test"));
    const { config } = checkFederationConfig(complete);
    const { model, labels, input, training, seed } = config;
    const trainers = new Map(
      await Promise.all(
        ["a", "b", "c"].map(
          async (name, i) =>
            [
              name as ClientName,
              await createTrainer({
                config,
                dataset: datasetOfSamples(squares(10, i)),
                clientName: name,
                seed,
              }),
            ] as const,
        ),
      ),
    );
    const begin = await initialModel({ model, labels, input, training }, seed, out);
    const { rounds, release } = await simulateFederation({ config, trainers, initialParams: begin.params, out });
    for (const trainer of trainers.values()) trainer.dispose();
    expect(rounds).toHaveLength(3);
    expect(rounds.map(({ status, survivors }) => [status, survivors])).toEqual(
      Array.from(rounds, () => ["completed", 3]),
    );
    expect(rounds.at(-1)?.loss).toBeLessThan(rounds[1]?.loss as number);
    const { segmentation, depth } = rounds.at(-1)?.metrics ?? {};
    expect(Object.keys(segmentation ?? {}).sort()).toEqual(["mIoU", "pixelAccuracy"]);
    expect(segmentation?.["mIoU"]).toBeGreaterThan(rounds[0]?.metrics["segmentation"]?.["mIoU"] as number);
    expect(depth).toHaveProperty("rmse");
    expect(release?.manifest.model).toMatchObject({ builder: "two-heads", topologyBytes: expect.any(Number) });
    expect(release?.manifest.files.map(({ path }) => path)).toContain("model/own-model.json");
  } finally {
    await rm(out, { recursive: true });
  }
});
