import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { federationConfig } from "../../../shared/config/federation.ts";
import { mostFrequentClass } from "../../../simulations/bench/baseline.ts";
import { openDataset } from "../../../client/data/open-dataset.ts";
import { generatedData } from "../../../simulations/generated-data.ts";
import { SETUP_FILE } from "../../../simulations/run.ts";
import { ROOM_LABELS } from "../../../simulations/scenarios/labels.ts";

let out: string;
beforeAll(() => {
  out = mkdtempSync(join(tmpdir(), "allulook-baseline-"));
});
afterAll(() => rmSync(out, { recursive: true }));

test("the trivial segmentation is right wherever its one class is", async () => {
  const config = federationConfig.parse({ federation: "test", labels: ROOM_LABELS });
  const dir = await generatedData(out, 1, 5, 32, 3);
  const split = { train: [0, 1, 2], evaluation: [3, 4] };
  const clients = [{ name: "central", parts: [{ dir }], split }];
  writeFileSync(join(out, SETUP_FILE), JSON.stringify({ config, dataName: "rooms", generated: true, clients }));
  const dataset = await openDataset(dir, { labels: config.labels });
  const pixels = async (indices: number[]) =>
    (await Promise.all(indices.map((i) => dataset.load(i)))).flatMap(({ segmentation }) => [...(segmentation ?? [])]);
  const [seen, judged] = [await pixels(split.train), await pixels(split.evaluation)];
  const names = [...new Set(seen)];
  const usual = names.toSorted(
    (a, b) => seen.filter((name) => name === b).length - seen.filter((name) => name === a).length,
  )[0];
  const present = new Set([...judged, usual]).size;
  const expected = judged.filter((name) => name === usual).length / judged.length / present;
  expect(await mostFrequentClass(out)).toBeCloseTo(expected, 12);
});
