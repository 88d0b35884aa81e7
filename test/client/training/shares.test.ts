/** Local training of adapters and of personal params. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import type { Trainer, TrainingJob } from "../../../client/training/trainer.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { buildModel } from "../../../models/registry.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { datasetOfSamples, squares, testConfig } from "../../models/synthetic-samples.ts";

const open: Trainer[] = [];
beforeAll(async () => {
  await loadEngine();
});
afterEach(() => {
  for (const trainer of open.splice(0)) trainer.dispose();
});

async function trainer(training: object, checkpointEveryMs?: number) {
  const config = testConfig({ training: { localSteps: 4, batchSize: 2, ...training }, input: { size: [32, 32] } });
  const made = await createTrainer({
    config,
    dataset: datasetOfSamples(squares(6)),
    clientName: "site-a",
    seed: 7,
    ...(checkpointEveryMs !== undefined && { checkpointEveryMs }),
  });
  open.push(made);
  return made;
}

function initial(training: object): Float32Array {
  const built = buildModel(testConfig({ training }), 7);
  const params = built.getParams();
  built.dispose();
  return params;
}

const job = (params: Float32Array, over: Partial<TrainingJob> = {}): TrainingJob => ({
  params,
  round: 1,
  rng: Rng.of(7, "train", "site-a", 1),
  signal: new AbortController().signal,
  onProgress: () => {},
  ...over,
});
const signal = new AbortController().signal;
const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
const bits = (values: Float32Array | undefined) => Buffer.from(values?.slice().buffer ?? new ArrayBuffer(0));

describe("adapters", () => {
  const training = { trainable: "adapters", adapters: { rank: 2, full: [] } };

  test("both factors learn, and the loss falls with them alone", async () => {
    const more = { ...training, localSteps: 20, batchSize: 4, optimizer: { learningRate: 0.01 } };
    const made = await trainer(more);
    const losses: number[] = [];
    const { delta, personal } = await made.train(
      job(initial(training), { onProgress: ({ loss }) => losses.push(loss) }),
    );
    expect(personal).toBeUndefined();
    for (const part of ["/adapterDown", "/adapterUp"]) {
      const slots = made.layout.tensors.filter(({ name }) => name.endsWith(part));
      const moved = slots.filter(({ offset, size }) => norm(delta.subarray(offset, offset + size)) > 0);
      expect([part, moved.length > 0.9 * slots.length]).toEqual([part, true]);
    }
    const mean = (part: number[]) => part.reduce((sum, loss) => sum + loss, 0) / part.length;
    expect(mean(losses.slice(-6))).toBeLessThan(0.9 * mean(losses.slice(0, 6)));
  });
});

describe("personal params", () => {
  const training = { personal: ["norms", "scene"] };

  test("learn beside the federated ones, and the next round goes on from where they are given back", async () => {
    const made = await trainer(training);
    const params = initial(training);
    const first = await made.train(job(params));
    const begin = buildModel(testConfig({ training }), 7);
    const moved = first.personal?.map((value, i) => value - (begin.getPersonal()[i] as number));
    begin.dispose();
    expect(norm(moved as Float32Array)).toBeGreaterThan(0);
    expect(first.delta.length).toBe(params.length);
    const [on, afresh] = [
      await made.train(job(params, { personal: first.personal as Float32Array })),
      await made.train(job(params)),
    ];
    expect(bits(afresh.personal).equals(bits(first.personal))).toBe(true);
    expect(bits(on.personal).equals(bits(first.personal))).toBe(false);
    expect(bits(on.delta).equals(bits(first.delta))).toBe(false);
  });

  test("score: the same params with a site's own give other statistics", async () => {
    const made = await trainer({ ...training, localSteps: 8 });
    const params = initial(training);
    const { personal } = await made.train(job(params));
    const [plain, own, again] = [
      await made.evaluate(params, signal),
      await made.evaluate(params, signal, personal),
      await made.evaluate(params, signal),
    ];
    expect(own).not.toEqual(plain);
    expect(again).toEqual(plain);
  });

  test("are in the checkpoint: a training that was cut goes on to the same bits, from the same ones alone", async () => {
    const folder = await mkdtemp(join(tmpdir(), "checkpoint-"));
    try {
      const params = initial(training);
      const { personal: own } = await (await trainer(training)).train(job(params));
      const again = { personal: own as Float32Array, round: 2 };
      const undisturbed = await (await trainer(training)).train(job(params, again));
      const cut = async () => {
        const controller = new AbortController();
        const stopped = (await trainer(training, 0)).train(
          job(params, {
            ...again,
            checkpointDir: folder,
            signal: controller.signal,
            onProgress: ({ step }) => void (step === 3 && controller.abort()),
          }),
        );
        await expect(stopped).rejects.toThrow();
      };
      const stepsOf = async (over: Partial<TrainingJob>) => {
        const steps: number[] = [];
        const onProgress: TrainingJob["onProgress"] = ({ step }) => steps.push(step);
        const result = await (
          await trainer(training)
        ).train(job(params, { checkpointDir: folder, onProgress, ...over }));
        return { steps, result };
      };
      await cut();
      const { steps, result } = await stepsOf(again);
      expect(steps).toEqual([4]);
      expect(bits(result.delta).equals(bits(undisturbed.delta))).toBe(true);
      expect(bits(result.personal).equals(bits(undisturbed.personal))).toBe(true);
      await cut();
      expect((await stepsOf({ round: 2 })).steps).toEqual([1, 2, 3, 4]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("refused when they are another model's", async () => {
    const made = await trainer(training);
    const wrong = job(initial(training), { personal: new Float32Array(3) });
    await expect(made.train(wrong)).rejects.toMatchObject({ code: "PARAMS_SHAPE" });
  });

  test("the proximal term pulls federated params back, not personal ones", async () => {
    const optimizer = { name: "sgd", learningRate: 0.01 };
    const free = await (await trainer({ ...training, optimizer })).train(job(initial(training)));
    const held = await (await trainer({ ...training, optimizer, proximal: 20 })).train(job(initial(training)));
    expect(norm(held.delta)).toBeLessThan(0.9 * norm(free.delta));
    expect(norm(held.personal as Float32Array)).toBeGreaterThan(0);
  });
});
