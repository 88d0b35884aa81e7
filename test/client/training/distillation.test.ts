/** A student learns from a larger model that lies at its site, and from no other. */
import { mkdtemp, rm, writeFile, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import { lossAndGradient, uncertaintyCount } from "../../../client/training/step.ts";
import type { Trainer, TrainingJob } from "../../../client/training/trainer.ts";
import { openTutor } from "../../../client/training/tutor.ts";
import { withTeacher } from "../../../coordinator/teacher.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { distillationLoss } from "../../../models/losses/distillation.ts";
import { plainView } from "../../../models/preprocess/augment.ts";
import { renderBatch } from "../../../models/preprocess/batch.ts";
import { prepareSample } from "../../../models/preprocess/prepare.ts";
import { buildModel } from "../../../models/registry.ts";
import type { Distillation } from "../../../shared/config/distillation.ts";
import type { FederationConfig } from "../../../shared/config/federation.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { planOf, planText, configHashOf, readPlan } from "../../../shared/config/plan.ts";
import { encodeModel } from "../../../shared/quantize/model.ts";
import { modelFiles } from "../../../shared/release/model-card.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { datasetOfSamples, squares, testConfig, unlabelled } from "../../models/synthetic-samples.ts";

const input = { size: [32, 32] };
let dir: string;

/** A folder with a model of these labels, as a release has it. */
async function teacherFolder(name: string, over: Record<string, unknown> = {}): Promise<string> {
  const config = testConfig({ input, seed: 31, model: { preset: "nano" }, ...over });
  const built = buildModel(config, config.seed);
  const files = modelFiles(config, built.layout);
  // Biased, so that there is something to learn from it.
  const params = built.getParams().map((value, i) => value + Math.sin(i) / 20);
  const { bytes } = encodeModel(built.layout, params, "int8", []);
  built.dispose();
  const folder = join(dir, name);
  await mkdir(join(folder, "model"), { recursive: true });
  for (const [path, content] of files) await writeFile(join(folder, path), content);
  await writeFile(join(folder, "model", "weights.bin"), bytes);
  return folder;
}

const trainingOf = (distillation: Partial<Distillation> | null, steps = 3) => ({
  input,
  training: { localSteps: steps, batchSize: 2, distillation },
});

let folder: string;
let config: FederationConfig;
beforeAll(async () => {
  await loadEngine();
  dir = await mkdtemp(join(tmpdir(), "teacher-"));
  folder = await teacherFolder("good");
  config = await withTeacher(testConfig(trainingOf({ teacher: "good", weight: 5 })), dir);
});
afterAll(() => rm(dir, { recursive: true }));

const open: Trainer[] = [];
afterAll(() => open.forEach((trainer) => trainer.dispose()));
async function trainer(over: Partial<Parameters<typeof createTrainer>[0]> = {}, every?: number): Promise<Trainer> {
  const made = await createTrainer({
    config,
    dataset: datasetOfSamples(squares(4).map(unlabelled)),
    clientName: "a",
    seed: 7,
    teacher: folder,
    ...(every !== undefined && { checkpointEveryMs: every }),
    ...over,
  });
  open.push(made);
  return made;
}

function job(params: Float32Array, over: Partial<TrainingJob> = {}): TrainingJob {
  const { signal } = new AbortController();
  return { params, round: 1, rng: Rng.of(7, "train", "a", 1), signal, onProgress: () => {}, ...over };
}
const bits = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("hex");

/** A student, its first params, a batch without labels, and what it loses against the teacher in all heads. */
async function scene() {
  const student = buildModel(config, 7);
  const tutor = await openTutor(folder, config.training.distillation as Distillation, student);
  const samples = squares(2, 5).map((sample) => prepareSample(unlabelled(sample), config));
  const batch = renderBatch(
    samples,
    samples.map((sample) => plainView(sample)),
    config,
  );
  const distance = (params: Float32Array): number => {
    student.setParams(params);
    return tf.tidy(() => {
      const [seen, wanted] = [student.forward(batch, false), tutor.model.forward(batch, false)];
      const losses = [...seen].map(([head, output]) =>
        distillationLoss(head, output, wanted.get(head) as tf.Tensor, tutor.settings.temperature),
      );
      return losses.reduce((sum, loss) => sum + (loss.dataSync()[0] as number), 0);
    });
  };
  const close = () => {
    student.dispose();
    tutor.model.dispose();
  };
  return { student, tutor, batch, distance, close };
}

describe("learning from a larger model", () => {
  test("follows the gradient of the distance, without a label", async () => {
    const { student, tutor, batch, distance, close } = await scene();
    const params = student.getParams();
    const fixed = {
      ...config,
      training: { ...config.training, losses: { ...config.training.losses, weights: "fixed" as const } },
    };
    expect(uncertaintyCount(fixed)).toBe(0);
    const { loss, gradient } = lossAndGradient(student, fixed, params, batch, undefined, tutor);
    expect(loss).toBeCloseTo(5 * distance(params), 3);
    expect(lossAndGradient(student, fixed, params, batch).loss).toBe(0);
    // Along the gradient, where single precision tells most.
    const length = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
    const at = (step: number) =>
      5 * distance(params.map((value, i) => value + (step * (gradient[i] as number)) / length));
    const slope = (at(1e-3) - at(-1e-3)) / 2e-3;
    expect(Math.abs(slope / length - 1)).toBeLessThan(0.02);
    close();
  });

  test("brings the student nearer to the teacher, the same every time and from a checkpoint, and keeps no tensor", async () => {
    const { student, distance, close } = await scene();
    const params = student.getParams();
    const own = await trainer();
    const whole = await own.train(job(params));
    const after = params.map((value, i) => value + (whole.delta[i] as number));
    expect(distance(after)).toBeLessThan(0.95 * distance(params));
    const before = tf.memory().numTensors;
    await own.train(job(params));
    expect(tf.memory().numTensors).toBe(before);
    const checkpointDir = join(dir, "checkpoints");
    await mkdir(checkpointDir);
    const controller = new AbortController();
    const dying = (await trainer({}, 0)).train(
      job(params, {
        checkpointDir,
        signal: controller.signal,
        onProgress: ({ step }) => step === 2 && controller.abort(),
      }),
    );
    await expect(dying).rejects.toThrow();
    expect(bits((await (await trainer()).train(job(params, { checkpointDir }))).delta)).toBe(bits(whole.delta));
    close();
  });
});

describe("the teacher", () => {
  test("is pinned in the plan, by its hash and without its place", async () => {
    const { teacher, sha256 } = config.training.distillation as Distillation;
    expect(teacher).toBe(folder);
    const plan = planOf(config);
    expect(plan.training.distillation).toEqual({ ...config.training.distillation, teacher: basename(folder) });
    const text = planText(plan);
    expect(readPlan(text, configHashOf(text)).training.distillation?.sha256).toBe(sha256);
    expect(await withTeacher(config, "/elsewhere")).toEqual(config);
  });

  test("must lie at the site, and be that very model", async () => {
    const other = await teacherFolder("other", { seed: 32 });
    for (const [given, why] of [
      [null, "site.yaml names no teacher"],
      [other, "holds"],
    ] as const) {
      await expect(trainer({ teacher: given })).rejects.toMatchObject({
        code: "SITE_TEACHER",
        message: expect.stringContaining(why),
      });
    }
    await expect(trainer({ teacher: join(dir, "nowhere") })).rejects.toMatchObject({ code: "USAGE" });
  });

  test("must know the federation's labels", async () => {
    await teacherFolder("foreign", { labels: { segmentation: ["ground", "circle"] } });
    for (const teacher of ["foreign", "nowhere"]) {
      await expect(withTeacher(testConfig(trainingOf({ teacher })), dir)).rejects.toMatchObject({
        code: "CONFIG_INVALID",
        details: { field: "training.distillation.teacher" },
      });
    }
    const changed = { ...(config.training.distillation as Distillation), sha256: "0".repeat(64) as Sha256 };
    await expect(withTeacher(testConfig(trainingOf(changed)), dir)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    const without = testConfig(trainingOf(null));
    expect(await withTeacher(without, dir)).toBe(without);
  });
});
