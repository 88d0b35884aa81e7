/** A trusted coordinator's rounds made again from its evidence: opened vectors, its own noise, step and version; and lies about them. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { register } from "../../../bin/commands/transcript.ts";
import type { Updating } from "../../../coordinator/round/state.ts";
import { findTranscripts } from "../../../coordinator/transcript/folder.ts";
import { verifyTranscripts, type Verification } from "../../../coordinator/transcript/verify.ts";
import { brotli } from "../../../shared/node/brotli.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { noiseCommitment } from "../../../shared/privacy/committed-noise.ts";
import { signTranscript, type Transcript } from "../../../shared/secagg/transcript.ts";
import { runCommand } from "../../bin/commands/run-command.ts";
import { RoundWorld, type RoundWorldParts } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const crypto = new NodeCrypto();
const root = mkdtempSync(join(tmpdir(), "allulook-trusted-"));
const ONE = "0001-training-1";
const TWO = "0002-training-1";
const NOISY = { unit: "client", noiseMultiplier: 2, budget: 1e3, clipNorm: { adaptive: { from: 0.4 } } };
let copies = 0;
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Ran {
  readonly folder: string;
  readonly world: RoundWorld;
  /** Seeds of the coordinator's noise, as they were drawn. */
  readonly seeds: string[];
  /** All that was said to clients, as JSON. */
  readonly said: string[];
}

async function ran(config: Record<string, unknown>, observer: RoundWorldParts["observer"] = {}): Promise<Ran> {
  const folder = join(root, `run-${copies++}`);
  const seeds: string[] = [];
  const said: string[] = [];
  const world = new RoundWorld({
    folder,
    config: {
      secureAggregation: { mode: "off" },
      schedule: { rounds: 2, cohort: { min: 4 } },
      transcripts: { keepInputs: 10 },
      strategy: { name: "fedadam" },
      ...config,
    },
    trainers: ({ labels }) => Object.fromEntries([0, 1, 2, 3].map((i) => [`site-${i}`, new FakeTrainer(labels)])),
    network: {
      toClient: (_client, message) => {
        said.push(JSON.stringify(message));
        return message;
      },
    },
    observer: {
      ...observer,
      event: (event, state) => {
        if (event.type === "invite" && event.terms.noise !== undefined) seeds.push(event.terms.noise.seed);
        observer.event?.(event, state);
      },
    },
  });
  await world.run();
  await world.close();
  return { folder, world, seeds, said };
}

async function verified({ world }: Ran, folder: string): Promise<Verification> {
  const found = await findTranscripts([folder]);
  const keys = {
    federation: found.keys?.federationId ?? null,
    authorityKey: world.authority.publicKey,
    coordinatorKey: world.signing.publicKey,
  };
  return verifyTranscripts(crypto, brotli, { ...found, keys });
}

function copyOf({ folder }: Ran): string {
  const copy = join(root, `copy-${copies++}`);
  cpSync(folder, copy, { recursive: true });
  return copy;
}

const edit = (file: string, change: (text: string) => string): void =>
  writeFileSync(file, change(readFileSync(file, "utf8")));
const failedOf = ({ findings }: Verification) => findings.filter(({ status }) => status === "failed");
const passed = ({ findings }: Verification, session: string) =>
  findings.filter((f) => f.session === session && f.status === "passed").map(({ check }) => check);
const sessionOf = ({ world }: Ran, name: string) =>
  (JSON.parse(world.transcripts.get(name) as string) as { transcript: Transcript }).transcript.session;

describe("with differential privacy", () => {
  let good: Ran;
  beforeAll(async () => {
    good = await ran({ privacy: NOISY });
  });

  test("sum, noise, step and version are made again, bit by bit", async () => {
    const verification = await verified(good, good.folder);
    expect(failedOf(verification)).toEqual([]);
    expect(verification.sessions.map(({ name, recomputed }) => [name, recomputed])).toEqual([
      [ONE, true],
      [TWO, true],
    ]);
    expect(passed(verification, TWO)).toEqual(
      expect.arrayContaining([
        "opened vectors and their sum",
        "the coordinator's noise",
        "mean and server step",
        "version",
      ]),
    );
    const text = await runCommand(register, "transcript", "verify", good.folder);
    expect(text).toMatchObject({ code: 0, out: expect.stringContaining("result made again") });
  });

  test("every attempt has a seed of its own, committed to in the session's id, before anything is sent", () => {
    expect(new Set(good.seeds).size).toBe(2);
    for (const [i, name] of [ONE, TWO].entries()) {
      expect(good.seeds[i]).toMatch(/^[0-9a-f]{64}$/);
      expect(sessionOf(good, name).noise).toBe(noiseCommitment(crypto, good.seeds[i] as string));
    }
  });

  test("no seed is in anything that clients are told or keep, in a transcript, log, release or blob: in the evidence alone", async () => {
    const { folder, seeds, said, world } = good;
    expect(said.length).toBeGreaterThan(10);
    const hexes = (text: string) => seeds.some((seed) => text.includes(seed));
    const raw = (bytes: Uint8Array) => seeds.some((seed) => Buffer.from(bytes).includes(Buffer.from(seed, "hex")));
    expect(said.filter(hexes)).toEqual([]);
    const holding = filesIn(folder).filter((file) => {
      const bytes = readFileSync(join(folder, file));
      return hexes(bytes.toString("latin1")) || raw(bytes);
    });
    expect(holding.toSorted()).toEqual([`evidence/${ONE}/noise.json`, `evidence/${TWO}/noise.json`]);
    for (const file of holding) expect(statSync(join(folder, file)).mode & 0o077).toBe(0);
    for (const [, bytes] of world.blobs.entries()) expect(raw(bytes)).toBe(false);
    // Nor does the coordinator keep it once the round is over.
    expect(hexes(JSON.stringify(world.coordinator.state))).toBe(false);
  });

  test("without the seed the sum is made again, and the report says that the step was not", async () => {
    const copy = copyOf(good);
    rmSync(join(copy, "evidence", TWO, "noise.json"));
    const verification = await verified(good, copy);
    expect(verification.ok).toBe(true);
    expect(verification.sessions.map(({ recomputed }) => recomputed)).toEqual([true, false]);
    expect(passed(verification, TWO)).toContain("opened vectors and their sum");
    const { out } = await runCommand(register, "transcript", "verify", copy);
    expect(out).toContain("sum made again, the step not");
    expect(out).toContain(
      `mean and server step: the seed of the noise is not here: the step cannot be taken again (${TWO})`,
    );
  });

  test.each<[what: string, change: (evidence: string) => void, check: string]>([
    [
      "another seed",
      (at) =>
        edit(join(at, "noise.json"), (text) => text.replace(/:"(.)/, (_, c: string) => `:"${c === "0" ? "1" : "0"}`)),
      "the coordinator's noise",
    ],
    ["a seed that is none", (at) => edit(join(at, "noise.json"), () => '{"seed":"x"}'), "the coordinator's noise"],
    [
      "a vector's key",
      (at) =>
        edit(join(at, "opened.json"), (text) => text.replace(/:"(.)/, (_, c: string) => `:"${c === "A" ? "B" : "A"}`)),
      "opened vectors and their sum",
    ],
    [
      "a key left out",
      (at) => edit(join(at, "opened.json"), (text) => text.replace(/"site-0":"[^"]*",/, "")),
      "opened vectors and their sum",
    ],
    [
      "a sealed vector",
      (at) => {
        const file = join(at, "inputs/site-1.bin");
        writeFileSync(file, Buffer.from(readFileSync(file)).fill(7, 40, 41));
      },
      "opened vectors and their sum",
    ],
    ["the state before", (at) => edit(join(at, "before.state"), (text) => `${text} `), "mean and server step"],
  ])("%s, changed in the evidence, is found", async (_what, change, check) => {
    const copy = copyOf(good);
    change(join(copy, "evidence", TWO));
    const verification = await verified(good, copy);
    expect(failedOf(verification)).toMatchObject([{ session: TWO, check, code: "TRANSCRIPT_EVIDENCE" }]);
  });

  test.each([
    ["shows the seed that it used", false, "the coordinator's noise", "not the one that the coordinator committed to"],
    ["shows the seed that it committed to", true, "mean and server step", "result.commit.serverState"],
  ])(
    "a coordinator that adds other noise than it committed to, and %s, is found",
    async (_what, hides, check, words) => {
      const other = "5e".repeat(32);
      const lying = await ran(
        { privacy: NOISY },
        {
          event: (event, state) => {
            const { current } = state;
            if (event.type === "close" && current.phase === "updating" && current.facts.round === 2) {
              Object.assign((current as Updating).sum, { noiseSeed: other });
            }
          },
        },
      );
      const file = join(lying.folder, "evidence", TWO, "noise.json");
      expect(readFileSync(file, "utf8")).toContain(other);
      if (hides) writeFileSync(file, JSON.stringify({ seed: lying.seeds[1] }));
      const verification = await verified(lying, lying.folder);
      expect(failedOf(verification)).toMatchObject([{ session: TWO, check, code: "TRANSCRIPT_EVIDENCE" }]);
      expect(failedOf(verification)[0]?.message).toContain(words);
    },
    20_000,
  );
});

describe("without differential privacy", () => {
  test.each(["mean", "median"])(
    "a %s is made again, and who is said to be left out must be unfit",
    async (rule) => {
      const one = await ran({ aggregation: { rule }, schedule: { rounds: 1, cohort: { min: 4 } } });
      const verification = await verified(one, one.folder);
      expect(failedOf(verification)).toEqual([]);
      expect(verification.sessions.every(({ recomputed }) => recomputed)).toBe(true);
      expect(existsSync(join(one.folder, "evidence", ONE, "noise.json"))).toBe(false);
      const copy = copyOf(one);
      const path = join(copy, "transcripts", `${ONE}.json`);
      const { transcript } = JSON.parse(readFileSync(path, "utf8")) as { transcript: Transcript };
      const forged = { ...transcript, result: { ...transcript.result, rejected: ["site-2"] } } as Transcript;
      writeFileSync(path, signTranscript(one.world.signing, forged));
      const lie = await verified(one, copy);
      expect(failedOf(lie)).toContainEqual(
        expect.objectContaining({ session: ONE, check: "opened vectors and their sum", code: "TRANSCRIPT_EVIDENCE" }),
      );
    },
    20_000,
  );
});

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}
