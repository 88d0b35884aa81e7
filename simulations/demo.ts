/** `allulook demo`: a whole federation of real processes on this machine, from data to report. */
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { RoundReport } from "../coordinator/round/report.ts";
import type { CoordinatorStatus } from "../coordinator/create.ts";
import { NodeCrypto } from "../shared/node/crypto.ts";
import { readManifest } from "../shared/release/manifest.ts";
import { personalFile } from "../client/model-cache/install.ts";
import { decodePersonal } from "../client/model-cache/personal.ts";
import type { LocalScore } from "../client/session/ports.ts";
import { sitePaths } from "../client/site-folder.ts";
import { checkFederationConfig } from "../coordinator/config.ts";
import { completeConfig } from "../coordinator/own-model.ts";
import { federationConfig, type FederationConfig } from "../shared/config/federation.ts";
import { parseConfig } from "../shared/config/parse.ts";
import { CodedError } from "../shared/errors.ts";
import { writeFileDurably } from "../shared/node/files.ts";
import { setEngineEnvironment, loadEngine } from "../models/engine/node/load.ts";
import { arrange, labelsOfFolders, type ClientData } from "./arrange.ts";
import { Deployment, exitOf } from "./deployment.ts";
import { generatedData } from "./generated-data.ts";
import { predictionPictures } from "./pictures.ts";
import { writeShare } from "./partition/write-share.ts";
import { writeReport, type WrittenReport } from "./report/html.ts";
import type { Report } from "./report/schema.ts";
import { reportOf, SETUP_FILE } from "./run.ts";

export interface DemoSetting {
  readonly data: string | null;
  readonly clients: number;
  readonly rounds: number;
  readonly perSite: number;
  readonly localSteps: number;
  readonly seed: number;
  readonly mode: FederationConfig["secureAggregation"]["mode"];
  readonly out: string;
  /** Release folder to begin from. */
  readonly init?: string;
  /** Changes single fields of the configuration; throws USAGE. */
  readonly settled?: (config: FederationConfig) => object;
  readonly onStatus: (status: CoordinatorStatus) => void;
  readonly onRound: (round: RoundReport) => void;
  readonly say: (text: string) => void;
}

/** A folder that an earlier demo made, and may therefore be replaced. */
const MARKER = ".allulook-demo";
const POLL_MS = 250;
/** Rounds that may fail in a row. */
const MOST_FAILURES = 3;

export interface DemoResult extends WrittenReport {
  readonly report: Report;
}

/** Throws DATA_ and CONFIG_ codes, USAGE for a folder that is not a demo's, and ROUND_FAILED when rounds are missing. */
export async function demo(setting: DemoSetting, signal: AbortSignal): Promise<DemoResult> {
  const { out, seed, rounds, say } = setting;
  await clear(out);
  const source = setting.data ?? (await generatedData(join(out, "data"), setting.clients, setting.perSite, 128, seed));
  const { config, clients } = await planDemo(setting, source);
  await writeFileDurably(
    join(out, SETUP_FILE),
    `${JSON.stringify({ config, dataName: nameOf(setting.data), generated: setting.data === null, clients })}\n`,
  );
  const deployment = await Deployment.create(out, config);
  try {
    say(
      `one coordinator and ${clients.length} clients start as processes of their own; logs are in ${join(out, "logs")}`,
    );
    const coordinator = await deployment.startCoordinator();
    for (const { name, parts } of clients) {
      const share = join(out, "sites", name, "data");
      for (const part of parts) await writeShare(part.dir, part.indices ?? [], share);
      deployment.startClient(await deployment.addSite(name, share));
    }
    await follow(deployment, setting, coordinator, signal);
    const done = await deployment.rounds();
    if (signal.aborted) throw new CodedError("INTERRUPTED", "the demo was interrupted");
    return await finish(setting, config, clients, done);
  } finally {
    await deployment.stop();
  }

  async function planDemo(
    from: DemoSetting,
    dir: string,
  ): Promise<{ config: FederationConfig; clients: readonly ClientData[] }> {
    const labels = await labelsOfFolders([dir]);
    const raw = {
      federation: "demo",
      seed,
      listen: { port: 0 },
      labels,
      ...(from.init !== undefined && { model: { init: from.init } }),
      // A few rounds go further so: docs/decisions/few-rounds.md.
      training: { localSteps: from.localSteps, optimizer: { decay: 0.5 } },
      strategy: { name: "fedavg", serverMomentum: 0.5 },
      schedule: {
        rounds,
        cohort: { min: from.clients, max: Math.max(64, from.clients) },
        phaseDeadlines: { recruit: "60s" },
      },
      secureAggregation: { mode: from.mode },
      evaluation: { patience: "60s" },
    };
    const parsed = parseConfig(federationConfig, await completeConfig(raw, process.cwd(), "demo"), "demo");
    const settled = from.settled === undefined ? parsed : parseConfig(federationConfig, from.settled(parsed), "demo");
    const { config } = checkFederationConfig(settled, "demo");
    return { config, clients: await arrange(config, [dir], from.clients, { by: "site" }, null) };
  }
}

async function clear(out: string): Promise<void> {
  if (existsSync(out)) {
    if (!existsSync(join(out, MARKER))) {
      throw new CodedError("USAGE", `${out} exists and was not made by a demo; give another --out`, { field: "out" });
    }
    await rm(out, { recursive: true });
  }
  await writeFileDurably(join(out, MARKER), "");
}

function nameOf(data: string | null): string {
  return data === null ? "generated rooms" : (data.replace(/\/+$/, "").split("/").at(-1) ?? data);
}

/** Watches until the coordinator's process ends. */
async function follow(
  deployment: Deployment,
  { onStatus, onRound, rounds }: DemoSetting,
  coordinator: ChildProcess,
  signal: AbortSignal,
): Promise<void> {
  const ended = exitOf(coordinator);
  let told = 0;
  let before = "";
  while (isRunning(coordinator) && !signal.aborted) {
    const status = await deployment.status();
    if (status !== null) {
      onStatus(status);
      const now = `${status.round} ${status.phase}`;
      const all = now === before ? [] : await deployment.rounds();
      before = now;
      for (const round of all.slice(told)) onRound(round);
      told = Math.max(told, all.length);
      // A deployed coordinator goes on trying for days; nobody waits for that here.
      const last = all.slice(-MOST_FAILURES);
      if (last.length === MOST_FAILURES && last.every((round) => round.status === "failed")) {
        throw new CodedError("ROUND_FAILED", last.at(-1)?.reason?.message ?? "no round is completed");
      }
    }
    const dead = deployment.sites.find(({ name }) => failed(deployment, name));
    if (dead !== undefined && isRunning(coordinator)) {
      throw new CodedError("TRAINING_FAILED", `${dead.name} has ended; its log is ${deployment.logOf(dead.name)}`);
    }
    await Promise.race([ended, wait(POLL_MS)]);
  }
  if (signal.aborted) return;
  const code = await ended;
  for (const round of (await deployment.rounds()).slice(told)) onRound(round);
  if (code !== 0) {
    throw new CodedError(
      "COORDINATOR_FAILED",
      `not all of the ${rounds} rounds were completed; see ${deployment.logOf("coordinator")}`,
    );
  }
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}

function failed(deployment: Deployment, name: string): boolean {
  const code = deployment.processes.get(name)?.exitCode;
  return code !== null && code !== undefined && code !== 0;
}

async function finish(
  setting: DemoSetting,
  config: FederationConfig,
  clients: readonly ClientData[],
  done: readonly RoundReport[],
): Promise<DemoResult> {
  const { out } = setting;
  const version = done.filter(({ round, status }) => round > 0 && status === "completed").length;
  const releaseFolder = join(out, "releases", String(version));
  const bytes = await readFile(join(releaseFolder, "manifest.json"));
  const manifest = readManifest(new NodeCrypto(), bytes, null);
  setEngineEnvironment(1);
  const engine = await loadEngine();
  const pictures = await predictionPictures(releaseFolder, clients, 8, (name) => installedPersonal(out, name, version));
  const data = { name: nameOf(setting.data), generated: setting.data === null };
  const sites = await Promise.all(clients.map(({ name }) => lastScore(out, name)));
  const report = {
    ...reportOf(config, data, engine, manifest.params, done, { manifest }),
    sites: sites.filter((score) => score !== null),
  };
  return { ...(await writeReport(out, report, pictures)), report };
}

/** What a site keeps for itself beside the version that it has installed; null: nothing. */
async function installedPersonal(out: string, name: string, version: number): Promise<Float32Array | null> {
  const { releases } = sitePaths(join(out, "sites", name));
  const bytes = await readFile(personalFile(releases, version)).catch(() => null);
  return bytes === null ? null : decodePersonal(bytes).params;
}

/** The newest of the scores that stay at the site: all are on this machine. */
async function lastScore(out: string, name: string): Promise<NonNullable<Report["sites"]>[number] | null> {
  const text = await readFile(sitePaths(join(out, "sites", name)).scores, "utf8").catch(() => "");
  const line = text.trim().split("\n").at(-1) ?? "";
  if (line === "") return null;
  const { metrics, samples } = JSON.parse(line) as LocalScore;
  return { site: name, samples, metrics: { ...metrics } as RoundReport["metrics"] };
}
