import { describe, expect, test } from "@jest/globals";
import { checkDataset } from "../../../client/data/check.ts";
import { reportText } from "../../../client/data/check-text.ts";
import { folderWith, gray, LABELS, picture } from "../../fakes/dataset-folder.ts";

const semantic = {
  classes: [
    { id: 0, name: "background" },
    { id: 1, name: "cat" },
  ],
};

/** Five pictures: one fine, one truncated, one with a bad mask, one with bad depth, one missing. */
async function mixed(): Promise<string> {
  const fine = await picture(4, 4);
  return folderWith({
    "fine.png": fine,
    "cut.png": fine.subarray(0, 60),
    "mask.png": fine,
    "depth.png": fine,
    "m/fine.png": await gray(
      Uint8Array.from({ length: 16 }, (_, i) => Number(i < 4)),
      4,
      4,
    ),
    "m/other.png": await gray(new Uint8Array(4), 2, 2),
    "d/fine.png": await gray(
      Uint16Array.from({ length: 16 }, (_, i) => (i < 8 ? 0 : 1000 + i)),
      4,
      4,
    ),
    "d/eight.png": await gray(new Uint8Array(16), 4, 4),
    "annotations.json": {
      images: [
        {
          id: 1,
          file_name: "fine.png",
          segmentation_file_name: "m/fine.png",
          depth_file_name: "d/fine.png",
          captions: ["a cat"],
          scene: "indoors",
          site: "s1",
        },
        { id: 2, file_name: "cut.png", site: "s1" },
        { id: 3, file_name: "mask.png", segmentation_file_name: "m/other.png" },
        { id: 4, file_name: "depth.png", depth_file_name: "d/eight.png" },
        { id: 5, file_name: "gone.png" },
      ],
      categories: [{ id: 1, name: "cat" }],
      annotations: [
        { image_id: 1, category_id: 1, bbox: [0, 0, 2, 2] },
        { image_id: 1, category_id: 1, bbox: [0, 0, 40, 2] },
      ],
      depth: { unit_m: 0.001 },
      semantic,
      scenes: ["indoors"],
    },
  });
}

describe("data check", () => {
  test("says what is wrong where, and goes on", async () => {
    const report = await checkDataset(await mixed(), { labels: null });
    expect(report.ok).toBe(false);
    expect(report.problems.map(({ severity, code, file }) => [severity, code, file])).toEqual([
      ["warning", "DATA_INVALID", "fine.png"],
      ["error", "DATA_PICTURE", "cut.png"],
      ["error", "DATA_SEGMENTATION", "m/other.png"],
      ["error", "DATA_DEPTH", "d/eight.png"],
      ["error", "DATA_MISSING_FILE", "gone.png"],
    ]);
  });

  test("counts what is there", async () => {
    const report = await checkDataset(await mixed(), { labels: null });
    expect(report).toMatchObject({
      layout: "annotations",
      generated: false,
      pictures: 5,
      readable: 1,
      sizes: { width: [4, 4], height: [4, 4] },
      sites: { s1: 1 },
      modalities: { rgb: 1, depth: 1, text: 1 },
      depth: { kind: "metric", metersPerUnit: 0.001, readings: 0.5 },
      detection: { labelled: 1, classes: [{ name: "cat", count: 2, pictures: 1 }] },
      segmentation: {
        labelled: 1,
        ignoredPixels: 0,
        classes: [
          { name: "background", count: 12, pictures: 1 },
          { name: "cat", count: 4, pictures: 1 },
        ],
      },
      scene: { labelled: 1, classes: [{ name: "indoors", count: 1, pictures: 1 }] },
    });
    expect(report.depth?.range?.map((v) => v.toFixed(3))).toEqual(["1.008", "1.015"]);
    expect(report.heads.map(({ head, learns, pictures }) => [head, learns, pictures])).toEqual([
      ["detection", true, 1],
      ["segmentation", true, 1],
      ["depth", true, 1],
      ["scene", true, 1],
      ["text", true, 1],
    ]);
  });

  test("against a federation: every unknown name, and the map that cures them", async () => {
    const dir = folderWith({
      "a.png": await picture(2, 2),
      "annotations.json": {
        images: [{ id: 1, file_name: "a.png", scene: "moon" }],
        categories: [{ id: 1, name: "hound" }],
        annotations: [{ image_id: 1, category_id: 1, bbox: [0, 0, 1, 1] }],
        semantic: { classes: [{ id: 0, name: "void" }] },
        scenes: ["moon"],
      },
    });
    const bad = await checkDataset(dir, { labels: LABELS });
    expect(bad.ok).toBe(false);
    const unknown = bad.problems.filter(({ code }) => code === "DATA_UNKNOWN_CLASS");
    expect(unknown.map(({ details }) => details["class"])).toEqual(["hound", "moon", "void"]);
    const good = await checkDataset(dir, {
      labels: LABELS,
      map: { hound: "dog", moon: "outdoors", void: "background" },
    });
    expect(good.ok).toBe(true);
    expect(good.heads.find(({ head }) => head === "detection")?.says).toBe("1 boxes; dog 1; never: cat");
  });

  test("a folder that cannot be read at all is a report, too", async () => {
    const empty = await checkDataset(folderWith({}), { labels: null });
    expect([empty.ok, empty.layout, empty.problems[0]?.code]).toEqual([false, null, "DATA_EMPTY"]);
    const broken = await checkDataset(folderWith({ "annotations.json": "{" }), { labels: null });
    expect([broken.ok, broken.problems[0]?.code]).toEqual([false, "DATA_INVALID"]);
    expect(reportText(broken)).toContain("annotations.json is not JSON");
  });

  test("a wrong unit, a constant map and a map without readings are warned of", async () => {
    const depth = async (values: number[], unit_m: number) => {
      const dir = folderWith({
        "a.png": await picture(2, 2),
        "d.png": await gray(Uint16Array.from(values), 2, 2),
        "annotations.json": { images: [{ file_name: "a.png", depth_file_name: "d.png" }], depth: { unit_m } },
      });
      const report = await checkDataset(dir, { labels: null });
      expect(report.ok).toBe(true);
      return report.problems.map(({ message }) => message).join("\n");
    };
    expect(await depth([1000, 1001, 2000, 0], 1)).toMatch(/is depth\.unit_m \(1\) right\?/);
    expect(await depth([1000, 1000, 1000, 0], 0.001)).toMatch(/the same value \(1\) everywhere/);
    expect(await depth([0, 0, 0, 0], 0.001)).toMatch(/no reading at all/);
    expect(await depth([1000, 1001, 2000, 0], 0.001)).toBe("");
  });

  test("the text names problems, remedies and what each head learns", async () => {
    const text = reportText(await checkDataset(await mixed(), { labels: null }));
    expect(text).toContain("4 errors, 1 warnings");
    expect(text).toContain("error DATA_PICTURE: cut.png");
    expect(text).toContain("DATA_DEPTH: A depth map is unusable");
    expect(text).toMatch(/segmentation {2}from 1 pictures: background 75\.0 %, cat 25\.0 %/);
  });
});
