import { beforeAll, describe, expect, test } from "@jest/globals";
import { basename } from "node:path";
import { evaluateRelease } from "../../../bin/evaluation/release.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { folderWith, gray, picture } from "../../fakes/dataset-folder.ts";
import { untrainedRelease } from "../../fakes/untrained-release.ts";
import { testConfig } from "../../models/synthetic-samples.ts";

const SIZE = 32;
const config = testConfig({ input: { size: [SIZE, SIZE] } });
let model: string;

beforeAll(async () => {
  await loadEngine();
  model = await untrainedRelease(config);
});

/** A folder of pictures, each of its own site or of none. */
async function dataset(sites: readonly (string | null)[], labelled = true): Promise<string> {
  const files: Record<string, unknown> = {
    "annotations.json": {
      images: sites.map((site, i) => ({
        id: i + 1,
        file_name: `${i}.png`,
        site,
        ...(labelled && {
          depth_file_name: `${i}-depth.png`,
          segmentation_file_name: `${i}-classes.png`,
          scene: i % 2 === 0 ? "left" : "right",
        }),
      })),
      ...(labelled && {
        categories: [{ id: 1, name: "square" }],
        annotations: sites.map((_, i) => ({ image_id: i + 1, category_id: 1, bbox: [2, 2, 10, 10] })),
        depth: { kind: "metric", unit_m: 0.001 },
        semantic: {
          classes: [
            { id: 0, name: "ground" },
            { id: 1, name: "square" },
          ],
        },
        scenes: ["left", "right"],
      }),
    },
  };
  for (const [i] of sites.entries()) {
    files[`${i}.png`] = await picture(SIZE, SIZE);
    if (!labelled) continue;
    files[`${i}-depth.png`] = await gray(new Uint16Array(SIZE * SIZE).fill(1000 + 100 * i), SIZE, SIZE);
    files[`${i}-classes.png`] = await gray(
      Uint8Array.from({ length: SIZE * SIZE }, (_, p) => (p % SIZE < 12 ? 1 : 0)),
      SIZE,
      SIZE,
    );
  }
  return folderWith(files);
}

describe("evaluate --model --data", () => {
  test("scores every head, for each site and all together", async () => {
    const data = await dataset(["north", "south", "north"]);
    const done: [number, number][] = [];
    const { metrics, details, examples, sites } = await evaluateRelease({
      model,
      data: [data],
      trainingData: [data],
      onSample: (seen, all) => done.push([seen, all]),
    });
    expect(examples).toBe(3);
    expect(done.at(-1)).toEqual([3, 3]);
    expect(sites.map((one) => [one.site, one.examples])).toEqual([
      ["north", 2],
      ["south", 1],
    ]);
    expect(Object.keys(metrics).toSorted()).toEqual(["depth", "depthCompletion", "detection", "scene", "segmentation"]);
    expect(Object.keys(metrics["segmentation"] ?? {})).toContain("ece");
    expect(Object.keys(metrics["detection"] ?? {})).toContain("APsmall");
    expect(Object.keys(metrics["scene"] ?? {})).toContain("auroc");
    expect(metrics["depth"]?.["silog"]).toBeGreaterThanOrEqual(0);
    expect(metrics["depth"]?.["baselineAbsRel"]).toBeCloseTo((0.1 / 1 + 0 + 0.1 / 1.2) / 3, 4);
    // One scene alone has nothing to be told from.
    expect(sites[1]?.metrics["scene"]?.["auroc"]).toBeNull();
    expect(Object.keys(details).toSorted()).toEqual(["detection", "scene", "segmentation"]);
  });

  test("folders are sites where samples name none", async () => {
    const [first, second] = [await dataset([null]), await dataset([null, "ward"])];
    const { sites } = await evaluateRelease({ model, data: [first, second] });
    expect(sites.map((one) => [one.site, one.examples])).toEqual([
      [basename(first), 1],
      [basename(second), 1],
      [`${basename(second)}/ward`, 1],
    ]);
  });

  test("without labels there is nothing to say", async () => {
    const { metrics, details, examples } = await evaluateRelease({ model, data: [await dataset([null], false)] });
    expect([metrics, details, examples]).toEqual([{}, {}, 1]);
  });

  test("withholds modalities, and knows which there are", async () => {
    const data = await dataset([null]);
    const { metrics } = await evaluateRelease({ model, data: [data], modalities: "rgb" });
    expect(Object.keys(metrics)).not.toContain("depthCompletion");
    await expect(evaluateRelease({ model, data: [data], modalities: "sound" })).rejects.toMatchObject({
      code: "USAGE",
    });
  });
});
