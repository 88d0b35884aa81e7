/** Rounds of a deployed federation whose clients do not train: a coordinator, client processes, sockets and disks. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { openCoordinator } from "../../coordinator/main.ts";
import { DEPLOYED } from "../../coordinator/round/parts.ts";
import type { RoundReport } from "../../coordinator/round/report.ts";
import { readEndpoint } from "../../coordinator/enrol/folder.ts";
import type { ClientName } from "../../shared/ids.ts";
import { Deployment } from "../deployment.ts";
import { noOpTrainer } from "../population/no-op-trainer.ts";
import { middle } from "./clock.ts";
import { benchConfig } from "./rounds.ts";
import type { Figures } from "./suite.ts";

const CLIENTS = 4;
const ROUNDS = 5;

/** Secure aggregation on, without release and evaluation; this process is the coordinator. */
export async function deployedRounds(params: number): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), "allulook-bench-"));
  const base = benchConfig("malicious", CLIENTS, ROUNDS);
  const config = { ...base, listen: { ...base.listen, port: 0 } };
  const children: ReturnType<typeof spawn>[] = [];
  try {
    const started = performance.now();
    const deployment = await Deployment.create(folder, config);
    const rounds: RoundReport[] = [];
    let first = 0;
    const running = await openCoordinator(
      deployment.paths.config,
      pino({ level: "silent" }),
      {
        round: (report) => {
          first ||= performance.now() - started;
          rounds.push(report);
        },
      },
      { ...DEPLOYED, evaluationEvery: 0, publish: false },
      { layout: noOpTrainer(params).layout, params: () => Promise.resolve(new Float32Array(params)) },
    );
    const over = running.coordinator.run();
    while ((await readEndpoint(deployment.paths))?.pid !== process.pid) await wait(5);
    for (let i = 1; i <= CLIENTS; i++) {
      const site = await deployment.addSite(`client-${i}` as ClientName, folder);
      const entry = fileURLToPath(new URL("./no-op-client.js", import.meta.url));
      children.push(
        spawn(process.execPath, ["--no-warnings", entry, site.folder, String(params)], { stdio: "inherit" }),
      );
    }
    await over;
    await running.close();
    const phase = (name: keyof RoundReport["seconds"]) => 1000 * middle(rounds.map(({ seconds }) => seconds[name]));
    return {
      rounds: rounds.filter(({ status }) => status === "completed").length,
      msPerRound: phase("total"),
      msTrain: phase("train"),
      msSecureAggregation: phase("secureAggregation"),
      msAggregate: phase("aggregate"),
      msFirstRound: first,
    };
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
}
