/** The attacks work on a plain update, on a masked one they do not; by a quotient through the command, and by search. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { register } from "../../../bin/commands/attack.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { NodeCrypto, systemRandom } from "../../../shared/node/crypto.ts";
import { convolutionalNetwork } from "../../../simulations/privacy/convolutional-network.ts";
import { invertUpdates } from "../../../simulations/privacy/inversion.ts";
import { generateRooms } from "../../../simulations/scenarios/rooms.ts";
import { expectToOpen } from "../../fakes/browser.ts";
import { runCommand } from "../../bin/commands/run-command.ts";

test.each(["7", "8", "9"])("seed %s", async (seed) => {
  const dir = await mkdtemp(join(tmpdir(), "inversion-"));
  try {
    const { out, code } = await runCommand(register, "attack", "inversion", "--seed", seed, "--out", dir, "--json");
    expect(code).toBe(0);
    const { correlations, page } = JSON.parse(out) as { correlations: Record<string, number>; page: string };
    expect(correlations["plain"]).toBeGreaterThan(0.99);
    expect(Math.abs(correlations["masked"] as number)).toBeLessThan(0.15);
    expect(correlations["sum"]).toBeLessThan(correlations["plain"] as number);
    await expectToOpen(page, { charts: 0, pictures: 4 });
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("a convolutional network, by search", async () => {
  await loadEngine({ threads: 1 });
  const side = 16;
  const { all } = generateRooms({ sites: 3, perSite: 1, size: [side, side], seed: 7 });
  const pictures: Float32Array[] = [];
  for (let i = 0; i < 3; i++) pictures.push(Float32Array.from((await all.load(i)).rgb ?? [], (value) => value / 255));
  const parties = { crypto: new NodeCrypto(), random: systemRandom() };
  const { signal } = new AbortController();
  const { plain, masked, sum } = await invertUpdates(convolutionalNetwork(side, 7, 150), pictures, parties, signal);
  expect(plain.correlation).toBeGreaterThan(0.7);
  expect(Math.abs(masked.correlation)).toBeLessThan(0.4);
  expect(sum.correlation).toBeLessThan(plain.correlation);

  const stopped = AbortSignal.abort();
  const again = invertUpdates(convolutionalNetwork(side, 7, 150), pictures, parties, stopped);
  await expect(again).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
}, 120_000);
