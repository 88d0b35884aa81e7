/**
 * Five client processes and a coordinator; each is killed (SIGKILL) in every phase of a round in turn and started again.
 * All rounds complete, with the same model as rounds that nobody disturbed where the survivors are the same.
 */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ChildProcess } from "node:child_process";
import type { RoundReport } from "../../coordinator/round/report.ts";
import type { Transcript } from "../../shared/secagg/transcript.ts";
import type { DurableEvent } from "../../coordinator/round/state.ts";
import { FileBlobs } from "../../coordinator/store/blobs.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { linksAfter } from "../../shared/release/link.ts";
import type { ChainLink } from "../../shared/wire/release.ts";
import { openPrismaStore } from "../../coordinator/store/prisma.ts";
import type { Deployment, Site } from "../../simulations/deployment.ts";
import { haltIn, PHASES, standOf, type PhaseName } from "./phase-watch.ts";
import { storedState } from "./stored-state.ts";
import {
  allReady,
  freePort,
  kill,
  roundOver,
  scratch,
  smallConfig,
  startFederation,
  trigger,
  until,
  writeSites,
  type SmallFederation,
} from "./small-federation.ts";

const CLIENTS = 5;
/** Each site: 10 pictures, of which 8 train. */
const PICTURES = 10;
const TRAINED = 8;
/** Longer than three heartbeats and a busy machine need, far shorter than any deadline of the schedule (2 minutes). */
const NOTICED_MS = 20_000;

let datasets: string[];
let place: Awaited<ReturnType<typeof scratch>>;

beforeAll(async () => {
  place = await scratch();
  const names = Array.from({ length: CLIENTS }, (_, i) => `data-${i + 1}`);
  datasets = await writeSites(place.dir, names, PICTURES);
});
afterAll(() => place.remove());

/** Round 0 scores the model as it was made. */
async function firstRound(federation: SmallFederation): Promise<void> {
  await allReady(federation);
  await trigger(federation.deployment);
  await roundOver(federation.deployment, 0);
}

/** Kills clients and waits until the coordinator has noticed. */
async function away({ deployment }: SmallFederation, sites: readonly Site[]): Promise<void> {
  for (const { name } of sites) {
    await kill(deployment, name);
    await until(`${name} to be missed`, async () =>
      (await deployment.status())?.clients.find((client) => client.name === name && !client.connected),
    );
  }
}

/** Hash of each version's params, from the store of a stopped federation. */
async function versions(deployment: Deployment): Promise<Map<number, string>> {
  const store = await openPrismaStore(deployment.paths.database);
  try {
    const links = (await store.versions()).map(
      ({ link }) => JSON.parse(link) as { version: number; paramsHash: string },
    );
    return new Map(links.map(({ version, paramsHash }) => [version, paramsHash]));
  } finally {
    await store.close();
  }
}

async function transcripts({ folder }: Deployment): Promise<Transcript[]> {
  const dir = join(folder, "transcripts");
  const texts = await Promise.all((await readdir(dir)).map((name) => readFile(join(dir, name), "utf8")));
  return texts.map((text) => (JSON.parse(text) as { transcript: Transcript }).transcript);
}

function completed(of: readonly Transcript[], round: number): Transcript {
  const found = of.filter(
    ({ session, outcome }) => session.round === round && session.purpose === "training" && outcome === "completed",
  );
  expect(found).toHaveLength(1);
  return found[0] as Transcript;
}

/** Nothing is counted twice: the sum has each survivor's examples once. */
function expectCounted(report: RoundReport): void {
  expect(report.status).toBe("completed");
  expect(report.examples).toBe(TRAINED * report.survivors);
  expect(report.examplesSeen).toBe(2 * report.survivors);
}

describe("the coordinator is killed", () => {
  let disturbed: SmallFederation;
  let port: number;
  const reports: RoundReport[] = [];
  const found: { phase: PhaseName; round: number; events: readonly DurableEvent[] }[] = [];

  beforeAll(async () => {
    port = await freePort();
    const config = smallConfig(port, { rounds: 1000, every: "manual", cohort: { min: CLIENTS } });
    disturbed = await startFederation(join(place.dir, "disturbed"), config, datasets);
    await firstRound(disturbed);
  });
  afterAll(() => disturbed?.deployment.stop());

  test.each([...PHASES])("while %s: the round completes with all five", async (phase) => {
    const { deployment } = disturbed;
    const coordinator = deployment.processes.get("coordinator") as ChildProcess;
    await allReady(disturbed);
    // Recruiting lasts only while somebody is missing.
    const missing = phase === "recruiting" ? disturbed.sites.slice(-1) : [];
    await away(disturbed, missing);
    // All answer at once and are written down together: the phase lasts only while somebody keeps the others waiting.
    const slow = phase === "advertising-keys" ? disturbed.sites.at(-1) : undefined;
    const held = slow === undefined ? undefined : deployment.processes.get(slow.name);
    held?.kill("SIGSTOP");
    await trigger(deployment);
    const halt = await haltIn(coordinator, deployment.paths.database, phase);
    await kill(deployment, "coordinator");
    held?.kill("SIGCONT");
    found.push({ phase, round: halt.round, events: halt.events });
    await deployment.startCoordinator([]);
    for (const site of missing) deployment.startClient(site);
    const report = await roundOver(deployment, halt.round);
    reports.push(report);
    expectCounted(report);
    expect(report.survivors).toBe(CLIENTS);
    // What the clients were told had arrived is still there: nobody has to begin again.
    expect(report.attempts).toBe(1);
    expect(report.excluded).toEqual([]);
  });

  test("nothing that was durable when it died is missing from the transcripts", async () => {
    const all = await transcripts(disturbed.deployment);
    let steps = 0;
    for (const { round, events } of found) {
      const { sid, maskedInputs, advertised } = completed(all, round);
      for (const event of events) {
        if (event.type !== "step" || event.signed.sid !== sid) continue;
        const kept = { "advertise-keys": advertised, "masked-input": maskedInputs }[event.signed.step as string];
        if (kept === undefined) continue;
        steps++;
        expect(kept.filter(({ sender }) => sender === event.client)).toHaveLength(1);
      }
    }
    expect(steps).toBeGreaterThan(CLIENTS);
  });

  test("no blob is left that nothing refers to, and none is missing that something does", async () => {
    const { deployment } = disturbed;
    await deployment.stop();
    const blobs = new FileBlobs(deployment.paths.blobs);
    const orphan = await blobs.put(Buffer.from("of an attempt that a crash ended"));
    // Between rounds a process that takes over collects everything.
    await deployment.startCoordinator([]);
    await deployment.stop();
    const store = await openPrismaStore(deployment.paths.database);
    try {
      const { state, events } = storedState(await store.recover());
      expect(standOf(events).phase).toBe("idle");
      const links = (await store.versions()).map(({ link }) => JSON.parse(link) as ChainLink);
      const kept = linksAfter(links, -1).flatMap(({ update, keyframe }) => [update?.sha256, keyframe?.sha256]);
      // Sums are not kept unless asked for.
      const live = [...state.serverStates, ...kept].filter((hash) => typeof hash === "string");
      const found: string[] = [];
      for await (const hash of blobs.list()) found.push(hash);
      expect(found).not.toContain(orphan);
      expect(found.toSorted()).toEqual([...new Set<string>(live)].toSorted());
      for (const hash of found) await blobs.get(hash as Sha256);
    } finally {
      await store.close();
    }
  });

  test("every version is that of a federation that nobody disturbed", async () => {
    const seen = await versions(disturbed.deployment);
    const last = Math.max(...seen.keys());
    const config = smallConfig(await freePort(), { rounds: last, cohort: { min: CLIENTS } });
    const calm = await startFederation(join(place.dir, "calm"), config, datasets);
    try {
      const report = await roundOver(calm.deployment, last);
      expect(report.survivors).toBe(CLIENTS);
    } finally {
      await calm.deployment.stop();
    }
    expect(last).toBeGreaterThanOrEqual(PHASES.length - 1);
    expect([...seen]).toEqual([...(await versions(calm.deployment))]);
  });
});

describe("a client is killed", () => {
  let federation: SmallFederation;

  beforeAll(async () => {
    const config = smallConfig(await freePort(), { rounds: 1000, every: "manual", cohort: { min: 4 } });
    federation = await startFederation(join(place.dir, "clients"), config, datasets);
    await firstRound(federation);
  });
  afterAll(() => federation?.deployment.stop());

  test.each(PHASES.map((phase, i) => [phase, i] as const))(
    "while %s: the round goes on without its ghost, and it comes back as the same client",
    async (phase, i) => {
      const { deployment, sites } = federation;
      const site = sites[i % (CLIENTS - 2)] as Site;
      const coordinator = deployment.processes.get("coordinator") as ChildProcess;
      await allReady(federation);
      // Too few to begin, until they come back.
      const missing = phase === "recruiting" ? sites.slice(-2) : [];
      await away(federation, missing);
      const before = (await until("a status", () => deployment.status())).completed;
      await trigger(deployment);
      const { round } = await haltIn(coordinator, deployment.paths.database, phase);
      await kill(deployment, site.name);
      const killedAt = Date.now();
      coordinator.kill("SIGCONT");
      for (const one of missing) deployment.startClient(one);
      const report = await roundOver(deployment, round);
      expect(Date.now() - killedAt).toBeLessThan(NOTICED_MS);
      expectCounted(report);
      expect(report.survivors).toBeGreaterThanOrEqual(CLIENTS - 1);
      await until("it to be missed", async () =>
        (await deployment.status())?.clients.find(({ name, connected }) => name === site.name && !connected),
      );

      deployment.startClient(site);
      await allReady(federation);
      expect((await until("a status", () => deployment.status())).completed).toBe(before + 1);
      const members = (await until("a status", () => deployment.status())).clients;
      expect(members.map(({ name }) => name).toSorted()).toEqual(sites.map(({ name }) => name).toSorted());
    },
  );

  test("afterwards all five are in the next round", async () => {
    const { deployment } = federation;
    await allReady(federation);
    const { round } = await until("a status", () => deployment.status());
    await trigger(deployment);
    const report = await roundOver(deployment, round + 1);
    expectCounted(report);
    expect(report.survivors).toBe(CLIENTS);
  });
});

test("the watch knows a round's phases by its events", () => {
  const event = (type: string, more = {}) => ({ at: 0, type, ...more }) as unknown as DurableEvent;
  const events = [
    event("recruit", { round: 3 }),
    event("invite", { purpose: "training" }),
    event("close", { phase: "advertising-keys" }),
    event("close", { phase: "sharing-keys" }),
    event("close", { phase: "collecting-masked-inputs" }),
    event("close", { phase: "checking-consistency" }),
    event("close", { phase: "unmasking" }),
    event("committed"),
    event("invite", { purpose: "evaluation" }),
    event("close", { phase: "advertising-keys" }),
    event("evaluated"),
    event("released"),
  ];
  const stands = events.map((_, i) => standOf(events.slice(0, i + 1)).phase);
  expect(stands).toEqual([...PHASES.slice(0, 8), "evaluating", "evaluating", "releasing", "idle"]);
  expect(standOf(events).round).toBe(3);
});
