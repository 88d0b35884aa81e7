/** Differential privacy between real processes: an adaptive clipping norm over a kill -9, and what was spent, on both sides. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { join } from "node:path";
import type { CoordinatorStatus } from "../../coordinator/create.ts";
import type { RoundReport } from "../../coordinator/round/report.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import { Machine } from "./machines.ts";
import {
  allReady,
  freePort,
  kill,
  namesOf,
  roundOver,
  scratch,
  smallConfig,
  startFederation,
  trigger,
  until,
  writeSites,
  type SmallFederation,
} from "./small-federation.ts";

const CLIENTS = 4;
const PRIVACY = { unit: "client", noiseMultiplier: 3, budget: 20, clipNorm: { adaptive: { from: 0.05, rate: 1 } } };
const here = new Machine(null, "");
let place: Awaited<ReturnType<typeof scratch>>;
let federation: SmallFederation;
const reports: RoundReport[] = [];
const said: CoordinatorStatus["privacy"][] = [];

beforeAll(async () => {
  place = await scratch();
  const datasets = await writeSites(join(place.dir, "data"), namesOf(CLIENTS), 5);
  const small = smallConfig(await freePort(), { rounds: 2, every: "manual", cohort: { min: CLIENTS } });
  const config = federationConfig.parse({ ...small, privacy: PRIVACY, transcripts: { keepInputs: 5 } });
  federation = await startFederation(join(place.dir, "fed"), config, datasets);
  const { deployment } = federation;
  const status = () => here.json<CoordinatorStatus>("status", "--config", deployment.paths.config);
  await allReady(federation);
  await trigger(deployment);
  reports.push(await roundOver(deployment, 1));
  said.push((await status()).privacy);
  await trigger(deployment);
  // In the middle of round 2.
  await until("round 2", async () => ((await deployment.status())?.round ?? 0) >= 2);
  await kill(deployment, "coordinator");
  await deployment.startCoordinator([]);
  reports.push(await roundOver(deployment, 2));
  said.push((await status()).privacy);
  await deployment.stop();
}, 300_000);
afterAll(async () => {
  await federation?.deployment.stop();
  await place?.remove();
});

test("the norm of the second round is the one that the first one led to, as its evidence shows", async () => {
  const [first, second] = reports as [RoundReport, RoundReport];
  expect(first.clipNorm).toBe(0.05);
  expect(second.clipNorm).toBeGreaterThan(0);
  expect(second.clipNorm).not.toBe(0.05);
  const folder = federation.deployment.paths.root;
  const report = await here.json<{ ok: boolean; sessions: { outcome: string; recomputed: boolean }[] }>(
    "transcript",
    "verify",
    folder,
  );
  expect(report.ok).toBe(true);
  const completed = report.sessions.filter(({ outcome }) => outcome === "completed");
  expect(completed.map(({ recomputed }) => recomputed)).toEqual([true, true]);
});

test("operator and sites are told what was spent", async () => {
  const [before, after] = said;
  expect(before).toMatchObject({ unit: "client", delta: 1e-5, budget: 20, spentRounds: 1 });
  expect(after?.spentRounds).toBeGreaterThanOrEqual(2);
  expect(after?.epsilon).toBeGreaterThan(before?.epsilon as number);
  expect(after?.left).toBeCloseTo(20 - (after?.epsilon as number), 9);
  expect(after?.roundsLeft).toBe(0);
  for (const { folder } of federation.sites) {
    const spent = await here.json<{ epsilon: number; results: number; rounds: number }>(
      "privacy",
      "spent",
      "--data",
      folder,
    );
    expect(spent).toMatchObject({ unit: "client", budget: null, rounds: 2 });
    expect(spent.results).toBeGreaterThanOrEqual(2);
    if (spent.results === after?.spentRounds) expect(spent.epsilon).toBeCloseTo(after.epsilon, 9);
  }
});
