/** `allulook simulate` and `allulook train`: data on disk in, a federation in this process, releases and a report out. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { encodePersonal } from "../client/model-cache/personal.ts";
import { TrainerPool } from "../client/training/pool.ts";
import type { Trainer } from "../client/training/trainer.ts";
import type { Observer } from "../coordinator/round/parts.ts";
import type { RoundReport } from "../coordinator/round/report.ts";
import { readBaseBytes } from "../coordinator/base-model.ts";
import { begunWith, initialModel } from "../coordinator/release/initial-model.ts";
import type { Release } from "../coordinator/release/publish.ts";
import { federationConfig, type FederationConfig } from "../shared/config/federation.ts";
import { basePart } from "../shared/release/base.ts";
import { chosenMetrics } from "../shared/config/own-model.ts";
import { clientName, type ClientName } from "../shared/ids.ts";
import { writeFileDurably } from "../shared/node/files.ts";
import { metricsFromStatistics } from "../models/metrics/statistics.ts";
import type { EngineInfo } from "../models/engine/node/load.ts";
import type { ClientData } from "./arrange.ts";
import { simulateFederation, type SimulatedFederation, type SimulationResult } from "./federation.ts";
import { predictionPictures } from "./pictures.ts";
import { readSaved, writeSaved } from "./saved-simulation.ts";
import { writeReport, type WrittenReport } from "./report/html.ts";
import type { Report } from "./report/schema.ts";

/** Beside report.json: everything needed to run the same again, or centrally with `train --match`. */
export const SETUP_FILE = "setup.json";
const indices = z.array(z.int().min(0));
export const setupFile = z.strictObject({
  config: federationConfig,
  dataName: z.string(),
  generated: z.boolean(),
  clients: z.array(
    z.strictObject({
      name: clientName,
      parts: z.array(
        z.strictObject({
          dir: z.string(),
          map: z.record(z.string(), z.string()).optional(),
          indices: indices.optional(),
        }),
      ),
      split: z.strictObject({ train: indices, evaluation: indices, unlabelled: indices.optional() }),
    }),
  ),
});

export interface RunSetting {
  readonly config: FederationConfig;
  readonly clients: readonly ClientData[];
  readonly out: string;
  readonly data: { readonly name: string; readonly generated: boolean };
  /** Worker processes that train; default: one per core. Results do not depend on it. */
  readonly workers?: number;
  /** Threads of one operation; results to the bit depend on it. */
  readonly threads?: number;
  readonly observer?: Observer;
  readonly options?: SimulatedFederation["options"];
  /** Told about each client's training, for progress. */
  readonly onTraining?: (client: ClientName, step: number, steps: number) => void;
  readonly pictures?: number;
  /** Trains in these workers and leaves them open; `workers` and `threads` are then theirs. */
  readonly pool?: TrainerPool;
  /** A part of the federation's rounds: how many are completed at its end, where it goes on from, where it is kept. */
  readonly part?: { readonly rounds: number; readonly from: string | null; readonly to: string };
}

export interface RunResult extends WrittenReport {
  readonly report: Report;
  readonly result: SimulationResult;
  readonly releaseFolder: string | null;
}

/** Throws what data, model and configuration are wrong about, coded. */
export async function run(setting: RunSetting, signal?: AbortSignal): Promise<RunResult> {
  const { config, clients, out, data, part } = setting;
  const pool = setting.pool ?? openPool(setting);
  let trainers: ReadonlyMap<ClientName, Trainer> = new Map();
  try {
    const engine = await pool.engine();
    const { model, labels, input, training } = config;
    const base = model.base === undefined ? null : await readBaseBytes(model.init, model.base);
    const file = base === null || basePart(config) === null ? null : join(out, "cache", "model.base");
    if (file !== null) await writeFileDurably(file, base as Uint8Array);
    trainers = await openTrainers(pool, setting, file);
    const first = [...trainers.values()][0] as Trainer;
    const plain = await initialModel({ model, labels, input, training }, config.seed, join(out, "cache"));
    const begin = begunWith(plain, config.strategy);
    await writeFileDurably(
      join(out, SETUP_FILE),
      `${JSON.stringify({ config, dataName: data.name, generated: data.generated, clients })}\n`,
    );
    const result = await simulateFederation(
      {
        config,
        trainers,
        initialParams: begin.params,
        base,
        out,
        countMessages: true,
        ...(setting.observer !== undefined && { observer: setting.observer }),
        options: { ...setting.options, ...(part !== undefined && { rounds: part.rounds }) },
        ...(part?.from != null && { saved: await readSaved(part.from) }),
      },
      signal,
    );
    if (part !== undefined) await writeSaved(part.to, result.saved);
    // What a strategy keeps at the sites is no part of anybody's model.
    const personal = config.training.personal.length > 0 ? result.personal : new Map<ClientName, Float32Array>();
    const releaseFolder = result.release?.folder ?? null;
    const pictures =
      setting.pictures === 0 || releaseFolder === null || result.release?.manifest.model === null
        ? []
        : await predictionPictures(
            releaseFolder,
            clients,
            setting.pictures ?? 8,
            async (name) => personal.get(name) ?? null,
          );
    for (const [name, { personal: layout }] of trainers) {
      const own = personal.get(name);
      if (layout === undefined || own === undefined) continue;
      await writeFileDurably(join(out, "personal", `${name}.personal`), encodePersonal(layout, own), 0o600);
    }
    const sites = await scoreEach(trainers, personal, result.params, model.own);
    const report = { ...reportOf(config, data, engine, first.layout.length, result.rounds, result.release), sites };
    return { ...(await writeReport(out, report, pictures)), report, result, releaseFolder };
  } finally {
    if (setting.pool === undefined) await pool.close();
    else for (const trainer of trainers.values()) trainer.dispose();
  }
}

/** Workers for {@link run}: one per core, and no more than there are clients. */
export function openPool({
  workers,
  threads,
  clients,
}: Pick<RunSetting, "workers" | "threads" | "clients">): TrainerPool {
  return new TrainerPool(Math.min(workers ?? availableParallelism(), clients.length), { threads: threads ?? 1 });
}

/** What only a simulation may see of all clients at once. */
async function scoreEach(
  trainers: ReadonlyMap<ClientName, Trainer>,
  personal: SimulationResult["personal"],
  params: Float32Array,
  own: FederationConfig["model"]["own"],
): Promise<NonNullable<Report["sites"]>> {
  const { signal } = new AbortController();
  return Promise.all(
    [...trainers].map(async ([site, trainer]) => {
      const counts = await trainer.evaluate(params, signal, personal.get(site));
      const metrics = chosenMetrics(own, metricsFromStatistics(trainer.statistics, counts));
      return {
        site,
        samples: trainer.evaluationExamples,
        metrics: { ...metrics } as Report["rounds"][number]["metrics"],
      };
    }),
  );
}

async function openTrainers(
  pool: TrainerPool,
  setting: RunSetting,
  base: string | null,
): Promise<Map<ClientName, Trainer>> {
  const { config, clients, onTraining } = setting;
  const trainers = await Promise.all(
    clients.map(async ({ name, parts, split }): Promise<[ClientName, Trainer]> => {
      const { distillation } = config.training;
      const teacher = distillation === null ? {} : { teacher: distillation.teacher };
      const spec = { clientName: name, config, seed: config.seed, data: parts, split, ...teacher };
      const trainer = await pool.create({ ...spec, ...(base !== null && { base }) });
      if (onTraining === undefined) return [name, trainer];
      const train: Trainer["train"] = (job) =>
        trainer.train({
          ...job,
          onProgress: (progress) => {
            onTraining(name, progress.step, progress.steps);
            job.onProgress(progress);
          },
        });
      return [name, { ...trainer, train }];
    }),
  );
  return new Map(trainers);
}

/** The report of a federation that was simulated or deployed. */
export function reportOf(
  config: FederationConfig,
  data: RunSetting["data"],
  engine: EngineInfo,
  params: number,
  rounds: readonly RoundReport[],
  release: Pick<Release, "manifest"> | null,
): Report {
  return {
    schema: 1,
    seed: config.seed,
    engine: engine.backend,
    model: { name: config.model.name, preset: config.model.preset, params },
    secureAggregation: config.secureAggregation.mode,
    threads: engine.threads,
    privacy: privacyEntry(config, rounds),
    rounds: rounds.map((round) => ({ ...round, excluded: [...round.excluded] })),
    release: release === null ? null : releaseEntryOf(release),
    data: { ...data, evaluation: "held out by the clients" },
  };
}

/** What was protected, and what all rounds together cost. */
function privacyEntry({ privacy }: FederationConfig, rounds: readonly RoundReport[]): Report["privacy"] {
  if (privacy.unit === "none") return { unit: "none", epsilon: null, delta: null };
  return { unit: privacy.unit, epsilon: rounds.at(-1)?.epsilon ?? 0, delta: privacy.delta };
}

/** The release's entry in report.json. */
function releaseEntryOf({ manifest }: Pick<Release, "manifest">): Report["release"] {
  const { model } = manifest;
  return {
    version: manifest.version,
    sha256: manifest.paramsHash,
    parentSha256: manifest.parentHash,
    dtype: model?.dtype ?? "fp32",
    sizeBytes: model?.sizeBytes ?? 0,
    updateBytes: manifest.updateBytes,
    fp32SizeBytes: model?.fp32SizeBytes ?? 0,
    accuracyDrop: manifest.drops,
    evaluation: manifest.evaluation,
    fallbacks: model?.fallbacks.length ?? 0,
  };
}
