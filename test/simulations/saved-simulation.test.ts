/** A federation that is simulated in parts ends with the bits of one that is simulated at once. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkFederationConfig } from "../../coordinator/config.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import type { ClientName } from "../../shared/ids.ts";
import { simulateFederation, type SimulationResult } from "../../simulations/federation.ts";
import { readSaved, writeSaved, type SavedSimulation } from "../../simulations/saved-simulation.ts";
import { FakeTrainer } from "../fakes/trainer.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "saved-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const { config } = checkFederationConfig(
  federationConfig.parse({
    federation: "parts",
    labels: { depth: { kind: "relative" } },
    // The server remembers something from round to round.
    strategy: { name: "fedadam" },
    schedule: { rounds: 4, cohort: { min: 3, max: 3 } },
    release: { keyframeEvery: 2 },
  }),
);

function simulate(rounds?: number, saved?: SavedSimulation): Promise<SimulationResult> {
  const names = ["a", "b", "c"] as ClientName[];
  return simulateFederation({
    config,
    trainers: new Map(names.map((name) => [name, new FakeTrainer(config.labels)])),
    initialParams: () => Promise.resolve(new Float32Array(42).fill(0.5)),
    out: null,
    options: { publish: false, ...(rounds !== undefined && { rounds }) },
    ...(saved !== undefined && { saved }),
  });
}

test("one round, then up to three, then all four, each from a file: the same params and rounds", async () => {
  const whole = await simulate();
  const file = join(dir, "state");
  let part = await simulate(1);
  expect([part.version, part.reason.code, part.rounds.length]).toEqual([1, "DONE", 2]);
  for (const rounds of [3, 4]) {
    await writeSaved(file, part.saved);
    part = await simulate(rounds, await readSaved(file));
    expect(part.version).toBe(rounds);
  }
  expect(part.paramsHash).toBe(whole.paramsHash);
  expect(part.rounds.map(({ round, loss, metrics }) => ({ round, loss, metrics }))).toEqual(
    whole.rounds.map(({ round, loss, metrics }) => ({ round, loss, metrics })),
  );
});

test("a federation that is over stays over", async () => {
  const { saved, paramsHash } = await simulate(2);
  const again = await simulate(2, saved);
  expect([again.version, again.paramsHash]).toEqual([2, paramsHash]);
});

test("a damaged file is refused", async () => {
  const file = join(dir, "damaged");
  await writeSaved(file, (await simulate(1)).saved);
  const bytes = await readFile(file);
  bytes[bytes.length - 9] = (bytes[bytes.length - 9] as number) ^ 1;
  await writeFile(file, bytes);
  await expect(readSaved(file)).rejects.toMatchObject({ code: "STORE_CORRUPT" });
  await expect(readSaved(join(dir, "nothing"))).rejects.toMatchObject({ code: "STORE_CORRUPT" });
});
