/** plan, outbox and client on a site folder, in this process: what they print, and their exit codes. */
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { Command } from "commander";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { register as client } from "../../../bin/commands/client.ts";
import { register as outbox } from "../../../bin/commands/outbox.ts";
import { register as plan } from "../../../bin/commands/plan.ts";
import { reportError } from "../../../bin/output.ts";
import { FileOutbox } from "../../../client/outbox/outbox.ts";
import { readApprovals, storePlan } from "../../../client/plan/approvals.ts";
import { sitePaths, writeIdentity } from "../../../client/site-folder.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { configHashOf, planOf, planText } from "../../../shared/config/plan.ts";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import { lockFolder } from "../../../shared/node/lock.ts";

let folder: string;
const text = planText(planOf(federationConfig.parse({ federation: "lungs", labels: { scene: ["benign"] } })));
const configHash = configHashOf(text);
const hex = (digit: string) => digit.repeat(64) as Sha256;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "site-"));
  const paths = sitePaths(folder);
  await writeFile(paths.config, "coordinator: http://127.0.0.1:9\n");
  await writeFile(paths.signingKey, `${hex("7")}\n`, { mode: 0o600 });
  await writeIdentity(paths, {
    name: "hospital-a" as ClientName,
    federation: "lungs",
    federationId: hex("a"),
    coordinatorKey: hex("b"),
    authorityKey: hex("c"),
    certificate: null,
  });
  await storePlan(paths.plan, text, Date.UTC(2026, 0, 1));
});
afterEach(async () => {
  process.exitCode = 0;
  await rm(folder, { recursive: true });
});

async function allulook(...words: string[]): Promise<{ out: string; told: string; code: number }> {
  let [out, told] = ["", ""];
  process.exitCode = 0;
  const keep = (write: (text: string) => void) => (chunk: unknown) => {
    write(String(chunk));
    return true;
  };
  jest.spyOn(process.stdout, "write").mockImplementation(keep((chunk) => (out += chunk)));
  jest.spyOn(process.stderr, "write").mockImplementation(keep((chunk) => (told += chunk)));
  const program = new Command("allulook").exitOverride();
  for (const register of [client, outbox, plan]) register(program);
  try {
    await program.parseAsync([...words, "--data", folder], { from: "user" });
  } catch (error) {
    process.exitCode = reportError(error, words.includes("--json"));
  }
  const code = Number(process.exitCode);
  process.exitCode = 0;
  jest.restoreAllMocks();
  return { out, told, code };
}

describe("allulook plan", () => {
  test("show: in plain words, and whether it is approved", async () => {
    const before = await allulook("plan", "show");
    expect(before.code).toBe(0);
    expect(before.out).toContain("What leaves this site");
    expect(before.out).toContain(`Not approved yet: allulook plan approve ${configHash.slice(0, 8)}`);
    expect((await allulook("plan", "approve", configHash.slice(0, 8), "--by", "Dr. Quist")).code).toBe(0);
    expect((await allulook("plan", "show")).out).toContain("Approved by Dr. Quist at");
  });

  test("show --json: one document with plan, hash, approvals and refusals", async () => {
    await writeFile(sitePaths(folder).config, "coordinator: http://127.0.0.1:9\npolicy: { models: [cnn] }\n");
    const { out } = await allulook("plan", "show", "--json");
    expect(JSON.parse(out)).toMatchObject({
      configHash,
      plan: { federation: "lungs" },
      approvals: [],
      refusals: [{ code: "POLICY_MODEL" }],
    });
  });

  test("approve: records who and what, and nothing when the hash is that of another plan", async () => {
    const wrong = await allulook("plan", "approve", "0123abcd");
    expect([wrong.code, await readApprovals(sitePaths(folder).approvals)]).toEqual([2, []]);
    expect(wrong.told).toContain("USAGE");
    const { out, code } = await allulook("plan", "approve", "--by", "Ada", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ configHash, by: "Ada" });
    expect(await readApprovals(sitePaths(folder).approvals)).toMatchObject([{ configHash, by: "Ada" }]);
  });

  test("approve: a plan that the site's own policy refuses cannot be approved", async () => {
    const config = "coordinator: http://127.0.0.1:9\npolicy: { privacy: { maxEpsilon: 1 } }\n";
    await writeFile(sitePaths(folder).config, config);
    const { code, told } = await allulook("plan", "approve");
    expect(code).toBe(3);
    expect(told).toContain("POLICY_PRIVACY");
    expect(await readApprovals(sitePaths(folder).approvals)).toEqual([]);
  });
});

describe("allulook outbox", () => {
  test("lists what left, also as JSON", async () => {
    expect((await allulook("outbox")).out).toContain("0 entries, 0 bytes in all");
    const box = new FileOutbox(sitePaths(folder).outbox);
    const session = { sid: hex("d"), purpose: "training", round: 4, attempt: 1 } as const;
    const entry = { kind: "masked vector", bytes: 1234, sha256: hex("e"), session, approval: configHash };
    await box.record(() => entry);
    await box.record(() => ({ kind: "heartbeats", bytes: 99, sha256: null, count: 3, session: null, approval: null }));
    await box.close();
    const { out } = await allulook("outbox");
    expect(out).toMatch(/masked vector\s+1234 bytes\s+sha256 eeeeeeeeeeeeeeee\s+training round 4 attempt 1/);
    expect(out).toMatch(/heartbeats\s+99 bytes\s+3 messages\s+-\s+before any approval/);
    expect(out).toContain("2 entries, 1333 bytes in all");
    const json = JSON.parse((await allulook("outbox", "--json")).out);
    expect(json).toMatchObject({ entries: [entry, { count: 3 }], bytes: 1333 });
  });
});

describe("allulook outbox on a folder that is no site's", () => {
  test("says so instead of saying that nothing has left", async () => {
    await rm(sitePaths(folder).identity);
    const { out, told, code } = await allulook("outbox");
    expect([out, code]).toEqual(["", 2]);
    expect(told).toContain("SITE_INCOMPLETE");
  });
});

describe("allulook client", () => {
  test.each<[string, string, number, (paths: ReturnType<typeof sitePaths>) => Promise<unknown>]>([
    ["a folder that never joined", "SITE_INCOMPLETE", 2, (paths) => rm(paths.identity)],
    ["no site.yaml", "SITE_INCOMPLETE", 2, (paths) => rm(paths.config)],
    [
      "a wrong field in site.yaml",
      "CONFIG_INVALID: site.yaml: policy.minCohort",
      2,
      (paths) => writeFile(paths.config, "coordinator: http://127.0.0.1:9\npolicy: { minCohort: many }\n"),
    ],
    ["site.yaml that is no YAML", "CONFIG_INVALID: site.yaml", 2, (paths) => writeFile(paths.config, "a: [b\n")],
    ["damaged identity.json", "CONFIG_INVALID: ", 2, (paths) => writeFile(paths.identity, "{")],
    ["a key that others can read", "KEY_FILE", 1, (paths) => chmod(paths.signingKey, 0o644)],
    ["a folder in use", "SITE_LOCKED", 2, (paths) => lockFolder(paths.lock, "SITE_LOCKED")],
  ])("%s: %s", async (_what, words, exit, spoil) => {
    await spoil(sitePaths(folder));
    const { code, told, out } = await allulook("client");
    expect(told).toContain(words);
    expect([code, out]).toEqual([exit, ""]);
  });
});
