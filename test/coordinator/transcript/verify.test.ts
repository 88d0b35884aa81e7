/** Transcripts of real rounds, as they are and after every kind of tampering. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { register } from "../../../bin/commands/transcript.ts";
import { readCopies } from "../../../client/session/copies.ts";
import { sitePaths } from "../../../client/site-folder.ts";
import { currentSum } from "../../../coordinator/round/transition.ts";
import { findTranscripts } from "../../../coordinator/transcript/folder.ts";
import { verifyTranscripts, type Verification } from "../../../coordinator/transcript/verify.ts";
import { canonicalJson } from "../../../shared/canonical.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { brotli } from "../../../shared/node/brotli.ts";
import { NodeCrypto, systemRandom } from "../../../shared/node/crypto.ts";
import { issueCertificate, issueRevocationList, type Certificate } from "../../../shared/secagg/certificate.ts";
import { toBase64 } from "../../../shared/secagg/encoding.ts";
import { sessionId, type Session } from "../../../shared/secagg/session.ts";
import { sign, statementOf, COORDINATOR } from "../../../shared/secagg/signed.ts";
import {
  signTranscript,
  transcriptName,
  type Transcript,
  type TranscriptFile,
} from "../../../shared/secagg/transcript.ts";
import { runCommand } from "../../bin/commands/run-command.ts";
import { RoundWorld } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const crypto = new NodeCrypto();
const dir = mkdtempSync(join(tmpdir(), "allulook-transcripts-"));
const good = join(dir, "good");
let world: RoundWorld;
const troubles: string[] = [];
let copies = 0;

/** Two rounds of five clients; in the second one of them shares keys and vanishes before its masked input. */
beforeAll(async () => {
  world = new RoundWorld({
    folder: good,
    heartbeatMs: 50,
    config: {
      strategy: { name: "fedadam" },
      schedule: { rounds: 2, cohort: { min: 5 } },
      transcripts: { keepInputs: 10 },
    },
    trainers: ({ labels }) => Object.fromEntries([0, 1, 2, 3, 4].map((i) => [`site-${i}`, new FakeTrainer(labels)])),
    observer: {
      trouble: (what, error) => void troubles.push(`${what}: ${String(error)}`),
      event: (event, state) => {
        const sum = currentSum(state);
        if (event.type !== "close" || sum?.session.purpose !== "training" || sum.session.round !== 2) return;
        if (sum.phase === "collecting-masked-inputs") world.leave("site-3");
      },
    },
  });
  await world.run();
  await world.close();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function verified(folder: string): Promise<Verification> {
  const found = await findTranscripts([folder]);
  const keys = {
    federation: found.keys?.federationId ?? null,
    authorityKey: world.authority.publicKey,
    coordinatorKey: world.signing.publicKey,
  };
  return verifyTranscripts(crypto, brotli, { ...found, keys });
}

/** A copy of the good folder, for one kind of tampering. */
function copyOf(): Folder {
  const root = join(dir, `copy-${copies++}`);
  cpSync(good, root, { recursive: true });
  return new Folder(root);
}

class Folder {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  path(name: string): string {
    return join(this.root, "transcripts", `${name}.json`);
  }

  text(name: string): string {
    return readFileSync(this.path(name), "utf8");
  }

  file(name: string): TranscriptFile {
    return JSON.parse(this.text(name)) as TranscriptFile;
  }

  /** Changes the file as anybody could who does not hold the coordinator's key. */
  edit(name: string, change: (file: Mutable<TranscriptFile>) => void): void {
    const file = structuredClone(this.file(name)) as Mutable<TranscriptFile>;
    change(file);
    writeFileSync(this.path(name), canonicalJson(file));
  }

  /** Changes the transcript as a coordinator can that lies afterwards: signed anew. */
  forge(name: string, change: (transcript: Mutable<Transcript>) => void): void {
    const transcript = structuredClone(this.file(name).transcript) as Mutable<Transcript>;
    change(transcript);
    writeFileSync(this.path(name), signTranscript(world.signing, transcript as Transcript));
  }

  bytes(path: string, change: (bytes: Buffer) => Buffer): void {
    const at = join(this.root, path);
    writeFileSync(at, change(readFileSync(at)));
  }

  evidence(name: string, path: string, change: (text: string) => string): void {
    this.bytes(join("evidence", name, path), (bytes) => Buffer.from(change(bytes.toString("utf8"))));
  }
}

type Mutable<T> = T extends string
  ? T
  : T extends readonly (infer U)[]
    ? Mutable<U>[]
    : T extends object
      ? { -readonly [K in keyof T]: Mutable<T[K]> }
      : T;

const ONE = "0001-training-1";
const TWO = "0002-training-1";
const hexFlipped = (hash: string): never => `${hash.startsWith("0") ? "1" : "0"}${hash.slice(1)}` as never;
const flipped = (text: string): string => `${text.startsWith("A") ? "B" : "A"}${text.slice(1)}`;
const at = <T>(list: readonly T[], i: number): T => list[i] as T;
const flipByte = (bytes: Buffer): Buffer =>
  Buffer.from(bytes.map((byte, i) => (i === bytes.length - 3 ? byte ^ 1 : byte)));

describe("good rounds", () => {
  test("pass every check, with a dropout, and their sums, steps and versions are made again bit by bit", async () => {
    const verification = await verified(good);
    expect(troubles).toEqual([]);
    expect(verification.findings.filter(({ status }) => status === "failed")).toEqual([]);
    expect(verification.ok).toBe(true);
    expect(
      verification.sessions.map(({ name, roster, survivors, recomputed }) => [name, roster, survivors, recomputed]),
    ).toEqual([
      ["0000-evaluation-1", 5, 5, true],
      [ONE, 5, 5, true],
      ["0001-evaluation-1", 5, 5, true],
      [TWO, 5, 4, true],
      ["0002-evaluation-1", 4, 4, true],
    ]);
    const passed = (session: string) =>
      verification.findings.filter((f) => f.session === session && f.status === "passed").map(({ check }) => check);
    expect(passed(TWO)).toEqual(
      expect.arrayContaining(["consistency signatures", "sum", "mean and server step", "version", "release"]),
    );
    expect(verification.head).toBe(world.coordinator.state.transcriptDigest);
  });

  test("by command, for people and for programs; without evidence it says what it could not check", async () => {
    const json = await runCommand(register, "transcript", "verify", good, "--json");
    expect(json).toMatchObject({ code: 0 });
    expect(JSON.parse(json.out)).toMatchObject({ ok: true, trust: { pinned: false } });
    const { root } = copyOf();
    for (const name of ["evidence", "releases"]) rmSync(join(root, name), { recursive: true });
    const key = Buffer.from(world.authority.publicKey).toString("hex");
    const coordinator = Buffer.from(world.signing.publicKey).toString("hex");
    const words = ["transcript", "verify", root, "--authority", key, "--coordinator", coordinator];
    const text = await runCommand(register, ...words);
    expect(text.code).toBe(0);
    expect(text.out).toContain("sum, step and version: the masked inputs are not here (5 sessions)");
    expect(text.out).toContain("release: the release is not here");
    expect(text.out).toContain("Good: 5 sessions");
    expect(text.out).not.toContain("Compare these keys");
  });

  test("single files are checked by themselves; where nobody says whom to trust, nothing is", async () => {
    const alone = await runCommand(register, "transcript", "verify", join(good, "transcripts", `${TWO}.json`));
    expect(alone.code).toBe(0);
    expect(alone.out).toContain("what came before it is not here");
    const { root } = copyOf();
    rmSync(join(root, "federation.json"));
    expect((await runCommand(register, "transcript", "verify", root)).code).toBe(2);
    expect((await runCommand(register, "transcript", "verify", join(dir, "nowhere"))).code).toBe(2);
  });

  test("keys of others are refused", async () => {
    const other = Buffer.from(crypto.signingKey(systemRandom().bytes(32)).publicKey).toString("hex");
    const coordinator = await runCommand(register, "transcript", "verify", good, "--coordinator", other);
    expect(coordinator).toMatchObject({ code: 3, out: expect.stringContaining("TRANSCRIPT_SIGNATURE") });
    const authority = await runCommand(register, "transcript", "verify", good, "--authority", other);
    expect(authority).toMatchObject({ code: 3, out: expect.stringContaining("CERTIFICATE_INVALID") });
  });
});

/** Each kind of tampering, the session it is found in, by which check and with which code. */
const TAMPERED: readonly [
  what: string,
  change: (folder: Folder) => void,
  session: string | null,
  check: string,
  code: string,
][] = [
  // By anybody who can write the files.
  [
    "the coordinator's signature",
    (f) => f.edit(ONE, (t) => (t.signature = flipped(t.signature))),
    ONE,
    "the coordinator's signature",
    "TRANSCRIPT_SIGNATURE",
  ],
  [
    "another signer",
    (f) => f.edit(ONE, (t) => (t.signedBy = toBase64(world.authority.publicKey))),
    ONE,
    "the coordinator's signature",
    "TRANSCRIPT_SIGNATURE",
  ],
  [
    "a changed outcome",
    (f) => f.edit(ONE, ({ transcript: t }) => (t.outcome = "void")),
    ONE,
    "the coordinator's signature",
    "TRANSCRIPT_SIGNATURE",
  ],
  [
    "a digest that fits the change",
    (f) => f.edit(ONE, (t) => (t.digest = hexFlipped(t.digest))),
    ONE,
    "the coordinator's signature",
    "TRANSCRIPT_SIGNATURE",
  ],
  ["a file cut off", (f) => writeFileSync(f.path(ONE), f.text(ONE).slice(0, -200)), ONE, "form", "TRANSCRIPT_FORMAT"],
  [
    "a field too many",
    (f) => f.edit(ONE, (t) => Object.assign(t.transcript, { note: "x" })),
    ONE,
    "form",
    "TRANSCRIPT_FORMAT",
  ],
  ["white space", (f) => writeFileSync(f.path(ONE), `${f.text(ONE)} `), ONE, "form", "TRANSCRIPT_FORMAT"],
  [
    "a file missing in between",
    (f) => rmSync(f.path(ONE)),
    "0001-evaluation-1",
    "the transcript before it",
    "TRANSCRIPT_CHAIN",
  ],
  [
    "two files swapped",
    (f) => {
      const [one, two] = [f.text(ONE), f.text(TWO)];
      writeFileSync(f.path(ONE), two);
      writeFileSync(f.path(TWO), one);
    },
    TWO,
    "name of the file",
    "TRANSCRIPT_CHAIN",
  ],
  [
    "a file twice",
    (f) => writeFileSync(f.path("0001-training-2"), f.text(ONE)),
    "0001-training-2",
    "name of the file",
    "TRANSCRIPT_CHAIN",
  ],
  // By a coordinator that signs what it changed.
  [
    "a client's flipped signature",
    (f) => f.forge(TWO, (t) => (at(t.maskedInputs, 1).signature = flipped(at(t.maskedInputs, 1).signature))),
    TWO,
    "masked-input hashes",
    "SECAGG_SIGNATURE",
  ],
  [
    "two senders swapped",
    (f) =>
      f.forge(TWO, (t) => {
        const [a, b] = [at(t.maskedInputs, 0), at(t.maskedInputs, 1)];
        [a.payload, b.payload, a.signature, b.signature] = [b.payload, a.payload, b.signature, a.signature];
      }),
    TWO,
    "masked-input hashes",
    "SECAGG_SIGNATURE",
  ],
  [
    "another round number",
    (f) => f.forge(TWO, (t) => (t.session.round = 3)),
    TWO,
    "session id",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "another previous digest",
    (f) => f.forge(TWO, (t) => (t.session.previousTranscriptDigest = "0".repeat(64) as never)),
    TWO,
    "session id",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "another previous digest, with the session id that goes with it",
    (f) =>
      f.forge(TWO, (t) => {
        t.session.previousTranscriptDigest = "0".repeat(64) as never;
        t.sid = sessionId(crypto, t.session as Transcript["session"]) as never;
      }),
    TWO,
    "certificates and advertised keys",
    "SECAGG_SIGNATURE",
  ],
  [
    "a puppet in the roster",
    (f) => f.forge(TWO, (t) => puppet(t)),
    TWO,
    "certificates and advertised keys",
    "CERTIFICATE_INVALID",
  ],
  [
    "a member taken out of the roster",
    (f) => f.forge(TWO, (t) => void t.advertised.splice(0, 1)),
    TWO,
    "lists in order",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "a member taken out everywhere",
    (f) =>
      f.forge(TWO, (t) => {
        for (const list of [t.advertised, t.shared, t.maskedInputs, t.consistency, t.revealed]) {
          const where = list.findIndex(({ sender }) => sender === "site-0");
          if (where >= 0) list.splice(where, 1);
        }
        t.thresholds = { selfMask: 3, maskKey: 3 };
        t.minRoster = 4;
      }),
    TWO,
    "consistency signatures",
    "SECAGG_CONSISTENCY",
  ],
  [
    "a lowered threshold",
    (f) => f.forge(TWO, (t) => (t.thresholds = { selfMask: 3, maskKey: 3 })),
    TWO,
    "roster and thresholds",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "a lowered minimum",
    (f) => f.forge(TWO, (t) => (t.minSurvivors = 2)),
    TWO,
    "roster and thresholds",
    "TRANSCRIPT_CONTRADICTION",
  ],
  ["a survivor added", (f) => f.forge(TWO, (t) => added(t)), TWO, "masked-input hashes", "SECAGG_SIGNATURE"],
  ["a survivor removed", (f) => f.forge(TWO, (t) => removed(t)), TWO, "survivor list", "TRANSCRIPT_CONTRADICTION"],
  [
    "a survivor removed of more than are needed",
    (f) => f.forge(ONE, (t) => removed(t)),
    ONE,
    "consistency signatures",
    "SECAGG_CONSISTENCY",
  ],
  [
    "a masked input's hash",
    (f) =>
      f.forge(TWO, (t) => {
        const input = at(t.maskedInputs, 0);
        input.payload = input.payload.replace(/[0-9a-f]{64}/, hexFlipped);
      }),
    TWO,
    "masked-input hashes",
    "SECAGG_SIGNATURE",
  ],
  [
    "a site that signed that it was told of other sharers",
    (f) =>
      f.forge(TWO, (t) => {
        const input = at(t.maskedInputs, 0);
        const told = JSON.stringify({ ...JSON.parse(input.payload), sharers: "0".repeat(64) });
        const heading = { step: "masked-input", sender: input.sender as ClientName, recipient: COORDINATOR } as const;
        const session = { ...t.session, sid: t.sid } as Session;
        const key = world.keyOf(input.sender);
        Object.assign(input, statementOf(sign(crypto, key, session, heading, told)));
      }),
    TWO,
    "masked-input hashes",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "a sharer taken out",
    (f) => f.forge(TWO, (t) => void t.shared.splice(3, 1)),
    TWO,
    "consistency signatures",
    "SECAGG_CONSISTENCY",
  ],
  [
    "a shared key's hash",
    (f) => f.forge(TWO, (t) => (at(t.shared, 2).payloadHash = hexFlipped(at(t.shared, 2).payloadHash))),
    TWO,
    "shared keys",
    "SECAGG_SIGNATURE",
  ],
  [
    "a missing step",
    (f) => f.forge(TWO, (t) => void t.revealed.splice(0, 1)),
    TWO,
    "revealed shares' signatures",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "consistency signatures missing",
    (f) => f.forge(TWO, (t) => void t.consistency.splice(0, 1)),
    TWO,
    "consistency signatures",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "a step twice",
    (f) => f.forge(TWO, (t) => void t.maskedInputs.splice(1, 0, at(t.maskedInputs, 0))),
    TWO,
    "lists in order",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "a certificate that had expired",
    (f) => f.forge(TWO, (t) => (t.startedAt = 4e12)),
    TWO,
    "certificates and advertised keys",
    "CERTIFICATE_EXPIRED",
  ],
  [
    "a member that was revoked",
    (f) => f.forge(TWO, (t) => (t.revoked = revoking(t, "site-1"))),
    TWO,
    "certificates and advertised keys",
    "CERTIFICATE_REVOKED",
  ],
  [
    "a list of revoked members of its own",
    (f) => f.forge(TWO, (t) => (t.revoked = { ...revoking(t, "site-1"), serials: [] })),
    TWO,
    "revocation list",
    "CERTIFICATE_INVALID",
  ],
  [
    "a revocation taken back",
    (f) => f.forge(ONE, (t) => (t.revoked = revoking(t, null))),
    "0001-evaluation-1",
    "the transcript before it",
    "TRANSCRIPT_CHAIN",
  ],
  [
    "completed instead of nothing",
    (f) => f.forge(TWO, (t) => (t.result = null)),
    TWO,
    "outcome",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "failed, although shares were revealed",
    (f) =>
      f.forge(
        TWO,
        (t) => void Object.assign(t, { outcome: "failed", result: null, reason: { code: "X", message: "" } }),
      ),
    TWO,
    "outcome",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "another sum",
    (f) => f.forge(TWO, (t) => (t.result!.sum = hexFlipped(t.result!.sum))),
    TWO,
    "sum",
    "TRANSCRIPT_EVIDENCE",
  ],
  [
    "another step of the optimizer",
    (f) => f.forge(TWO, (t) => (t.result!.commit!.serverState = hexFlipped(t.result!.commit!.serverState))),
    TWO,
    "mean and server step",
    "TRANSCRIPT_EVIDENCE",
  ],
  [
    "another state before it",
    (f) => f.forge(TWO, (t) => (t.result!.commit!.serverStateBefore = hexFlipped(t.result!.commit!.serverStateBefore))),
    TWO,
    "model and server state before it",
    "TRANSCRIPT_CHAIN",
  ],
  [
    "another version made",
    (f) => f.forge(TWO, (t) => (t.result!.commit!.paramsHash = hexFlipped(t.result!.commit!.paramsHash))),
    TWO,
    "version",
    "TRANSCRIPT_EVIDENCE",
  ],
  [
    "another chain link",
    (f) => f.forge(TWO, (t) => (t.result!.commit!.link = hexFlipped(t.result!.commit!.link))),
    TWO,
    "version",
    "TRANSCRIPT_EVIDENCE",
  ],
  [
    "another version trained from",
    (f) => f.forge(TWO, (t) => void ((t.version = 0), (t.result!.commit!.version = 1))),
    TWO,
    "model and server state before it",
    "TRANSCRIPT_CHAIN",
  ],
  [
    "a lowered minimum of the roster",
    (f) => f.forge(TWO, (t) => (t.minRoster = 3)),
    TWO,
    "terms of the plan",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "a weaker mode, with the thresholds that go with it",
    (f) => f.forge(TWO, (t) => Object.assign(t, { mode: "semi-honest", thresholds: { selfMask: 3, maskKey: 3 } })),
    TWO,
    "terms of the plan",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "a survivor said to be left out of the sum",
    (f) => f.forge("0002-evaluation-1", (t) => (t.result!.rejected = ["site-1" as never])),
    "0002-evaluation-1",
    "terms of the plan",
    "TRANSCRIPT_CONTRADICTION",
  ],
  [
    "a graph for which nobody could work out the neighbours",
    (f) => f.forge(TWO, (t) => (t.graph = { dropoutRate: 0, corruptionRate: -1e9 })),
    TWO,
    "form",
    "TRANSCRIPT_FORMAT",
  ],
  [
    "a state of the server that the first round did not begin with",
    (f) => {
      f.bytes(`evidence/${ONE}/before.state`, flipByte);
      const hash = createHash("sha256")
        .update(readFileSync(join(f.root, "evidence", ONE, "before.state")))
        .digest("hex");
      f.forge(ONE, (t) => (t.result!.commit!.serverStateBefore = hash as never));
    },
    ONE,
    "mean and server step",
    "TRANSCRIPT_EVIDENCE",
  ],
  [
    "the end of the chain cut off",
    (f) => {
      for (const name of [TWO, "0002-evaluation-1"]) rmSync(f.path(name));
    },
    null,
    "nothing without its transcript",
    "TRANSCRIPT_CHAIN",
  ],
  [
    "the end of the chain cut off, and the release of it",
    (f) => {
      for (const name of [TWO, "0002-evaluation-1"]) rmSync(f.path(name));
      rmSync(join(f.root, "releases/2"), { recursive: true });
    },
    null,
    "nothing without its transcript",
    "TRANSCRIPT_CHAIN",
  ],
  // What was kept.
  [
    "a masked input",
    (f) => f.bytes(`evidence/${TWO}/inputs/site-1.bin`, flipByte),
    TWO,
    "masked inputs",
    "TRANSCRIPT_EVIDENCE",
  ],
  [
    "a masked input missing",
    (f) => rmSync(join(f.root, "evidence", TWO, "inputs/site-1.bin")),
    TWO,
    "masked inputs",
    "TRANSCRIPT_EVIDENCE",
  ],
  [
    "a share changed",
    (f) =>
      f.evidence(TWO, "steps.json", (text) =>
        text.replace(/(\\"share\\":\\")(.)/, (_, head: string, c: string) => `${head}${c === "A" ? "B" : "A"}`),
      ),
    TWO,
    "revealed shares",
    "TRANSCRIPT_EVIDENCE",
  ],
  [
    "share commitments changed",
    (f) =>
      f.evidence(TWO, "steps.json", (text) =>
        text.replace(/(\\"payload\\":\\")(.)/, (_, head: string, c: string) => `${head}${c === "A" ? "B" : "A"}`),
      ),
    TWO,
    "share commitments",
    "TRANSCRIPT_EVIDENCE",
  ],
  [
    "another plan",
    (f) => f.evidence(TWO, "setting.json", (text) => text.replace('\\"seed\\":7', '\\"seed\\":8')),
    TWO,
    "training plan",
    "TRANSCRIPT_EVIDENCE",
  ],
  [
    "another server state",
    (f) => f.bytes(`evidence/${TWO}/before.state`, flipByte),
    TWO,
    "mean and server step",
    "TRANSCRIPT_EVIDENCE",
  ],
  ["another parent", (f) => f.bytes(`evidence/${TWO}/parent.params`, flipByte), TWO, "version", "TRANSCRIPT_EVIDENCE"],
  [
    "a release of another version",
    (f) => cpSync(join(f.root, "releases/1"), join(f.root, "releases/2"), { recursive: true, force: true }),
    TWO,
    "release",
    "TRANSCRIPT_RELEASE",
  ],
  [
    "a release's bytes",
    (f) => f.bytes("releases/2/update/update.bin.br", flipByte),
    TWO,
    "release",
    "TRANSCRIPT_RELEASE",
  ],
];

describe("tampering is found, and where", () => {
  test.each(TAMPERED)("%s", async (_what, change, session, check, code) => {
    const folder = copyOf();
    change(folder);
    const { ok, findings } = await verified(folder.root);
    const failed = findings.filter(({ status }) => status === "failed");
    expect(ok).toBe(false);
    expect(failed).toContainEqual(expect.objectContaining({ session, check, code }));
    rmSync(folder.root, { recursive: true });
  });

  test("the first server state is judged by the params of version 0, and not by what was made of it", async () => {
    const folder = copyOf();
    TAMPERED.find(([what]) => what.startsWith("a state of the server"))?.[1](folder);
    const { findings } = await verified(folder.root);
    expect(findings).toContainEqual(
      expect.objectContaining({ session: ONE, message: expect.stringContaining("the params of version 0 alone") }),
    );
  });

  test("transcripts of one chain that two keys have signed, where nobody says whose count", async () => {
    const folder = copyOf();
    const last = "0002-evaluation-1";
    const other = crypto.signingKey(systemRandom().bytes(32));
    writeFileSync(folder.path(last), signTranscript(other, folder.file(last).transcript));
    const found = await findTranscripts([folder.root]);
    const keys = { federation: null, authorityKey: world.authority.publicKey, coordinatorKey: null };
    const { findings } = await verifyTranscripts(crypto, brotli, { ...found, keys });
    expect(findings.filter(({ status }) => status === "failed")).toEqual([
      expect.objectContaining({ session: last, check: "the same federation and signer", code: "TRANSCRIPT_CHAIN" }),
    ]);
  });

  test("two stories of one session in two folders that are checked together", async () => {
    const folder = copyOf();
    folder.forge("0002-evaluation-1", (t) => (t.startedAt += 1));
    const both = [good, folder.root];
    for (const paths of [both, both.toReversed()]) {
      await expect(findTranscripts(paths)).rejects.toMatchObject({ code: "TRANSCRIPT_SPLIT_VIEW" });
    }
    const { transcripts } = await findTranscripts([good, good]);
    expect(transcripts.size).toBe(5);
  });

  test.each<[what: string, change: (transcript: Mutable<Transcript>) => void, check: string]>([
    ["another list of revoked members", (t) => (t.revoked = revoking(t, null)), "the same session"],
    ["another version", (t) => (t.version += 1), "the same session"],
    ["another outcome", (t) => (t.reason = { code: "X", message: "" }), "the end"],
  ])("sites' copies: %s than they were told", async (_what, change, check) => {
    const folder = copyOf();
    const last = "0002-evaluation-1";
    folder.forge(last, change);
    const copies = await readCopies(sitePaths(join(folder.root, "sites", "site-0")).transcripts);
    const found = await findTranscripts([folder.root]);
    const keys = {
      federation: found.keys?.federationId ?? null,
      authorityKey: world.authority.publicKey,
      coordinatorKey: world.signing.publicKey,
    };
    const { findings } = await verifyTranscripts(crypto, brotli, { ...found, keys, copies });
    const wanted = { session: last, check: `site-0's copy: ${check}`, code: "TRANSCRIPT_SPLIT_VIEW" };
    expect(findings).toContainEqual(expect.objectContaining(wanted));
  });

  test("a site that was asked for its shares knows that the session did not fail before", async () => {
    const folder = copyOf();
    folder.forge(TWO, (t) => {
      Object.assign(t, { outcome: "failed", result: null, reason: { code: "ROUND_TOO_FEW", message: "" } });
      t.revealed = [];
    });
    const copies = await readCopies(sitePaths(join(folder.root, "sites", "site-0")).transcripts);
    const session = copies.find(({ invitation }) => transcriptName(invitation.session) === TWO);
    // Never told how it ended.
    const untold = [{ ...(session as (typeof copies)[number]), ended: null }];
    const found = await findTranscripts([folder.path(TWO)]);
    const keys = { federation: null, authorityKey: world.authority.publicKey, coordinatorKey: world.signing.publicKey };
    const { findings } = await verifyTranscripts(crypto, brotli, { ...found, keys, copies: untold });
    expect(findings.filter(({ status }) => status === "failed")).toEqual([
      expect.objectContaining({ check: "site-0's copy: the end", code: "TRANSCRIPT_SPLIT_VIEW" }),
    ]);
  });

  test("the command says where, and refuses", async () => {
    const folder = copyOf();
    folder.bytes(`evidence/${TWO}/inputs/site-1.bin`, flipByte);
    const { code, out } = await runCommand(register, "transcript", "verify", folder.root);
    expect(code).toBe(3);
    expect(out).toContain(`${TWO}, masked inputs: inputs/site-1.bin: these are not the bytes that site-1 signed`);
    expect(out).toContain("CONTRADICTED at 1 place");
  });

  test("evidence of old rounds goes, as many as are wanted stay", () => {
    expect(readdirSync(join(good, "evidence")).toSorted()).toHaveLength(5);
    for (const file of ["before.state", "steps.json", "inputs/site-1.bin"]) {
      expect(statSync(join(good, "evidence", ONE, file)).mode & 0o777).toBe(0o600);
    }
  });
});

/** Somebody the authority never certified, invited and advertised by the coordinator. */
function puppet(t: Mutable<Transcript>): void {
  const name = "site-9" as ClientName;
  const key = crypto.signingKey(systemRandom().bytes(32));
  const fields = certificateOf(t, "site-0");
  const certificate = issueCertificate(world.signing, { ...fields, name, key: toBase64(key.publicKey) });
  const fresh = () => toBase64(systemRandom().bytes(32));
  const payload = JSON.stringify({ certificate, boxKey: fresh(), maskKey: fresh(), selfMask: fresh() });
  const session = { ...t.session, sid: t.sid } as never;
  const step = sign(crypto, key, session, { step: "advertise-keys", sender: name, recipient: COORDINATOR }, payload);
  t.advertised.push(statementOf(step) as never);
  t.invited.push(name as never);
}

function certificateOf(t: Mutable<Transcript>, name: string): Certificate {
  const entry = t.advertised.find(({ sender }) => sender === name);
  return (JSON.parse(entry?.payload as string) as { certificate: Certificate }).certificate;
}

/** Who vanished in the second round, with another's signed hash. */
function added(t: Mutable<Transcript>): void {
  t.maskedInputs.splice(3, 0, { ...at(t.maskedInputs, 0), sender: "site-3" as never });
}

function removed(t: Mutable<Transcript>): void {
  const [gone] = t.maskedInputs.splice(0, 1);
  t.consistency = t.consistency.filter(({ sender }) => sender !== gone?.sender);
  t.revealed = t.revealed.filter(({ sender }) => sender !== gone?.sender);
}

function revoking(t: Mutable<Transcript>, name: string | null): NonNullable<Transcript["revoked"]> {
  const serials = name === null ? [] : [certificateOf(t, name).serial];
  return issueRevocationList(world.authority, { federation: t.session.federation as never, version: 1, serials });
}
