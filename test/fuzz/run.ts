/**
 * `npm run fuzz [-- --seconds 60] [--only NAME] [--seed N]`: changed examples against every decoder. Whatever a decoder
 * does beside giving a value or throwing a coded error is kept as a case in test/fuzz/crashes, which the tests read again.
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Rng } from "../../shared/rng/rng.ts";
import { fault } from "./fault.ts";
import { mutate } from "./mutate.ts";
import { targets } from "./targets.ts";

const CRASHES = join(import.meta.dirname, "crashes");

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "60" }, only: { type: "string" }, seed: { type: "string" } },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const all = Object.entries(await targets()).filter(([name]) => values.only === undefined || name === values.only);
if (all.length === 0) throw new Error(`there is no target ${values.only}`);
const shareMs = (1_000 * Number(values.seconds)) / all.length;
let found = 0;
for (const [name, target] of all) {
  const rng = Rng.of(seed, name);
  const pick = () => target.examples[rng.uint32() % target.examples.length] as Uint8Array;
  const seen = new Set<string>();
  const until = performance.now() + shareMs;
  let runs = 0;
  while (performance.now() < until) {
    runs++;
    const bytes = mutate(rng, pick(), pick());
    const wrong = await fault(target, bytes);
    if (wrong === null || seen.has(wrong)) continue;
    seen.add(wrong);
    found++;
    mkdirSync(CRASHES, { recursive: true });
    const file = `${name}-${createHash("sha256").update(bytes).digest("hex").slice(0, 12)}.bin`;
    writeFileSync(join(CRASHES, file), bytes);
    process.stdout.write(`${name}: ${wrong}\n  kept as test/fuzz/crashes/${file}\n`);
  }
  process.stdout.write(`${name}: ${runs} inputs\n`);
}
process.stdout.write(`seed ${seed}: ${found === 0 ? "no decoder failed" : `${found} failures`}\n`);
process.exitCode = found === 0 ? 0 : 1;
