/** `allulook simulate` with differential privacy, as people run it: each mechanism, its report, and its budget. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { report as reportSchema, type Report } from "../../simulations/report/schema.ts";
import { Machine } from "./machines.ts";
import { scratch, SIZE } from "./small-federation.ts";

const here = new Machine(null, "");
let place: Awaited<ReturnType<typeof scratch>>;

beforeAll(async () => {
  place = await scratch();
});
afterAll(() => place.remove());

async function simulate(
  name: string,
  expected: number,
  set: readonly string[],
  rounds = 2,
): Promise<{ report: Report; stderr: string }> {
  const out = join(place.dir, name);
  const small =
    `--clients 4 --per-site 8 --rounds ${rounds} --local-steps 2 --batch-size 2 --size ${SIZE} --seed 3`.split(" ");
  const settings = set.flatMap((one) => ["--set", one]);
  const { code, stderr } = await here.allulook("simulate", ...small, "--out", out, ...settings);
  expect([code, code === expected ? "" : stderr]).toEqual([expected, ""]);
  return { report: reportSchema.parse(JSON.parse(await readFile(join(out, "report.json"), "utf8"))), stderr };
}

test("an adaptive clipping norm takes the same way with secure aggregation and without", async () => {
  // With so little noise that what the norm follows can be told.
  const set = ["privacy.unit=client", "privacy.noiseMultiplier=0.0013", "privacy.budget=1000000"];
  const adaptive = "privacy.clipNorm={ adaptive: { rate: 1, from: 0.05, bitNoise: 0.001 } }";
  const clips: number[][] = [];
  for (const mode of ["malicious", "off"]) {
    const more = [`secureAggregation.mode=${mode}`, "transcripts.keepInputs=9"];
    const { report } = await simulate(`adaptive-${mode}`, 0, [...set, adaptive, ...more], 3);
    clips.push(report.rounds.map(({ clipNorm }) => clipNorm as number));
    const verify = await here.allulook("transcript", "verify", join(place.dir, `adaptive-${mode}`));
    expect([verify.code, verify.stdout]).toEqual([0, expect.stringContaining("result made again")]);
  }
  const [on, off] = clips as [number[], number[]];
  expect(on).toHaveLength(3);
  expect(on[0]).toBe(0.05);
  expect(on[2]).not.toBe(on[1]);
  for (const [i, clip] of on.entries()) expect(Math.abs(clip / (off[i] as number) - 1)).toBeLessThan(0.01);
});

describe("each mechanism runs, and its report says what was spent", () => {
  test.each([
    ["example", "malicious", ["privacy.minExamples=4"]],
    ["client", "malicious", []],
    ["client", "off", []],
  ])("%s, secure aggregation %s", async (unit, mode, more) => {
    const set = [`privacy.unit=${unit}`, "privacy.epsilon=20", `secureAggregation.mode=${mode}`, ...more];
    const { report } = await simulate(`${unit}-${mode}`, 0, set);
    expect(report.privacy).toMatchObject({ unit, delta: 1e-5 });
    expect(report.privacy.epsilon).toBeGreaterThan(15);
    expect(report.privacy.epsilon).toBeLessThanOrEqual(20);
    const [first, second] = report.rounds;
    expect(first?.epsilon).toBeLessThan(second?.epsilon as number);
    // Nothing without noise leaves: no loss, no scores.
    for (const { loss, evaluated } of report.rounds) expect([loss, evaluated]).toEqual([null, 0]);
    expect(report.release?.version).toBe(2);
  });
});

test("a budget that one round spends ends the federation after it", async () => {
  const set = ["privacy.unit=client", "privacy.epsilon=20", "privacy.budget=16"];
  const { report, stderr } = await simulate("budget", 1, set);
  expect(report.rounds.filter(({ status }) => status === "completed")).toHaveLength(1);
  expect(report.privacy.epsilon).toBeLessThanOrEqual(16);
  expect(stderr).not.toContain("Error:");
});
