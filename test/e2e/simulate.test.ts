/** `allulook simulate` as people run it: the same seed gives the same release, masked or not, and a report to look at. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { report as reportSchema, type Report } from "../../simulations/report/schema.ts";
import { drawn, inBrowser, openPage, startBrowser } from "../fakes/browser.ts";
import { Machine } from "./machines.ts";
import { scratch, SIZE } from "./small-federation.ts";

const here = new Machine(null, "");
let place: Awaited<ReturnType<typeof scratch>>;
const runs = new Map<string, Report>();

async function simulate(name: string, ...words: string[]): Promise<Report> {
  const out = join(place.dir, name);
  const small = `--clients 4 --per-site 5 --rounds 2 --local-steps 1 --batch-size 2 --size ${SIZE}`.split(" ");
  const { code, stderr } = await here.allulook("simulate", ...small, "--out", out, ...words);
  expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
  return reportSchema.parse(JSON.parse(await readFile(join(out, "report.json"), "utf8")));
}

beforeAll(async () => {
  place = await scratch();
  runs.set("first", await simulate("first", "--seed", "3"));
});
afterAll(() => place.remove());

const sha256 = (report: Report | undefined) => report?.release?.sha256;

describe("the same seed", () => {
  test("twice: the same release", async () => {
    expect(sha256(await simulate("again", "--seed", "3", "--workers", "1"))).toBe(sha256(runs.get("first")));
  });

  test("without secure aggregation: the same release", async () => {
    const off = await simulate("off", "--seed", "3", "--secure-aggregation", "off");
    expect(runs.get("first")?.secureAggregation).toBe("malicious");
    expect(off.secureAggregation).toBe("off");
    expect(sha256(off)).toBe(sha256(runs.get("first")));
  });

  test("another seed: another release", async () => {
    expect(sha256(await simulate("other", "--seed", "4"))).not.toBe(sha256(runs.get("first")));
  });
});

test("sites without labels take part, count less, and are scored all the same", async () => {
  const semi = ["--set", "training.semiSupervised={fromRound: 2, confidence: 0.5}"];
  const { rounds } = await simulate("semi", "--seed", "3", "--unlabelled", "2", ...semi);
  const [start, first, second] = rounds;
  expect(rounds.map(({ evaluated }) => evaluated)).toEqual([4, 4, 4]);
  expect(start?.metrics).toEqual(runs.get("first")?.rounds[0]?.metrics);
  // Four pictures a site; of two sites depth alone is known, one head of four, until there is a teacher.
  expect(first?.examples).toBe(10);
  expect(second?.examples).toBeGreaterThan(10);
  expect(second?.examples).toBeLessThan(16);
});

test("report.json tells of every round and head, and of the release on disk", async () => {
  const { rounds, release, model } = runs.get("first") as Report;
  expect(rounds.map(({ round, status, survivors }) => [round, status, survivors])).toEqual([
    [0, "completed", 4],
    [1, "completed", 4],
    [2, "completed", 4],
  ]);
  for (const { metrics } of rounds) expect(metrics).toHaveProperty("segmentation.mIoU");
  expect(release).toMatchObject({ version: 2, dtype: "int8" });
  const folder = join(place.dir, "first", "releases", "2");
  expect((await here.allulook("release", "verify", folder)).code).toBe(0);
  expect(model.params).toBeGreaterThan(100_000);
});

inBrowser("in a browser", () => {
  test("report.html shows its curves", async () => {
    const browser = await startBrowser();
    try {
      const { page, complaints } = await openPage(browser, join(place.dir, "first", "report.html"), "light", 1280);
      await page.waitForSelector(".chart canvas");
      const { charts, pictures } = await drawn(page);
      expect(charts.length).toBeGreaterThan(3);
      expect(pictures.filter((shown) => shown).length).toBeGreaterThan(0);
      expect(complaints).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});
