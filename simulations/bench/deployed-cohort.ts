/**
 * The coordinator of a large cohort by itself: this process is a deployed coordinator with its database and disk, and all
 * clients are real ones over loopback, in another process. One secure round, in which one client in ten vanishes.
 */
import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { readEndpoint } from "../../coordinator/enrol/folder.ts";
import { openCoordinator } from "../../coordinator/main.ts";
import { DEPLOYED } from "../../coordinator/round/parts.ts";
import type { RoundReport } from "../../coordinator/round/report.ts";
import { Deployment } from "../deployment.ts";
import { noOpTrainer } from "../population/no-op-trainer.ts";
import { cohortNames, vanishes } from "./cohort.ts";
import { benchConfig } from "./rounds.ts";
import type { Figures } from "./suite.ts";

const PARAMS = 100_000;
const SAMPLE_MS = 100;

export async function deployedCohort(clients: number): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), "allulook-cohort-"));
  const base = benchConfig("malicious", clients, 1);
  const phaseDeadlines = { ...base.schedule.phaseDeadlines, shareKeys: 600_000, unmask: 600_000 };
  const config = {
    ...base,
    listen: { ...base.listen, port: 0 },
    schedule: { ...base.schedule, phaseDeadlines },
  };
  let child: ReturnType<typeof fork> | null = null;
  let sampling: ReturnType<typeof setInterval> | null = null;
  try {
    const deployment = await Deployment.create(folder, config);
    const rounds: RoundReport[] = [];
    const running = await openCoordinator(
      deployment.paths.config,
      pino({ level: "silent" }),
      { round: (report) => void rounds.push(report) },
      { ...DEPLOYED, evaluationEvery: 0, publish: false, attempts: 1 },
      { layout: noOpTrainer(PARAMS).layout, params: () => Promise.resolve(new Float32Array(PARAMS)) },
    );
    const over = running.coordinator.run();
    while ((await readEndpoint(deployment.paths))?.pid !== process.pid) await wait(5);
    for (const name of cohortNames(clients)) await deployment.addSite(name, folder);
    global.gc?.();
    const baseMB = process.memoryUsage.rss() / 1e6;
    let peakMB = baseMB;
    sampling = setInterval(() => (peakMB = Math.max(peakMB, process.memoryUsage.rss() / 1e6)), SAMPLE_MS);
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const before = process.cpuUsage();
    const sites = deployment.sites.map(({ folder: site }, i) => (vanishes(i) ? `-${site}` : site));
    child = fork(fileURLToPath(new URL("./cohort-client.js", import.meta.url)), [String(PARAMS), ...sites], {
      execArgv: ["--no-warnings"],
    });
    const started = performance.now();
    await over;
    const { user, system } = process.cpuUsage(before);
    const seconds = (performance.now() - started) / 1000;
    const asked = new Promise((resolve) => child?.once("message", resolve));
    child.send("figures");
    const theirs = (await asked) as { cpuSeconds: number; idleMB: number; peakMB: number };
    await running.close();
    const [round] = rounds;
    if (round?.status !== "completed") throw new Error(`the round failed: ${round?.reason?.message}`);
    return {
      clients,
      survivors: round.survivors,
      seconds,
      roundSeconds: round.seconds.total,
      coordinatorCpuSeconds: (user + system) / 1e6,
      coordinatorBaseMB: baseMB,
      coordinatorAboveBaseMB: peakMB - baseMB,
      longestPauseMs: delay.max / 1e6,
      clientCpuMs: (1_000 * theirs.cpuSeconds) / clients,
      clientMB: (theirs.peakMB - theirs.idleMB) / clients,
      uploadMB: round.bytes.upload / 1e6,
      downloadMB: round.bytes.download / 1e6,
    };
  } finally {
    if (sampling !== null) clearInterval(sampling);
    child?.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
}
