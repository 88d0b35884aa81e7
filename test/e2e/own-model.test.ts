/** A model of one's own in a deployed federation: coordinator and three site processes that got it with the plan. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { checkFederationConfig } from "../../coordinator/config.ts";
import { completeConfig } from "../../coordinator/own-model.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import { Machine } from "./machines.ts";
import { freePort, namesOf, scratch, smallConfig, startFederation, writeSites } from "./small-federation.ts";

const EXAMPLE = resolve(import.meta.dirname, "../../docs/examples/own-model");
const here = new Machine(null, "");

let place: Awaited<ReturnType<typeof scratch>>;
beforeAll(async () => {
  place = await scratch();
});
afterAll(() => place.remove());

/** The documentation's example with as many classes as the rooms have. */
async function exampleFor(classes: number): Promise<string> {
  const folder = join(place.dir, "own");
  await mkdir(folder);
  const model = JSON.parse(await readFile(join(EXAMPLE, "model.json"), "utf8")) as {
    modelTopology: { config: { layers: { name: string; config: { filters?: number } }[] } };
  };
  for (const { name, config } of model.modelTopology.config.layers) if (name === "mask") config.filters = classes;
  await writeFile(join(folder, "model.json"), JSON.stringify(model));
  await copyFile(join(EXAMPLE, "two-heads.yaml"), join(folder, "two-heads.yaml"));
  return folder;
}

test("is trained by every site, released, verified, and opens elsewhere for predict and evaluate", async () => {
  const schedule = { rounds: 2, minSurvivors: 3, cohort: { min: 3, max: 3 } };
  const base = smallConfig(await freePort(), schedule);
  const labels = { segmentation: base.labels.segmentation, depth: base.labels.depth };
  const own = await exampleFor(labels.segmentation.length);
  const { model: _model, input, training, ...rest } = base;
  const raw = {
    ...rest,
    labels,
    input: { size: input.size },
    training: { localSteps: 2, batchSize: training.batchSize },
    model: { init: join(own, "two-heads.yaml") },
  };
  const { config } = checkFederationConfig(federationConfig.parse(await completeConfig(raw, own, "test")));
  const datasets = await writeSites(join(place.dir, "data"), namesOf(3), 6);
  const folder = join(place.dir, "federation");
  const { deployment } = await startFederation(folder, config, datasets);
  try {
    const release = join(folder, "releases", "2");
    const until = Date.now() + 200_000;
    while (!existsSync(join(release, "manifest.json")) && Date.now() < until) {
      await new Promise((done) => setTimeout(done, 200));
    }
    const manifest = JSON.parse(await readFile(join(release, "manifest.json"), "utf8")) as { model: object };
    expect(manifest.model).toMatchObject({ builder: "two-heads", topologyBytes: expect.any(Number) });
    expect((await here.allulook("release", "verify", release)).code).toBe(0);
    const scored = await here.allulook("evaluate", "--json", "--model", release, "--data", datasets[0] as string);
    expect([scored.code, scored.stderr]).toEqual([0, expect.anything()]);
    expect(JSON.parse(scored.stdout)).toHaveProperty("depth.rmse");
  } finally {
    await deployment.stop();
  }
});
