/**
 * Trainers in worker threads: training never blocks the event loop that sends heartbeats, and several clients of a
 * simulation train side by side, one core each. A client's results do not depend on the worker it lands on.
 */
import { Worker } from "node:worker_threads";
import { CodedError } from "../../shared/errors.ts";
import { setEngineEnvironment, type EngineOptions } from "../../models/engine/node/load.ts";
import type { EngineInfo } from "../../models/engine/node/load.ts";
import type { FromWorker, ToWorker, TrainerFacts, TrainerSpec } from "./pool-messages.ts";
import type { Trainer, TrainingJob, TrainingResult } from "./trainer.ts";

interface Pending {
  resolve(value: never): void;
  reject(error: unknown): void;
  progress?: TrainingJob["onProgress"];
}

export class TrainerPool {
  /** Rejects when a worker stops by itself, as for want of memory: it does not come back. */
  readonly broken: Promise<never>;
  readonly #workers: PoolWorker[];
  #next = 0;

  /** @param size worker threads, each with its own engine; one per core serves small models best */
  constructor(size: number, engine: EngineOptions = {}) {
    // The TensorFlow library reads the environment of the process, not of a worker.
    setEngineEnvironment(engine.threads);
    this.#workers = Array.from({ length: size }, () => new PoolWorker(engine));
    this.broken = Promise.race(this.#workers.map(({ broken }) => broken));
    // Nobody need watch it.
    this.broken.catch(() => undefined);
  }

  /** Opens the spec's data and builds its model in one of the workers, in turn. Throws what they throw, coded. */
  async create(spec: TrainerSpec): Promise<Trainer> {
    const worker = this.#workers[this.#next++ % this.#workers.length] as PoolWorker;
    return worker.create(spec);
  }

  /** Which engine the workers run on. */
  engine(): Promise<EngineInfo> {
    return (this.#workers[0] as PoolWorker).call({ kind: "engine" });
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }
}

class PoolWorker {
  readonly broken: Promise<never>;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #sequence = 0;
  #failure: unknown = null;
  #closed = false;
  #breaks: (error: unknown) => void = () => undefined;

  constructor(engine: EngineOptions) {
    this.broken = new Promise((_, reject) => {
      this.#breaks = reject;
    });
    this.#worker = new Worker(new URL("./pool-worker.js", import.meta.url), { workerData: engine });
    this.#worker.on("message", (message: FromWorker) => this.#receive(message));
    this.#worker.on("error", (error) => this.#fail(error));
    this.#worker.on("exit", () => this.#fail(new CodedError("TRAINING_FAILED", "the training worker has stopped")));
  }

  async create(spec: TrainerSpec): Promise<Trainer> {
    const id = ++this.#sequence;
    const facts = await this.call<TrainerFacts>({ kind: "create", trainer: id, spec });
    return {
      ...facts,
      train: (job) => this.#train(id, job),
      evaluate: (params, signal, personal) =>
        this.call(
          { kind: "evaluate", trainer: id, params, ...(personal !== undefined && { personal }) } satisfies ToWorker,
          signal,
        ),
      dispose: () => void this.call({ kind: "dispose", trainer: id }).catch(() => {}),
    };
  }

  call<T>(request: ToWorker, signal?: AbortSignal, progress?: TrainingJob["onProgress"]): Promise<T> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const call = ++this.#sequence;
    const abort = () => this.#worker.postMessage({ kind: "abort", call } satisfies ToWorker);
    signal?.addEventListener("abort", abort, { once: true });
    const result = new Promise<T>((resolve, reject) => {
      this.#pending.set(call, { resolve: resolve as Pending["resolve"], reject, ...(progress && { progress }) });
      this.#worker.postMessage({ ...request, call });
    });
    return result.finally(() => signal?.removeEventListener("abort", abort));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#failure ??= new CodedError("TRAINING_FAILED", "the training pool is closed");
    await this.#worker.terminate();
  }

  async #train(trainer: number, job: TrainingJob): Promise<TrainingResult> {
    const { params, personal, round, rng, checkpointDir } = job;
    const request: ToWorker = {
      kind: "train",
      trainer,
      params,
      ...(personal !== undefined && { personal }),
      round,
      rng: rng.save(),
      ...(checkpointDir !== undefined && { checkpointDir }),
    };
    return this.call<TrainingResult>(request, job.signal, job.onProgress);
  }

  #receive(message: FromWorker): void {
    const pending = this.#pending.get(message.call);
    if (pending === undefined) return;
    if (message.kind === "progress") {
      pending.progress?.(message.progress);
      return;
    }
    this.#pending.delete(message.call);
    if (message.kind === "result") pending.resolve(message.value as never);
    else pending.reject(new CodedError(message.code, message.text, message.details));
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(this.#failure);
    this.#pending.clear();
    if (!this.#closed) this.#breaks(this.#failure);
  }
}
