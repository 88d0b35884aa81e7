/** `allulook attack inversion`: a picture back from an update, without and with secure aggregation. */
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import type { AttackedNetwork } from "../../simulations/privacy/attacked-network.ts";
import { convolutionalNetwork } from "../../simulations/privacy/convolutional-network.ts";
import { denseNetwork } from "../../simulations/privacy/dense-network.ts";
import { inversionPage } from "../../simulations/privacy/inversion-page.ts";
import { invertUpdates } from "../../simulations/privacy/inversion.ts";
import { generateRooms } from "../../simulations/scenarios/rooms.ts";
import { integer, positive } from "../numbers.ts";
import { interruptible, note, printResult } from "../output.ts";

const SIZE = 32;

interface Options {
  readonly network: keyof typeof NETWORKS;
  readonly clients: number;
  readonly seed: number;
  readonly out: string;
  readonly json?: boolean;
}

const NETWORKS: Readonly<Record<"dense" | "convolutional", (seed: number) => Promise<AttackedNetwork>>> = {
  dense: (seed) => Promise.resolve(denseNetwork(SIZE * SIZE * 3, seed)),
  convolutional: async (seed) => {
    await loadEngine({ threads: 1 });
    return convolutionalNetwork(SIZE, seed);
  },
};

export function registerInversion(attack: Command): void {
  attack
    .command("inversion")
    .description("a picture back from one client's update: plain, masked, and in the sum")
    .addOption(
      new Option("--network <kind>", "inverted by a quotient, or by a search of a minute")
        .choices(Object.keys(NETWORKS))
        .default("dense"),
    )
    .option("--clients <n>", "clients in the sum", positive, 10)
    .option("--seed <n>", "seed of the pictures and of the network", integer, 7)
    .requiredOption("--out <dir>", "where inversion.html goes")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook attack inversion --network convolutional --out inversion")
    .action(inversion);
}

async function inversion({ network, clients, seed, out, json }: Options): Promise<void> {
  const pictures: Float32Array[] = [];
  const { all } = generateRooms({ sites: clients, perSite: 1, size: [SIZE, SIZE], seed });
  for (let i = 0; i < all.size; i++) {
    const { rgb } = await all.load(i);
    if (rgb !== null) pictures.push(Float32Array.from(rgb, (value) => value / 255));
  }
  const attacked = await NETWORKS[network](seed);
  const parties = { crypto: new NodeCrypto(), random: systemRandom() };
  const result = await interruptible((signal) =>
    invertUpdates(attacked, pictures, parties, signal, (what, found) =>
      note(`${what}: correlation ${found.toFixed(3)}`),
    ),
  );
  const page = join(resolve(out), "inversion.html");
  await writeFileDurably(page, await inversionPage(result, SIZE, clients));
  const correlations = {
    plain: result.plain.correlation,
    masked: result.masked.correlation,
    sum: result.sum.correlation,
  };
  const words = Object.entries(correlations).map(([of, value]) => `${of.padEnd(8)} ${value.toFixed(3)}`);
  printResult(
    json,
    { network, clients, seed, correlations, page },
    ["correlation with the picture", ...words, page].join("\n"),
  );
}
