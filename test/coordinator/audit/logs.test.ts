/** The logs and copies of a whole federation: both sides agree, and what either changes is found out by the other. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { register as audit } from "../../../bin/commands/audit.ts";
import { register as transcript } from "../../../bin/commands/transcript.ts";
import { checkpoint, hashOfLine, lineOf, NOTHING_BEFORE, type AuditEntry } from "../../../shared/audit/entry.ts";
import { verifyAudit } from "../../../shared/audit/verify.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { signTranscript, type Transcript, type TranscriptFile } from "../../../shared/secagg/transcript.ts";
import { runCommand } from "../../bin/commands/run-command.ts";
import { RoundWorld } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const crypto = new NodeCrypto();
const dir = mkdtempSync(join(tmpdir(), "allulook-logs-"));
const good = join(dir, "good");
const NAMES = [0, 1, 2, 3].map((i) => `site-${i}`);
let world: RoundWorld;
let copies = 0;

/** Two rounds; in the middle of the second the coordinator is killed, and another process takes over. */
beforeAll(async () => {
  let killed = false;
  const stopped: { resolve: () => void } = { resolve: () => {} };
  const dead = new Promise<void>((resolve) => Object.assign(stopped, { resolve }));
  world = new RoundWorld({
    folder: good,
    heartbeatMs: 50,
    config: { schedule: { rounds: 2, cohort: { min: 4 } } },
    trainers: ({ labels }) => Object.fromEntries(NAMES.map((name) => [name, new FakeTrainer(labels)])),
    observer: {
      event: (event) => {
        if (killed || event.type !== "step" || event.signed.round !== 2 || event.signed.step !== "masked-input") return;
        killed = true;
        void world.killCoordinator().then(stopped.resolve);
      },
    },
  });
  const first = await world.boot();
  for (const name of world.names) world.join(name);
  void first.run().catch(() => undefined);
  await dead;
  const second = await world.boot();
  await second.run();
  await world.close();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const site = (root: string, name: string): string => join(root, "sites", name);
const logFile = (root: string): string => join(root, "audit.jsonl");

function copyOf(): string {
  const root = join(dir, `copy-${copies++}`);
  cpSync(good, root, { recursive: true });
  return root;
}

/** Writes a log anew with other acts, signed by its owner: what a liar can do. */
function rewrite(file: string, change: (entries: readonly AuditEntry[]) => readonly AuditEntry[]): void {
  const { entries } = verifyAudit(crypto, readFileSync(file, "utf8"), null);
  let previous: Sha256 = NOTHING_BEFORE;
  const lines = change(entries.filter(({ act }) => act !== "checkpoint")).map(({ at, act, facts }, i) => {
    const line = lineOf(i + 1, at, { act, facts }, previous);
    previous = hashOfLine(line);
    return line;
  });
  lines.push(
    lineOf(
      lines.length + 1,
      "2026-01-01T00:00:00.000Z",
      checkpoint(world.signing, lines.length + 1, previous),
      previous,
    ),
  );
  writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
}

describe("the logs", () => {
  test("hold every protocol act once, also of the round in which the coordinator was killed, and are signed", async () => {
    const { entries, signedUpTo, key } = verifyAudit(crypto, readFileSync(logFile(good), "utf8"), null);
    const count = (act: string): number => entries.filter((entry) => entry.act === act).length;
    expect([count("round begun"), count("round over"), count("version committed"), count("release published")]).toEqual(
      [3, 3, 2, 2],
    );
    const events = entries.flatMap(({ facts }) => (typeof facts["event"] === "number" ? [facts["event"]] : []));
    expect(events).toEqual(events.toSorted((a, b) => a - b));
    const steps = entries
      .filter(({ act }) => act === "step accepted")
      .map(({ facts }) => JSON.stringify([facts["sid"], facts["client"], facts["step"]]));
    expect(new Set(steps).size).toBe(steps.length);
    expect(key).toBe(Buffer.from(world.signing.publicKey).toString("hex"));
    expect(signedUpTo).toBeGreaterThan(entries.length - 5);
    const own = verifyAudit(crypto, readFileSync(join(site(good, "site-1"), "state/audit.jsonl"), "utf8"), null);
    const acts = new Set(own.entries.map(({ act }) => act));
    for (const act of ["plan received", "ready", "took part", "revealed", "session ended", "release installed"]) {
      expect(acts).toContain(act);
    }
    expect(own.key).toBe(Buffer.from(world.keyOf("site-1").publicKey).toString("hex"));
  });

  test("agree, by command", async () => {
    const sites = NAMES.map((name) => site(good, name));
    const { code, out } = await runCommand(audit, "audit", "verify", good, "--with", ...sites, "--json");
    expect(JSON.parse(out)).toMatchObject({ ok: true, sites: NAMES.map(() => ({ differences: [] })) });
    expect(code).toBe(0);
    const shown = await runCommand(audit, "audit", "show", site(good, "site-0"), "--act", "revealed", "--last", "1");
    expect(shown.out).toMatch(/revealed .*survivors site-0 site-1 site-2 site-3/);
    expect((await runCommand(audit, "audit", "show", dir)).code).toBe(2);
  });

  test.each([
    [
      "a coordinator that forgets a round",
      (e: readonly AuditEntry[]) => e.filter(({ facts }) => facts["round"] !== 1),
      /log has no end of it/,
    ],
    [
      "a coordinator that names other survivors",
      (e: readonly AuditEntry[]) =>
        e.map((entry) =>
          "survivors" in entry.facts ? { ...entry, facts: { ...entry.facts, survivors: ["site-0"] } } : entry,
        ),
      /the coordinator summed site-0/,
    ],
    [
      "a coordinator that published something else",
      (e: readonly AuditEntry[]) =>
        e.map((entry) =>
          entry.act === "release published"
            ? { ...entry, facts: { ...entry.facts, manifestHash: "0".repeat(64) } }
            : entry,
        ),
      /another manifest/,
    ],
  ])("%s is contradicted by its sites", async (_what, change, words) => {
    const root = copyOf();
    rewrite(logFile(root), change);
    const { code, out } = await runCommand(audit, "audit", "verify", root, "--with", site(root, "site-2"));
    expect(code).toBe(3);
    expect(out).toMatch(words);
  });

  test("a line changed in the file is refused with its number", async () => {
    const root = copyOf();
    const text = readFileSync(logFile(root), "utf8");
    writeFileSync(logFile(root), text.replace('"act":"round begun"', '"act":"round ended"'));
    const { code, err } = await runCommand(audit, "audit", "verify", root);
    expect(code).toBe(3);
    expect(err).toMatch(/AUDIT_CHAIN: line \d+/);
  });
});

describe("the sites' copies", () => {
  const verify = (root: string, ...names: string[]) =>
    runCommand(transcript, "transcript", "verify", root, "--with", ...names.map((name) => site(root, name)));

  test("agree with the transcripts, also across the coordinator's crash", async () => {
    const { code, out } = await verify(good, ...NAMES);
    expect(out).toContain("Good: 5 sessions");
    expect(code).toBe(0);
  });

  /** A coordinator that tells another story afterwards: everything that follows signed anew, as far as it can. */
  test.each([
    [
      "another outcome of the last session",
      (t: Transcript) => ({ ...t, outcome: "failed" as const, result: null, reason: { code: "X", message: "x" } }),
      /told that it completed/,
    ],
    [
      "another result",
      (t: Transcript) => ({ ...t, result: t.result === null ? null : { ...t.result, sum: "0".repeat(64) as Sha256 } }),
      /another transcript/,
    ],
  ])("contradict %s", async (_what, change, words) => {
    const root = copyOf();
    const file = join(root, "transcripts", "0002-evaluation-1.json");
    const kept = JSON.parse(readFileSync(file, "utf8")) as TranscriptFile;
    writeFileSync(file, signTranscript(world.signing, change(kept.transcript)));
    // By themselves the transcripts are without fault.
    expect((await runCommand(transcript, "transcript", "verify", root)).code).toBe(0);
    const { code, out } = await verify(root, "site-3");
    expect(code).toBe(3);
    expect(out).toMatch(words);
  });

  test("name a session that the coordinator left no transcript of", async () => {
    const root = copyOf();
    rmSync(join(root, "transcripts", "0002-evaluation-1.json"));
    expect((await verify(root, "site-0")).out).toContain(
      "the coordinator has no transcript of a session that the site was in",
    );
  });

  test("that were changed do not carry the coordinator's signature", async () => {
    const root = copyOf();
    const file = join(site(root, "site-0"), "state/transcripts/0001-training-1.json");
    writeFileSync(file, readFileSync(file, "utf8").replace('"outcome":"completed"', '"outcome":"failed"'));
    expect((await verify(root, "site-0")).out).toContain("the end is not signed by the coordinator");
  });
});
