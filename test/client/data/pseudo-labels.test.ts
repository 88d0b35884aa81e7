import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { openDataset } from "../../../client/data/open-dataset.ts";
import { writePseudoLabels } from "../../../client/data/pseudo-labels.ts";
import type { Sample } from "../../../models/preprocess/sample.ts";
import { datasetOfSamples, squares } from "../../models/synthetic-samples.ts";
import { folderWith } from "../../fakes/dataset-folder.ts";

const labelsOf = (kind: "metric" | "relative") => ({ detection: [], segmentation: [], scene: [], depth: { kind } });
/** Rising from 1.5 m at the left to 3.5 m at the right. */
const ramp = ({ width, height }: Sample) =>
  Float32Array.from({ length: width * height }, (_, i) => 1.5 + (2 * (i % width)) / (width - 1));

test("a teacher's depth becomes a dataset that reads back as it was predicted", async () => {
  const samples = squares(3);
  const dataset = datasetOfSamples([...samples, { ...(samples[0] as Sample), id: "dark", rgb: null }]);
  for (const kind of ["metric", "relative"] as const) {
    const out = join(folderWith({}), "out");
    expect(await writePseudoLabels(out, dataset, { kind, depth: ramp, teacher: "dpt" })).toBe(3);
    const read = await openDataset(out, { labels: labelsOf(kind) });
    expect(read.size).toBe(3);
    const { rgb, depth, captions, boxes, segmentation, width } = await read.load(1);
    expect(rgb).toEqual(samples[1]?.rgb);
    expect(captions).toEqual(samples[1]?.captions);
    expect([boxes, segmentation]).toEqual([null, null]);
    expect(depth?.valid.every((one) => one === 1)).toBe(true);
    const line = [...(depth?.values.subarray(0, width) ?? [])];
    const [first, middle, last] = [line[0], line[(width - 1) >> 1], line[width - 1]] as [number, number, number];
    if (kind === "metric") expect([first, last]).toEqual([expect.closeTo(1.5, 3), expect.closeTo(3.5, 3)]);
    expect((middle - first) / (last - first)).toBeCloseTo(((width - 1) >> 1) / (width - 1), 3);
  }
});

test("never writes into a folder that holds something", async () => {
  const out = folderWith({ "keep.txt": "mine" });
  const writing = writePseudoLabels(out, datasetOfSamples(squares(1)), {
    kind: "relative",
    depth: ramp,
    teacher: "dpt",
  });
  await expect(writing).rejects.toMatchObject({ code: "USAGE" });
  expect(await readFile(join(out, "keep.txt"), "utf8")).toBe("mine");
});
