import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jobId, loadCheckpoint, saveCheckpoint, type TrainingState } from "../../../client/training/checkpoint.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "checkpoint-"));
});
afterEach(() => rm(folder, { recursive: true }));

const state: TrainingState = {
  step: 3,
  rng: [1, 2, 3, 4],
  queue: [5],
  examplesSeen: 24,
  lossSum: 0.5,
  values: Float32Array.of(1, 2),
  optimizer: { vectors: {}, scalars: {}, counters: {} },
  lessons: { labelled: 0, teacher: null },
};

test("training under way, which tells what the site's update would, is for the site alone", async () => {
  const job = jobId(Float32Array.of(1), 2, [1, 2, 3, 4], {});
  await saveCheckpoint(folder, job, state);
  for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
  expect(await loadCheckpoint(folder, job)).toEqual(state);
});

test("a training with another term added to its gradients does not go on from it", async () => {
  const job = (correction?: Float32Array) => jobId(Float32Array.of(1), 2, [1, 2, 3, 4], {}, correction);
  await saveCheckpoint(folder, job(Float32Array.of(0.5)), state);
  expect(await loadCheckpoint(folder, job(Float32Array.of(0.25)))).toBeNull();
  expect(await loadCheckpoint(folder, job())).toBeNull();
  expect(await loadCheckpoint(folder, job(Float32Array.of(0.5)))).toEqual(state);
});
