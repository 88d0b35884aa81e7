/** Adaptive clipping through whole rounds: with masks and without, over a crash, and made again from the evidence. */
import { afterEach, describe, expect, test } from "@jest/globals";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeServerState } from "../../../coordinator/optimizer/server-state-codec.ts";
import type { FederationState } from "../../../coordinator/round/state.ts";
import type { RoundReport } from "../../../coordinator/round/report.ts";
import { findTranscripts } from "../../../coordinator/transcript/folder.ts";
import { verifyTranscripts, type Verification } from "../../../coordinator/transcript/verify.ts";
import { brotli } from "../../../shared/node/brotli.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { l2Norm } from "../../../shared/privacy/clip.ts";
import type { Transcript } from "../../../shared/secagg/transcript.ts";
import { RoundWorld, type RoundWorldParts } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";
import { clippingNorms } from "../../reference/adaptive-clip.ts";

const NAMES = ["site-0", "site-1", "site-2", "site-3"];
const ROUNDS = 4;
/** Hardly any noise, so that what comes out can be told; the bit takes more than half of it. */
const ADAPTIVE = { quantile: 0.6, rate: 2, from: 0.3, bitNoise: 0.002 };
const PRIVACY = { unit: "client", noiseMultiplier: 0.003, budget: 1e6, clipNorm: { adaptive: ADAPTIVE } };

const worlds: RoundWorld[] = [];
const folders: string[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

interface Ran {
  readonly world: RoundWorld;
  readonly reports: RoundReport[];
  /** Norms of the clients' updates, by round. */
  readonly norms: number[][];
}

function federation(config: Record<string, unknown> = {}, parts: Partial<RoundWorldParts> = {}): Ran {
  const reports: RoundReport[] = [];
  const norms: number[][] = [];
  const world = new RoundWorld({
    config: { schedule: { rounds: ROUNDS, cohort: { min: 4 } }, privacy: PRIVACY, ...config },
    trainers: ({ labels }) => Object.fromEntries(NAMES.map((name, i) => [name, trainer(labels, i, norms)])),
    ...parts,
    observer: { ...parts.observer, round: (report) => void reports.push(report) },
  });
  worlds.push(world);
  return { world, reports, norms };
}

/** Each client's updates are longer than those of the one before it. */
function trainer(labels: ConstructorParameters<typeof FakeTrainer>[0], i: number, norms: number[][]): FakeTrainer {
  const made = new FakeTrainer(labels);
  let round = 0;
  made.spoil = (result) => {
    const delta = result.delta.map((value) => value * (1 + i));
    (norms[round++] ??= []).push(l2Norm(delta));
    return { ...result, delta };
  };
  return made;
}

const clips = (reports: readonly RoundReport[]) => reports.map(({ clipNorm }) => clipNorm as number);
const expectedOf = (norms: readonly (readonly number[])[]) =>
  clippingNorms(norms, { initial: ADAPTIVE.from, gamma: ADAPTIVE.quantile, eta: ADAPTIVE.rate, noise: () => 0 });

function near(got: readonly number[], expected: readonly number[]): void {
  expect(got).toHaveLength(expected.length);
  for (const [i, value] of got.entries()) expect(Math.abs(value / (expected[i] as number) - 1)).toBeLessThan(0.01);
}

test("secure aggregation on and off clip alike, and as the paper says", async () => {
  const runs: Ran[] = [];
  for (const mode of ["malicious", "off"]) {
    const run = federation({ secureAggregation: { mode } });
    runs.push(run);
    const { world, reports, norms } = run;
    expect(await world.run()).toMatchObject({ code: "DONE" });
    expect(reports.map(({ status }) => status)).toEqual(Array.from({ length: ROUNDS }, () => "completed"));
    const expected = expectedOf(norms);
    near([...clips(reports), world.coordinator.state.clipNorm as number], expected);
    // It moved both ways: not always the same clients were within.
    const [first, ...others] = expected.map((clip, i) => Math.sign((expected[i + 1] ?? clip) - clip));
    expect(others).toContain(-(first as number));
    // What the federation's state says is what its server state says.
    const bytes = await world.blobs.get(world.coordinator.state.serverStates[0] as never);
    const { clipNorm } = decodeServerState(bytes, world.chain.options.layout.length);
    expect(clipNorm).toBe(world.coordinator.state.clipNorm);
  }
  const [on, off] = runs as [Ran, Ran];
  expect(on.norms.map((round) => round.toSorted())).toEqual(off.norms.map((round) => round.toSorted()));
  near(clips(on.reports), clips(off.reports));
});

test("a fixed norm stands in no session, state or report", async () => {
  const { world, reports } = federation({ privacy: { ...PRIVACY, clipNorm: 0.5 } });
  await world.run();
  expect(reports[0]).not.toHaveProperty("clipNorm");
  expect(world.coordinator.state).not.toHaveProperty("clipNorm");
  expect(JSON.stringify([...world.transcripts.values()])).not.toContain("clipNorm");
});

test.each(["invite", "committed"])(
  "a coordinator killed before a round's %s goes on with the norm where it was",
  async (type) => {
    let seen = 0;
    let dead = false;
    let tell: () => void = () => {};
    const died = new Promise<void>((resolve) => (tell = resolve));
    const { world, reports, norms } = federation(
      {},
      {
        store: (inner) =>
          new Proxy(inner, {
            get(target, name) {
              const value = Reflect.get(target, name) as unknown;
              if (typeof value !== "function") return value;
              return (...args: unknown[]): unknown => {
                const lines = name === "append" ? (args[0] as string[]) : [];
                const types = lines.map((line) => (JSON.parse(line) as { event: { type: string } }).event.type);
                if (types.includes(type) && ++seen === 3) {
                  dead = true;
                  tell();
                }
                return dead ? new Promise(() => {}) : (value.apply(target, args) as unknown);
              };
            },
          }),
      },
    );
    void world.run();
    await died;
    const before = world.coordinator.state.clipNorm;
    await world.killCoordinator();
    dead = false;
    expect(await (await world.boot()).run()).toMatchObject({ code: "DONE" });
    near(clips(reports), expectedOf(norms).slice(0, ROUNDS));
    expect(clips(reports)[2]).toBe(before);
  },
  20_000,
);

describe("transcripts", () => {
  async function verified(world: RoundWorld, folder: string): Promise<Verification> {
    const found = await findTranscripts([folder]);
    const keys = {
      federation: found.keys?.federationId ?? null,
      authorityKey: world.authority.publicKey,
      coordinatorKey: world.signing.publicKey,
    };
    return verifyTranscripts(new NodeCrypto(), brotli, { ...found, keys });
  }

  function kept(observer: RoundWorldParts["observer"] = {}): Ran & { readonly folder: string } {
    const folder = mkdtempSync(join(tmpdir(), "allulook-clip-"));
    folders.push(folder);
    return { folder, ...federation({ transcripts: { keepInputs: 10 } }, { folder, observer }) };
  }

  test("name every round's norm, and the next one is made again from the sum, bit by bit", async () => {
    const { world, reports, folder } = kept();
    await world.run();
    const named = [...world.transcripts.values()].map(
      (text) => (JSON.parse(text) as { transcript: Transcript }).transcript.session.clipNorm,
    );
    expect(named).toEqual(clips(reports));
    const { ok, sessions, findings } = await verified(world, folder);
    expect(findings.filter(({ status }) => status === "failed")).toEqual([]);
    expect(ok).toBe(true);
    expect(sessions.map(({ recomputed }) => recomputed)).toEqual(Array.from({ length: ROUNDS }, () => true));
  }, 20_000);

  test("show a coordinator that clipped a round to another norm than the round before it led to", async () => {
    const lie = (state: FederationState): void => void Object.assign(state, { clipNorm: 0.77 });
    const { world, reports, folder } = kept({
      event: (event, state) => {
        if (event.type === "committed" && event.version === 2) lie(state);
      },
    });
    await world.run();
    expect(clips(reports)[2]).toBe(0.77);
    const { ok, findings } = await verified(world, folder);
    expect(ok).toBe(false);
    const failed = findings.filter(({ status }) => status === "failed");
    expect(failed).toMatchObject([
      { session: "0003-training-1", check: "mean and server step", code: "TRANSCRIPT_EVIDENCE" },
    ]);
    expect(failed[0]?.message).toContain("session.clipNorm: the round clipped to 0.77");
  }, 20_000);
});
