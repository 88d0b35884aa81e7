/**
 * The coordinator of a large cohort by itself: this process is a deployed coordinator with its database and disk, and all
 * clients are real ones over loopback, some hundred in each of a few other processes. One secure round, in which one client
 * in ten vanishes.
 */
import { fork } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { openFederation, readEndpoint } from "../../coordinator/enrol/folder.ts";
import { openCoordinator } from "../../coordinator/main.ts";
import { DEPLOYED } from "../../coordinator/round/parts.ts";
import type { RoundReport } from "../../coordinator/round/report.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import type { Certificate } from "../../shared/secagg/certificate.ts";
import { decodeInvitation, joinBytes } from "../../shared/wire/invitation.ts";
import { PROTOCOL_VERSION } from "../../shared/wire/messages.ts";
import { Deployment } from "../deployment.ts";
import type { Cohort } from "./cohort-client.ts";
import { noOpTrainer } from "../population/no-op-trainer.ts";
import { cohortNames, vanishes, whenShared } from "./cohort.ts";
import { benchConfig } from "./rounds.ts";
import type { Figures } from "./suite.ts";

const PARAMS = 100_000;
const SAMPLE_MS = 100;
const CLIENTS_A_PROCESS = 250;

export async function deployedCohort(clients: number): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), "allulook-cohort-"));
  const plain = benchConfig("malicious", clients, 1);
  const phaseDeadlines = { ...plain.schedule.phaseDeadlines, shareKeys: 600_000, unmask: 600_000 };
  const config = {
    ...plain,
    listen: { ...plain.listen, port: 0 },
    schedule: { ...plain.schedule, phaseDeadlines },
  };
  const children: ReturnType<typeof fork>[] = [];
  let sampling: ReturnType<typeof setInterval> | null = null;
  try {
    const deployment = await Deployment.create(folder, config);
    const enrolled = await enrol(deployment.folder, config, clients);
    const rounds: RoundReport[] = [];
    let left = false;
    const running = await openCoordinator(
      deployment.paths.config,
      pino({ level: "silent" }),
      {
        round: (report) => void rounds.push(report),
        event: whenShared(() => {
          if (!left) for (const child of children) child.send("leave");
          left = true;
        }),
      },
      { ...DEPLOYED, evaluationEvery: 0, publish: false, attempts: 1 },
      { layout: noOpTrainer(PARAMS).layout, params: () => Promise.resolve(new Float32Array(PARAMS)) },
    );
    const over = running.coordinator.run();
    while ((await readEndpoint(deployment.paths))?.pid !== process.pid) await wait(5);
    const file = join(folder, "cohort.json");
    await writeFile(file, JSON.stringify({ ...enrolled, url: running.url(), params: PARAMS } satisfies Cohort));
    const base = memoryMB();
    let peak = base;
    sampling = setInterval(() => {
      const now = memoryMB();
      peak = { rss: Math.max(peak.rss, now.rss), used: Math.max(peak.used, now.used) };
    }, SAMPLE_MS);
    const before = process.cpuUsage();
    for (let first = 0; first < clients; first += CLIENTS_A_PROCESS) {
      const own = [file, first, Math.min(CLIENTS_A_PROCESS, clients - first)].map(String);
      const program = fileURLToPath(new URL("./cohort-client.js", import.meta.url));
      children.push(fork(program, own, { execArgv: ["--no-warnings"] }));
    }
    const started = performance.now();
    await over;
    const { user, system } = process.cpuUsage(before);
    const seconds = (performance.now() - started) / 1000;
    const theirs = await Promise.all(children.map(figuresOf));
    await running.close();
    const [round] = rounds;
    if (round?.status !== "completed") throw new Error(`the round failed: ${round?.reason?.message}`);
    return {
      clients,
      survivors: round.survivors,
      seconds,
      roundSeconds: round.seconds.total,
      coordinatorCpuSeconds: (user + system) / 1e6,
      coordinatorBaseMB: base.rss,
      coordinatorAboveBaseMB: peak.rss - base.rss,
      coordinatorUsedAboveBaseMB: peak.used - base.used,
      excluded: Object.keys(round.excluded).length,
      clientCpuMs: (1_000 * sumOf(theirs, ({ cpuSeconds }) => cpuSeconds)) / clients,
      clientMB: sumOf(theirs, ({ peakMB, idleMB }) => peakMB - idleMB) / clients,
      uploadMB: round.bytes.upload / 1e6,
      downloadMB: round.bytes.download / 1e6,
    };
  } finally {
    if (sampling !== null) clearInterval(sampling);
    for (const child of children) child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of this process: what the system gave it, and what it uses of that, rubbish that is not yet collected included. */
function memoryMB(): { readonly rss: number; readonly used: number } {
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss: rss / 1e6, used: (heapUsed + external) / 1e6 };
}

interface ProcessFigures {
  readonly cpuSeconds: number;
  readonly idleMB: number;
  readonly peakMB: number;
}

function figuresOf(child: ReturnType<typeof fork>): Promise<ProcessFigures> {
  return new Promise((resolve) => {
    child.once("message", (figures) => resolve(figures as ProcessFigures));
    child.send("figures");
  });
}

function sumOf(all: readonly ProcessFigures[], what: (figures: ProcessFigures) => number): number {
  return all.reduce((sum, figures) => sum + what(figures), 0);
}

/** Invites and certifies all clients at once: over the wire so many would be refused from one address. */
async function enrol(
  folder: string,
  config: FederationConfig,
  clients: number,
): Promise<Omit<Cohort, "url" | "params">> {
  const crypto = new NodeCrypto();
  const random = systemRandom();
  const federation = await openFederation(folder, config, crypto, random, Date.now);
  const { enrolment, identity, key } = federation;
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const sites: Cohort["sites"][number][] = [];
  for (const [i, name] of cohortNames(clients).entries()) {
    const { token: line } = await enrolment.invite(name, "http://127.0.0.1:1", 3_600_000, false);
    const { secret: token } = decodeInvitation(line);
    const seed = random.bytes(32);
    const own = crypto.signingKey(seed);
    const signingKey = hex(own.publicKey) as Sha256;
    const proof = hex(own.sign(joinBytes(token, name, signingKey)));
    const { certificate } = await enrolment.join({ protocol: PROTOCOL_VERSION, token, name, signingKey, proof });
    sites.push({ name, seed: hex(seed), certificate: certificate as Certificate, vanishes: vanishes(i) });
  }
  await federation.close();
  const { federationId, authorityKey } = identity;
  return { federation: federationId, coordinatorKey: hex(key.publicKey) as Sha256, authorityKey, sites };
}
