/** The example in docs/dataset-format.md is a dataset. */
import { expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openDataset } from "../../client/data/open-dataset.ts";
import { ERRORS } from "../../shared/errors.ts";
import { folderWith, gray, picture } from "../fakes/dataset-folder.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/dataset-format.md"), "utf8");

test("the JSON example opens, and every key in it is used", async () => {
  const json = /```json\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  const dir = folderWith({
    "annotations.json": json,
    "rgb/0001.png": await picture(640, 480),
    "depth/0001.png": await gray(new Uint16Array(320 * 240).fill(1500), 320, 240),
    "masks/0001.png": await gray(new Uint8Array(640 * 480).fill(1), 640, 480),
  });
  const labels = {
    detection: ["person"],
    segmentation: ["background", "person"],
    scene: ["corridor", "ward"],
    depth: { kind: "metric" as const },
  };
  const sample = await (await openDataset(dir, { labels })).load(0);
  expect(sample).toMatchObject({
    site: "building-2",
    scene: 1,
    captions: ["A person beside a bed."],
    boxes: [{ classIndex: 0, x: 120, y: 80, width: 60, height: 170, crowd: false }],
  });
  expect([sample.depth?.values[0], sample.segmentation?.[0]]).toEqual([1.5, 1]);
});

test("every data error code is explained", () => {
  for (const code of Object.keys(ERRORS).filter((name) => name.startsWith("DATA_")))
    expect(page).toContain(`\`${code}\``);
});
