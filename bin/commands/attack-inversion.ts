/** `allulook attack inversion`: a picture back from an update, without and with secure aggregation. */
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { inversionPage } from "../../simulations/privacy/inversion-page.ts";
import { invertUpdates } from "../../simulations/privacy/inversion.ts";
import { generateRooms } from "../../simulations/scenarios/rooms.ts";
import { integer, positive } from "../numbers.ts";
import { printResult } from "../output.ts";

const SIZE = 32;

export function registerInversion(attack: Command): void {
  attack
    .command("inversion")
    .description("a picture back from one client's update: plain, masked, and in the sum")
    .option("--clients <n>", "clients in the sum", positive, 10)
    .option("--seed <n>", "seed of the pictures and of the network", integer, 7)
    .requiredOption("--out <dir>", "where inversion.html goes")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook attack inversion --out inversion")
    .action(inversion);
}

async function inversion({
  clients,
  seed,
  out,
  json,
}: {
  clients: number;
  seed: number;
  out: string;
  json?: boolean;
}): Promise<void> {
  const pictures: Float32Array[] = [];
  const { all } = generateRooms({ sites: clients, perSite: 1, size: [SIZE, SIZE], seed });
  for (let i = 0; i < all.size; i++) {
    const { rgb } = await all.load(i);
    if (rgb !== null) pictures.push(Float32Array.from(rgb, (value) => value / 255));
  }
  const result = invertUpdates(pictures, seed, new NodeCrypto(), systemRandom());
  const page = join(resolve(out), "inversion.html");
  await writeFileDurably(page, await inversionPage(result, SIZE, clients));
  const correlations = {
    plain: result.plain.correlation,
    masked: result.masked.correlation,
    sum: result.sum.correlation,
  };
  const words = Object.entries(correlations).map(([of, value]) => `${of.padEnd(8)} ${value.toFixed(3)}`);
  printResult(json, { clients, seed, correlations, page }, ["correlation with the picture", ...words, page].join("\n"));
}
