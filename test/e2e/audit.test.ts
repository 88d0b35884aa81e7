/** What real processes leave behind, one of them killed: transcripts, evidence, copies and logs that an auditor finds whole. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { appendFile, readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { sitePaths } from "../../client/site-folder.ts";
import { Machine } from "./machines.ts";
import {
  freePort,
  kill,
  namesOf,
  roundOver,
  scratch,
  smallConfig,
  startFederation,
  until,
  writeSites,
  type SmallFederation,
} from "./small-federation.ts";

const CLIENTS = 4;
const here = new Machine(null, "");
let place: Awaited<ReturnType<typeof scratch>>;
let federation: SmallFederation;
let root: string;

beforeAll(async () => {
  place = await scratch();
  root = join(place.dir, "fed");
  const names = namesOf(CLIENTS);
  const datasets = await writeSites(join(place.dir, "data"), names, 5);
  const config = smallConfig(await freePort(), { rounds: 2, cohort: { min: CLIENTS } });
  federation = await startFederation(root, { ...config, transcripts: { keepInputs: 5 } }, datasets);
  const { deployment, sites } = federation;
  await roundOver(deployment, 1);
  // In the middle of round 2: whatever was being written is cut off.
  await until("round 2", async () => ((await deployment.status())?.round ?? 0) >= 2);
  await kill(deployment, "coordinator");
  await kill(deployment, sites[0]?.name as string);
  await deployment.startCoordinator([]);
  deployment.startClient(sites[0] as (typeof sites)[number]);
  await roundOver(deployment, 2);
  await until("the last release at every site", async () => {
    const status = await deployment.status();
    return status?.clients.every(({ version }) => version === 2) === true;
  });
  await deployment.stop();
}, 300_000);
afterAll(async () => {
  await federation?.deployment.stop();
  await place?.remove();
});

const folders = () => federation.sites.map(({ folder }) => folder);

test("an auditor checks the exported bundle with a site's keys: sums, steps and releases follow bit by bit", async () => {
  const bundle = join(place.dir, "bundle");
  await here.json("transcript", "export", "--config", federation.deployment.paths.config, "--out", bundle);
  const identity = sitePaths(folders()[1] as string).identity;
  const report = await here.json<{
    ok: boolean;
    trust: { pinned: boolean };
    sessions: { name: string; outcome: string; recomputed: boolean }[];
    findings: { session: string; check: string; status: string }[];
  }>("transcript", "verify", bundle, "--identity", identity, "--with", ...folders());
  expect(report).toMatchObject({ ok: true, trust: { pinned: true } });
  const made = report.sessions.filter(({ name, outcome }) => name.includes("training") && outcome === "completed");
  expect(made.map(({ recomputed }) => recomputed)).toEqual([true, true]);
  const passed = (check: string) => report.findings.filter((f) => f.check === check && f.status === "passed").length;
  expect([passed("version"), passed("release")]).toEqual([2, 2]);
});

test("both sides' logs are whole, signed, and agree, although coordinator and site were killed", async () => {
  const report = await here.json<{
    ok: boolean;
    signedUpTo: number;
    sites: { differences: unknown[]; signedUpTo: number }[];
  }>("audit", "verify", root, "--with", ...folders());
  expect(report.ok).toBe(true);
  expect(report.signedUpTo).toBeGreaterThan(10);
  for (const { signedUpTo } of report.sites) expect(signedUpTo).toBeGreaterThan(3);
  const { stdout } = await here.allulook("audit", "show", folders()[2] as string, "--act", "revealed");
  expect(stdout).toContain("survivors site-1 site-2 site-3 site-4");
});

test("a site's log that ends in a torn line is said to, and one that was changed is refused", async () => {
  const { audit } = sitePaths(folders()[3] as string);
  const text = await readFile(audit, "utf8");
  await truncate(audit, Buffer.byteLength(text) - 5);
  expect((await here.allulook("audit", "verify", audit)).stdout).toContain("cut short by a crash");
  await truncate(audit, 0);
  await appendFile(audit, text.replace('"act":"took part"', '"act":"slept"'));
  const changed = await here.allulook("audit", "verify", audit);
  expect(changed).toMatchObject({ code: 3, stderr: expect.stringContaining("AUDIT_CHAIN") });
});
