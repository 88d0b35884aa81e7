/**
 * One site of five trains Allulook4 wrongly, or runs software that gives everybody false shares: the round goes on with the
 * four others, the report names it and says why, and the model is, to the bit, the one that the four make without it.
 */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openDataset } from "../../client/data/open-dataset.ts";
import { createTrainer } from "../../client/training/allulook-trainer.ts";
import type { Trainer, TrainingResult } from "../../client/training/trainer.ts";
import { initialModel } from "../../coordinator/release/initial-model.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { ClientName } from "../../shared/ids.ts";
import { simulateFederation, type SimulationResult } from "../../simulations/federation.ts";
import { Deployment } from "../../simulations/deployment.ts";
import {
  allReady,
  COMMAND,
  freePort,
  namesOf,
  roundOver,
  scratch,
  smallConfig,
  trigger,
  writeSites,
} from "./small-federation.ts";

const FALSE_SHARES = new URL("false-shares-hook.mjs", import.meta.url).href;

const NAMES = namesOf(5);
const BAD = NAMES[2] as ClientName;

let place: Awaited<ReturnType<typeof scratch>>;
let config: FederationConfig;
const trainers = new Map<ClientName, Trainer>();
let without: SimulationResult;
let datasets: string[];

beforeAll(async () => {
  place = await scratch();
  config = smallConfig(0, { rounds: 1, cohort: { min: 4 } });
  datasets = await writeSites(place.dir, NAMES, 5);
  await loadEngine();
  for (const [i, clientName] of NAMES.entries()) {
    const dataset = await openDataset(datasets[i] as string, { labels: config.labels });
    trainers.set(clientName, await createTrainer({ config, dataset, clientName, seed: config.seed }));
  }
  without = await simulate(new Map([...trainers].filter(([name]) => name !== BAD)));
});
afterAll(async () => {
  for (const trainer of trainers.values()) trainer.dispose();
  await place?.remove();
});

async function simulate(of: ReadonlyMap<ClientName, Trainer>): Promise<SimulationResult> {
  const { model, labels, input, training, seed } = config;
  const { params } = await initialModel({ model, labels, input, training }, seed, join(place.dir, "initial"));
  return simulateFederation({ config, trainers: of, initialParams: params, out: null });
}

/** All five, of which one trains as `spoil` says. */
function simulateWith(spoil: (result: TrainingResult, trainer: Trainer) => TrainingResult): Promise<SimulationResult> {
  const trainer = trainers.get(BAD) as Trainer;
  const train: Trainer["train"] = async (job) => spoil(await trainer.train(job), trainer);
  const { layout, examples, evaluationExamples, statistics } = trainer;
  const evaluate: Trainer["evaluate"] = (params, signal) => trainer.evaluate(params, signal);
  const bad = { layout, examples, evaluationExamples, statistics, train, evaluate, dispose: () => {} };
  return simulate(new Map([...trainers, [BAD, bad]]));
}

describe("a client whose training gives", () => {
  test.each<[string, string, string, (result: TrainingResult, trainer: Trainer) => TrainingResult]>([
    ["NaN everywhere", "UPDATE_NOT_FINITE", "NaN", (r) => ({ ...r, delta: r.delta.map(() => Number.NaN) })],
    [
      "a wrong shape",
      "UPDATE_SHAPE",
      "values",
      (r) => ({ ...r, delta: new Float32Array([...r.delta, 0]) as TrainingResult["delta"] }),
    ],
    [
      "a tensor too few",
      "UPDATE_SHAPE",
      "values",
      (r, { layout }) => ({ ...r, delta: r.delta.subarray(0, layout.tensors.at(-1)?.offset) }),
    ],
    [
      "an exception",
      "TRAINING_FAILED",
      "out of memory",
      () => {
        throw new Error("out of memory");
      },
    ],
  ])("%s is left out as %s", async (_what, code, words, spoil) => {
    const { reason, rounds, paramsHash } = await simulateWith(spoil);
    expect(reason.code).toBe("DONE");
    const [zero, first] = rounds;
    expect(zero).toMatchObject({ round: 0, status: "completed", evaluated: 5 });
    expect(first).toMatchObject({ round: 1, status: "completed", attempts: 1, cohort: 5, survivors: 4, evaluated: 4 });
    expect(first?.excluded).toEqual([{ client: BAD, code, message: expect.stringContaining(words) }]);
    expect(paramsHash).toBe(without.paramsHash);
    expect(first?.metrics).toEqual(without.rounds[1]?.metrics);
    expect(Object.keys(first?.metrics ?? {})).toEqual(
      expect.arrayContaining(["segmentation", "detection", "depth", "scene"]),
    );
    expect(first?.examples).toBe(without.rounds[1]?.examples);
  });
});

describe("a client process whose shares are false for everybody", () => {
  test("costs each sum one repetition, is named, and leaves the model as it is without it", async () => {
    const port = await freePort();
    const manual = smallConfig(port, { rounds: 2, every: "manual", cohort: { min: 4 } });
    const deployment = await Deployment.create(join(place.dir, "false-shares"), manual, COMMAND);
    try {
      await deployment.startCoordinator([]);
      for (const [i, name] of NAMES.entries()) await deployment.addSite(name, datasets[i] as string);
      for (const site of deployment.sites) {
        deployment.startClient(site, site.name === BAD ? ["--import", FALSE_SHARES] : []);
      }
      // On a busy machine some accusations come when they are no longer needed.
      const accused = new RegExp(`^(in the evaluation: )?${BAD} is accused by (site-[1245](, )?){2,4}$`);
      const named = [{ client: BAD, code: "SECAGG_SHARE_FALSE", message: expect.stringMatching(accused) }];
      await allReady({ deployment, sites: deployment.sites });
      await trigger(deployment);
      const zero = await roundOver(deployment, 0);
      expect(zero).toMatchObject({ status: "completed", evaluated: 4 });
      expect(zero.excluded).toEqual(named);
      await allReady({ deployment, sites: deployment.sites });
      await trigger(deployment);
      const first = await roundOver(deployment, 1);
      expect(first).toMatchObject({ status: "completed", attempts: 2, cohort: 4, survivors: 4, evaluated: 4 });
      expect(first.excluded).toEqual(named);
      const { version } = (await deployment.status()) ?? {};
      expect(version).toBe(1);
      const manifest = await readFile(join(deployment.folder, "releases", "1", "manifest.json"), "utf8");
      expect((JSON.parse(manifest) as { paramsHash: string }).paramsHash).toBe(without.paramsHash);
    } finally {
      await deployment.stop();
    }
  });
});
