/** A federation of real processes that is small enough for many rounds: nano on generated rooms of 64 x 64, one step a round. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { checkFederationConfig } from "../../coordinator/config.ts";
import { askCoordinator } from "../../coordinator/enrol/admin-client.ts";
import type { RoundReport } from "../../coordinator/round/report.ts";
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import { clientName, type ClientName } from "../../shared/ids.ts";
import { Deployment, exitOf, type Site } from "../../simulations/deployment.ts";
import { ROOM_LABELS } from "../../simulations/scenarios/labels.ts";
import { generateRooms } from "../../simulations/scenarios/rooms.ts";
import { writeDataset } from "../../simulations/scenarios/write-dataset.ts";

export const COMMAND = fileURLToPath(new URL("../../bin/allulook", import.meta.url));
export const SIZE = 64;
const PATIENCE_MS = 120_000;

/** A folder that goes away with `await using`-like care: call `remove` in afterAll. */
export async function scratch(): Promise<{ dir: string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), "allulook-e2e-"));
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

/** A port that was free a moment ago: one that stays the same when the coordinator is started again. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

/** One dataset folder per site below `root`, with `perSite` rooms each; the same every time. */
export async function writeSites(root: string, names: readonly string[], perSite: number): Promise<string[]> {
  const options = { sites: names.length, perSite, size: [SIZE, SIZE] as const, seed: 11 };
  const { sites } = generateRooms(options);
  const folders = names.map((name) => join(root, name));
  for (const [i, dataset] of sites.entries()) {
    const written = { labels: ROOM_LABELS, description: "Generated rooms", generator: { name: "rooms", ...options } };
    await writeDataset(folders[i] as string, dataset, written);
  }
  return folders;
}

export function namesOf(clients: number): ClientName[] {
  return Array.from({ length: clients }, (_, i) => clientName.parse(`site-${i + 1}`));
}

/** Small pictures and short rounds, on a port of loopback. `more` is merged over the schedule. */
export function smallConfig(port: number, schedule: Record<string, unknown>): FederationConfig {
  const config = federationConfig.parse({
    federation: "small",
    seed: 5,
    listen: { port },
    labels: ROOM_LABELS,
    input: { size: [SIZE, SIZE] },
    training: { localSteps: 1, batchSize: 2 },
    schedule,
    evaluation: { patience: "60s" },
  });
  return checkFederationConfig(config).config;
}

export interface SmallFederation {
  readonly deployment: Deployment;
  readonly sites: readonly Site[];
}

/** Starts the coordinator and one client process per folder, joined and approved. */
export async function startFederation(
  folder: string,
  config: FederationConfig,
  datasets: readonly string[],
): Promise<SmallFederation> {
  const deployment = await Deployment.create(folder, config, COMMAND);
  await deployment.startCoordinator([]);
  const names = namesOf(datasets.length);
  for (const [i, dataset] of datasets.entries()) await deployment.addSite(names[i] as ClientName, dataset);
  for (const site of deployment.sites) deployment.startClient(site);
  return { deployment, sites: deployment.sites };
}

/** Resolves when `done` says so; throws with `what` after two minutes, which no step of these tests comes near. */
export async function until<T>(what: string, done: () => Promise<T | null | undefined | false>): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const found = await done();
    if (found !== null && found !== undefined && found !== false) return found;
    await wait(50);
  }
  throw new Error(`waited in vain for ${what}`);
}

/** Every site is connected and has said that it is ready. */
export async function allReady({ deployment, sites }: SmallFederation): Promise<void> {
  await until("all clients to be ready", async () => {
    const status = await deployment.status();
    const ready = status?.clients.filter((client) => client.connected && client.ready).length ?? 0;
    return ready === sites.length;
  });
}

/** Asks for a round where the schedule is manual. */
export async function trigger({ paths }: Deployment): Promise<void> {
  await askCoordinator(paths, "trigger", {});
}

/** The report of a round once it is over, asked of the running coordinator. */
export async function roundOver(deployment: Deployment, round: number): Promise<RoundReport> {
  return until(`round ${round}`, async () => {
    const answer = await askCoordinator(deployment.paths, "rounds", {}).catch(() => null);
    return (answer?.result as RoundReport[] | undefined)?.find((report) => report.round === round);
  });
}

/** Ends a process as a power cut would. */
export async function kill(deployment: Deployment, name: string): Promise<void> {
  const child = deployment.processes.get(name);
  if (child === undefined) throw new Error(`${name} was never started`);
  const ended = exitOf(child);
  child.kill("SIGKILL");
  await ended;
}
