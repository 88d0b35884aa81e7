/**
 * The state of a training in the middle of a round, in one file: a line of JSON, then float32 vectors. A client that
 * was killed goes on from it and ends with the same bits as one that was not.
 */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { z } from "zod";
import { writeFileDurably } from "../../shared/node/files.ts";
import { canonicalBytes } from "../../shared/params/layout.ts";
import type { OptimizerState } from "./flat-optimizer.ts";

export interface TrainingState {
  /** Steps done. */
  readonly step: number;
  readonly rng: readonly [number, number, number, number];
  /** Sample indices drawn but not yet used. */
  readonly queue: readonly number[];
  readonly examplesSeen: number;
  readonly lossSum: number;
  readonly values: Float32Array;
  readonly optimizer: OptimizerState;
  readonly lessons: { readonly labelled: number; readonly teacher: Float32Array | null };
}

const FILE = "training.checkpoint";

const header = z.strictObject({
  format: z.literal(2),
  job: z.string(),
  step: z.int().min(0),
  rng: z.tuple([z.int(), z.int(), z.int(), z.int()]),
  queue: z.array(z.int().min(0)),
  examplesSeen: z.int().min(0),
  lossSum: z.number(),
  labelled: z.number(),
  scalars: z.record(z.string(), z.number()),
  counters: z.record(z.string(), z.number()),
  vectors: z.array(z.strictObject({ name: z.string(), length: z.int().min(0) })),
  sha256: z.string(),
});

/** What a checkpoint must have in common with a job to continue it. */
export function jobId(
  params: Float32Array,
  round: number,
  rng: readonly number[],
  plan: unknown,
  correction: Float32Array = new Float32Array(),
): string {
  const facts = new TextEncoder().encode(JSON.stringify([round, rng, plan]));
  const values = sha256.create().update(canonicalBytes(params)).update(canonicalBytes(correction));
  return bytesToHex(values.update(facts).digest());
}

/** Writes the state durably over the last one, for its owner alone: it holds what the site's update would tell. */
export async function saveCheckpoint(folder: string, job: string, state: TrainingState): Promise<void> {
  const { labelled, teacher } = state.lessons;
  const vectors = [
    ["values", state.values] as const,
    ...(teacher === null ? [] : [["teacher", teacher] as const]),
    ...Object.entries(state.optimizer.vectors),
  ];
  const body = new Float32Array(vectors.reduce((sum, [, vector]) => sum + vector.length, 0));
  let at = 0;
  for (const [, vector] of vectors) {
    body.set(vector, at);
    at += vector.length;
  }
  const bytes = canonicalBytes(body);
  const { step, rng, queue, examplesSeen, lossSum } = state;
  const head = {
    format: 2,
    job,
    step,
    rng: [...rng] as [number, number, number, number],
    queue: [...queue],
    examplesSeen,
    lossSum,
    labelled,
    scalars: { ...state.optimizer.scalars },
    counters: { ...state.optimizer.counters },
    vectors: vectors.map(([name, vector]) => ({ name, length: vector.length })),
    sha256: bytesToHex(sha256(bytes)),
  } satisfies z.infer<typeof header>;
  await writeFileDurably(join(folder, FILE), Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), bytes]), 0o600);
}

/** The state saved for this job; null when there is none, or it is another job's or damaged. */
export async function loadCheckpoint(folder: string, job: string): Promise<TrainingState | null> {
  let file: Buffer;
  try {
    file = await readFile(join(folder, FILE));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  const end = file.indexOf(10);
  const parsed = header.safeParse(parseJson(file.subarray(0, Math.max(0, end)).toString("utf8")));
  if (!parsed.success || parsed.data.job !== job) return null;
  const head = parsed.data;
  const bytes = Uint8Array.from(file.subarray(end + 1));
  const length = head.vectors.reduce((sum, vector) => sum + vector.length, 0);
  if (bytes.length !== length * 4 || bytesToHex(sha256(bytes)) !== head.sha256) return null;
  const body = new Float32Array(bytes.buffer);
  let at = 0;
  const vectors: Record<string, Float32Array> = {};
  for (const vector of head.vectors) {
    vectors[vector.name] = body.slice(at, at + vector.length);
    at += vector.length;
  }
  const { values, teacher = null, ...accumulators } = vectors;
  if (values === undefined) return null;
  return {
    step: head.step,
    rng: head.rng,
    queue: head.queue,
    examplesSeen: head.examplesSeen,
    lossSum: head.lossSum,
    values,
    optimizer: { vectors: accumulators, scalars: head.scalars, counters: head.counters },
    lessons: { labelled: head.labelled, teacher },
  };
}

/** Forgets the state: its round is over. */
export async function removeCheckpoint(folder: string): Promise<void> {
  await rm(join(folder, FILE), { force: true });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
