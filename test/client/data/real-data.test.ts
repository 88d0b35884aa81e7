/** The reader on real folders. They may not be redistributed, so they lie beside the project and may be missing. */
import { describe, expect, test } from "@jest/globals";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { inferLabels } from "../../../client/data/labels.ts";
import { openDataset } from "../../../client/data/open-dataset.ts";
import { decodeDepth } from "../../../client/data/depth.ts";
import { decodePngPlane, readPng } from "../../../client/data/png.ts";
import { IGNORE_CLASS, type Sample } from "../../../models/preprocess/sample.ts";

const DATA = process.env["ALLULOOK_TEST_DATA"] ?? join(import.meta.dirname, "../../../../shared/data");

function onReal(folder: string, name: string, body: (dir: string) => Promise<void>): void {
  const dir = join(DATA, folder);
  if (existsSync(dir)) test(`${folder}: ${name}`, () => body(dir));
  else test.skip(`${folder}: ${name} (skipped: real data not found at ${dir})`, () => {});
}

function counts(values: Uint8Array): Map<number, number> {
  const found = new Map<number, number>();
  for (const value of values) found.set(value, (found.get(value) ?? 0) + 1);
  return found;
}

async function all(dir: string): Promise<Sample[]> {
  const dataset = await openDataset(dir, { labels: await inferLabels(dir) });
  const samples: Sample[] = [];
  for (let i = 0; i < dataset.size; i++) samples.push(await dataset.load(i));
  return samples;
}

describe("real data", () => {
  onReal("rgbd_pipe_labeled", "relative depth, three classes, boxes, days as sites", async (dir) => {
    expect(await inferLabels(dir)).toEqual({
      detection: ["defect_1", "defect_2"],
      segmentation: ["background", "defect_1", "defect_2"],
      scene: [],
      depth: { kind: "relative" },
    });
    const samples = await all(dir);
    expect(samples).toHaveLength(41);
    expect(samples.every((s) => s.width === 180 && s.height === 102 && s.rgb?.length === 180 * 102 * 3)).toBe(true);
    expect(samples.flatMap((s) => s.boxes ?? [])).toHaveLength(65);
    expect(new Set(samples.map((s) => s.site)).has("20231208")).toBe(true);
    const pixels = samples.map((s) => counts(s.segmentation ?? new Uint8Array()));
    const share = pixels.reduce((sum, c) => sum + (c.get(0) ?? 0), 0) / (41 * 180 * 102);
    expect(share).toBeCloseTo(0.975, 2);
    expect(pixels.filter((c) => c.has(1))).toHaveLength(31);
    expect(pixels.filter((c) => c.has(2))).toHaveLength(11);
    const readings = samples.flatMap((s) => [...(s.depth?.values ?? [])].filter((_, i) => s.depth?.valid[i] === 1));
    expect(readings.reduce((a, b) => Math.min(a, b))).toBe(12291);
    expect(readings.reduce((a, b) => Math.max(a, b))).toBe(20832);
  });

  onReal("rgbd_pipe_labeled", "a label lies inside the boxes derived from it", async (dir) => {
    for (const sample of await all(dir)) {
      sample.segmentation?.forEach((value, i) => {
        if (value === 0) return;
        const x = i % sample.width;
        const y = (i - x) / sample.width;
        const inside = sample.boxes?.some(
          (b) => b.classIndex === value - 1 && x >= b.x && x < b.x + b.width && y >= b.y && y < b.y + b.height,
        );
        if (!inside) throw new Error(`${sample.id}: pixel ${x}, ${y} of class ${value} is in no box`);
      });
    }
  });

  onReal("rgbd_7scenes_redkitchen", "metres from millimetres, 0 and 65535 are no readings", async (dir) => {
    expect((await inferLabels(dir)).depth).toEqual({ kind: "metric" });
    const dataset = await openDataset(dir, { labels: await inferLabels(dir) });
    expect(dataset.size).toBe(120);
    const sample = await dataset.load(0);
    expect([...(sample.depth?.values.subarray(0, 5) ?? [])]).toEqual([0, 0, 2.057, 2.045, 2.045].map(Math.fround));
    expect([...(sample.depth?.valid.subarray(0, 5) ?? [])]).toEqual([0, 0, 1, 1, 1]);
    expect(counts(sample.depth?.valid ?? new Uint8Array()).get(0)).toBe(33257);
    expect(sample.boxes).toBeNull();
    expect(sample.segmentation).toBeNull();
  });

  onReal("rgbd_7scenes_redkitchen", "our PNG decoder gives what libvips gives", async (dir) => {
    for (const name of ["frame-000000.depth.png", "frame-000400.depth.png"]) {
      const bytes = readFileSync(join(dir, name));
      const ours = await decodeDepth(bytes, name);
      const theirs = await sharp(bytes).toColourspace("grey16").raw({ depth: "ushort" }).toBuffer();
      expect(Buffer.compare(Buffer.from(ours.values.buffer), theirs)).toBe(0);
    }
  });

  onReal("camvid_0006R0", "eleven classes, the twelfth ignored", async (dir) => {
    const labels = await inferLabels(dir);
    expect(labels.segmentation).toHaveLength(11);
    expect(labels.segmentation[3]).toBe("Road");
    const dataset = await openDataset(dir, { labels });
    const name = "label/0006R0_f00930.png";
    const raw = decodePngPlane(
      readPng(readFileSync(join(dir, name)), name, "DATA_SEGMENTATION"),
      name,
      "DATA_SEGMENTATION",
    );
    const sample = await dataset.load(0);
    expect(sample.segmentation).toEqual(Uint8Array.from(raw.values, (v) => (v === 11 ? IGNORE_CLASS : v)));
    const theirs = await sharp(join(dir, name)).toColourspace("b-w").raw().toBuffer();
    expect(Buffer.compare(Buffer.from(raw.values.buffer), theirs)).toBe(0);
  });

  onReal("coco_mini_train", "boxes, captions and masks from COCO's own files", async (dir) => {
    const labels = await inferLabels(dir);
    expect(labels.detection).toHaveLength(80);
    expect(labels.segmentation.slice(0, 3)).toEqual(["background", "person", "bicycle"]);
    const samples = await all(dir);
    expect(samples).toHaveLength(80);
    expect(samples.flatMap((s) => s.boxes ?? [])).toHaveLength(739);
    expect(samples.every((s) => s.captions?.length === 5 && s.segmentation !== null)).toBe(true);
  });

  onReal("busi_ultrasound", "scene classes and captions", async (dir) => {
    const labels = await inferLabels(dir);
    expect(labels.scene).toEqual(["benign", "malignant", "normal"]);
    const samples = await all(dir);
    expect(samples).toHaveLength(79);
    const perClass = [0, 1, 2].map((c) => samples.filter((s) => s.scene === c).length);
    expect(perClass).toEqual([27, 26, 26]);
    expect(samples.every((s) => s.depth === null && s.boxes === null && s.captions?.length === 1)).toBe(true);
  });
});
