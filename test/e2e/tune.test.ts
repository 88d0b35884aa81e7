/** `allulook tune` as people run it: killed in the middle and started again, it ends as one that nobody disturbed. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { report as reportSchema } from "../../simulations/report/schema.ts";
import { Machine } from "./machines.ts";
import { scratch, SIZE } from "./small-federation.ts";

const here = new Machine(null, "");
const small = `--clients 3 --per-site 5 --local-steps 1 --size ${SIZE} --workers 1 --threads 1`.split(" ");
let place: Awaited<ReturnType<typeof scratch>>;

beforeAll(async () => {
  place = await scratch();
  await writeFile(
    join(place.dir, "search.yaml"),
    "trials: 3\neta: 2\nrounds: { least: 1, most: 2 }\nspace:\n" +
      "  training.optimizer.learningRate: { log: [0.0005, 0.02] }\n  training.batchSize: [2, 3]\n",
  );
});
afterAll(() => place.remove());

const words = (out: string) => [
  "tune",
  "--search",
  join(place.dir, "search.yaml"),
  ...small,
  "--out",
  join(place.dir, out),
];

interface Tuned {
  readonly results: readonly { trial: number; settings: object; scores: readonly number[] }[];
  readonly best: { readonly trial: number; readonly config: string; readonly folder: string };
}

/** What does not depend on the clock and the folder. */
const outcome = ({ results, best }: Tuned) => ({
  results: results.map(({ trial, settings, scores }) => ({ trial, settings, scores })),
  best: best.trial,
});

async function sha256Of(folder: string): Promise<string | undefined> {
  return reportSchema.parse(JSON.parse(await readFile(join(folder, "report.json"), "utf8"))).release?.sha256;
}

test("a search that is killed goes on, and its federation.yaml gives the best trial again", async () => {
  const whole = await here.json<Tuned>(...words("whole"));
  expect(whole.results.map(({ scores }) => scores.length)).toEqual([2, 1, 1]);

  const journal = join(place.dir, "killed", "tune.jsonl");
  const lines = async () => (await readFile(journal, "utf8").catch(() => "")).split("\n").length - 2;
  const child = here.start(join(place.dir, "killed.log"), ...words("killed"));
  while ((await lines()) < 2) await wait(50);
  child.kill("SIGKILL");
  const stderr = (await here.allulook(...words("killed"))).stderr;
  expect(stderr).toContain("going on after 2 results");
  const resumed = await here.json<Tuned>(...words("killed"));
  expect(outcome(resumed)).toEqual(outcome(whole));
  const best = await sha256Of(whole.best.folder);
  expect(await sha256Of(resumed.best.folder)).toBe(best);

  // In one run, without a rung between its rounds.
  const again = join(place.dir, "again");
  const data = ["--config", whole.best.config, "--clients", "3", "--per-site", "5", "--workers", "1", "--threads", "1"];
  expect((await here.allulook("simulate", ...data, "--out", again)).code).toBe(0);
  expect(await sha256Of(again)).toBe(best);
  await rm(again, { recursive: true });
}, 300_000);
