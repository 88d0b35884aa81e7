/** Entry of a training worker: holds trainers and does one job at a time, in order. */
import { readFile } from "node:fs/promises";
import { parentPort, workerData } from "node:worker_threads";
import { loadEngine, type EngineOptions } from "../../models/engine/node/load.ts";
import { CodedError } from "../../shared/errors.ts";
import { decodeBase } from "../../shared/release/base.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { createTrainer } from "./allulook-trainer.ts";
import { openParts } from "./parts.ts";
import type { FromWorker, ToWorker, TrainerFacts, TrainerSpec } from "./pool-messages.ts";
import type { Trainer } from "./trainer.ts";

if (parentPort === null) throw new Error("this file runs as a worker thread");
const port = parentPort;
const engine = loadEngine(workerData as EngineOptions);
const trainers = new Map<number, Trainer>();
const running = new Map<number, AbortController>();
// One core, one job: two at once would only take turns, with twice the memory.
let queue: Promise<void> = Promise.resolve();

port.on("message", (request: ToWorker & { call: number }) => {
  if (request.kind === "abort") {
    running.get(request.call)?.abort(new CodedError("TRAINING_FAILED", "training was called off"));
    return;
  }
  const controller = new AbortController();
  running.set(request.call, controller);
  queue = queue.then(() => answer(request, controller.signal)).finally(() => running.delete(request.call));
});

async function answer(request: ToWorker & { call: number }, signal: AbortSignal): Promise<void> {
  const { call } = request;
  try {
    signal.throwIfAborted();
    const value = await perform(request, call, signal);
    port.postMessage({ kind: "result", call, value } satisfies FromWorker);
  } catch (error) {
    const coded =
      error instanceof CodedError ? error : new CodedError("TRAINING_FAILED", String(error), {}, { cause: error });
    port.postMessage({
      kind: "error",
      call,
      code: coded.code,
      text: coded.message,
      details: plain(coded.details),
    } satisfies FromWorker);
  }
}

async function perform(request: ToWorker, call: number, signal: AbortSignal): Promise<unknown> {
  const info = await engine;
  switch (request.kind) {
    case "engine":
      return info;
    case "create": {
      const trainer = await open(request.spec);
      trainers.set(request.trainer, trainer);
      const { layout, personal, examples, evaluationExamples, statistics } = trainer;
      const facts = { layout, examples, evaluationExamples, statistics };
      return { ...facts, ...(personal !== undefined && { personal }) } satisfies TrainerFacts;
    }
    case "train":
      return held(request.trainer).train({
        params: request.params,
        ...(request.personal !== undefined && { personal: request.personal }),
        round: request.round,
        rng: Rng.restore(request.rng),
        signal,
        onProgress: (progress) => port.postMessage({ kind: "progress", call, progress } satisfies FromWorker),
        ...(request.checkpointDir !== undefined && { checkpointDir: request.checkpointDir }),
      });
    case "evaluate":
      return held(request.trainer).evaluate(request.params, signal, request.personal);
    case "dispose":
      trainers.get(request.trainer)?.dispose();
      trainers.delete(request.trainer);
      return null;
    case "abort":
      return null;
  }
}

async function open({ clientName, config, seed, base, data, split, teacher }: TrainerSpec): Promise<Trainer> {
  const dataset = await openParts(data, config.labels);
  return createTrainer({
    config,
    dataset,
    clientName,
    seed,
    ...(base !== undefined && { base: decodeBase(await readFile(base)) }),
    ...(split !== undefined && { split }),
    teacher: teacher ?? null,
  });
}

function held(trainer: number): Trainer {
  const found = trainers.get(trainer);
  if (found === undefined) throw new CodedError("TRAINING_FAILED", `there is no trainer ${trainer}`);
  return found;
}

/** Only what survives the way between threads. */
function plain(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(details)) as Record<string, unknown>;
}
