/**
 * A federation of real processes on this machine: one coordinator and one client process per site, over loopback.
 * Makes what people make with init, invite, join and plan approve, in one folder that is a federation's folder.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseDocument, stringify } from "yaml";
import { joinFederation } from "../client/enrol/join.ts";
import { recordApproval } from "../client/plan/approvals.ts";
import { sitePaths } from "../client/site-folder.ts";
import type { CoordinatorStatus } from "../coordinator/create.ts";
import { askCoordinator, doMemberAction } from "../coordinator/enrol/admin-client.ts";
import { federationPaths, readEndpoint } from "../coordinator/enrol/folder.ts";
import { initFederation } from "../coordinator/enrol/init.ts";
import type { RoundReport } from "../coordinator/round/report.ts";
import type { FederationConfig } from "../shared/config/federation.ts";
import { configHashOf, planOf, planText } from "../shared/config/plan.ts";
import { CodedError } from "../shared/errors.ts";
import type { ClientName } from "../shared/ids.ts";
import { NodeCrypto, systemRandom } from "../shared/node/crypto.ts";
import { writeFileDurably } from "../shared/node/files.ts";

const COMMAND = fileURLToPath(new URL("../../bin/allulook", import.meta.url));
const START_MS = 60_000;

export interface Site {
  readonly name: ClientName;
  readonly folder: string;
}

export class Deployment {
  readonly folder: string;
  readonly config: FederationConfig;
  readonly sites: Site[] = [];
  readonly processes = new Map<string, ChildProcess>();
  readonly #command: string;

  private constructor(folder: string, config: FederationConfig, command: string) {
    this.folder = folder;
    this.config = config;
    this.#command = command;
  }

  /**
   * Makes the federation's folder with keys and federation.yaml. `folder` must hold no federation yet; `command` is the
   * allulook to run.
   */
  static async create(folder: string, config: FederationConfig, command = COMMAND): Promise<Deployment> {
    const options = {
      name: config.federation,
      host: config.listen.host,
      port: config.listen.port,
      authorityFile: null,
    };
    const { paths } = await initFederation(folder, options, new NodeCrypto(), systemRandom());
    await writeFileDurably(paths.config, stringify(writable(config)));
    return new Deployment(folder, config, command);
  }

  get paths() {
    return federationPaths(this.folder);
  }

  /** Starts the coordinator's process and resolves once its port is open. */
  async startCoordinator(flags: readonly string[] = ["--exit-when-done"]): Promise<ChildProcess> {
    const child = this.#spawn("coordinator", ["coordinator", "--config", this.paths.config, ...flags]);
    const until = Date.now() + START_MS;
    while (Date.now() < until && child.exitCode === null && child.signalCode === null) {
      if ((await readEndpoint(this.paths))?.pid === child.pid) return child;
      await wait(20);
    }
    throw new CodedError("COORDINATOR_UNREACHABLE", `the coordinator did not start; see ${this.logOf("coordinator")}`);
  }

  /** Invites, joins and approves a site whose data lies in `dataset`; the coordinator must be running. */
  async addSite(name: ClientName, dataset: string): Promise<Site> {
    const crypto = new NodeCrypto();
    const rng = systemRandom();
    const url = (await readEndpoint(this.paths))?.url;
    const input = { name, url, valid: "1h" };
    const invitation = (await doMemberAction(this.paths, this.config, "invite", input, crypto, rng)) as {
      token: string;
    };
    const folder = join(this.folder, "sites", name);
    await joinFederation(invitation.token, folder, crypto, rng, { data: dataset });
    const paths = sitePaths(folder);
    const yaml = parseDocument(await readFile(paths.config, "utf8"));
    // Several sites share this machine: one core each, and no lower priority than the rest.
    yaml.setIn(["policy", "cpu"], { threads: 1, nice: 0 });
    yaml.setIn(["policy", "minCohort"], Math.min(4, this.config.schedule.cohort.min));
    yaml.setIn(["policy", "models"], [this.config.model.name]);
    yaml.setIn(["policy", "requireSecureAggregation"], this.config.secureAggregation.mode);
    await writeFileDurably(paths.config, yaml.toString());
    const configHash = configHashOf(planText(planOf(this.config)));
    await recordApproval(paths.approvals, { configHash, at: new Date().toISOString(), by: "demo" });
    const site = { name, folder };
    this.sites.push(site);
    return site;
  }

  /** `nodeFlags` go to Node itself. */
  startClient(site: Site, nodeFlags: readonly string[] = []): ChildProcess {
    return this.#spawn(site.name, ["client", "--data", site.folder], nodeFlags);
  }

  /** What the running coordinator is doing; null when it does not run. */
  async status(): Promise<CoordinatorStatus | null> {
    const answer = await askCoordinator(this.paths, "status", {}).catch(() => null);
    return answer === null ? null : (answer.result as CoordinatorStatus);
  }

  async rounds(): Promise<RoundReport[]> {
    return (await doMemberAction(
      this.paths,
      this.config,
      "rounds",
      {},
      new NodeCrypto(),
      systemRandom(),
    )) as RoundReport[];
  }

  logOf(name: string): string {
    return join(this.folder, "logs", `${name}.log`);
  }

  /** Ends every process that still runs, in an orderly way, and then by force. */
  async stop(): Promise<void> {
    const running = [...this.processes.values()].filter(
      (child) => child.exitCode === null && child.signalCode === null,
    );
    await Promise.all(
      running.map(async (child) => {
        const ended = exitOf(child);
        child.kill("SIGTERM");
        const force = setTimeout(() => child.kill("SIGKILL"), 10_000);
        await ended;
        clearTimeout(force);
      }),
    );
  }

  #spawn(name: string, args: readonly string[], nodeFlags: readonly string[] = []): ChildProcess {
    const child = spawn(process.execPath, [...nodeFlags, this.#command, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    void mkdir(join(this.folder, "logs"), { recursive: true }).then(() => {
      const log = createWriteStream(this.logOf(name), { flags: "a" });
      child.stdout.pipe(log, { end: false });
      child.stderr.pipe(log, { end: false });
    });
    this.processes.set(name, child);
    return child;
  }
}

/** Resolves with the exit code, or null after a signal. */
export function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((done) => child.once("exit", (code) => done(code)));
}

/** What is read back by the schema: durations are milliseconds there, too; models and bases are read by their paths. */
function writable(config: FederationConfig): unknown {
  const { own: _own, base: _base, weights: _weights, ...model } = config.model;
  return JSON.parse(JSON.stringify({ ...config, model }));
}
