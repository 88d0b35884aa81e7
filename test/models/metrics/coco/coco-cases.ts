/** Stored and random COCO cases, and how they are scored here and by the plain twin. */
import {
  cocoMask,
  cocoResults,
  cocoTruth,
  type CocoResult,
  type CocoTruth,
} from "../../../../client/data/coco-results.ts";
import { compareCoco } from "../../../../bin/evaluation/coco.ts";
import { COCO_METRICS, type CocoScores } from "../../../../models/metrics/coco/score.ts";
import type { RunLengths } from "../../../../models/metrics/coco/run-lengths.ts";
import type { Rng } from "../../../../shared/rng/rng.ts";
import { plainCoco, type PlainRegion } from "../../../reference/coco.ts";

export interface CocoCase {
  readonly name: string;
  readonly type: "bbox" | "segm";
  readonly groundTruth: unknown;
  readonly predictions: unknown;
}

export interface JudgedCase extends CocoCase {
  readonly stats: readonly (number | null)[];
  readonly classAP: readonly (number | null)[];
  readonly classCurve50: readonly (readonly number[])[];
}

export function scoresOf({ type, groundTruth, predictions }: CocoCase): CocoScores | null {
  const truth = { path: "truth.json", content: cocoTruth.parse(groundTruth) };
  const results = { path: "found.json", results: cocoResults.parse(predictions) };
  return compareCoco({ predictions: results, truth }, type).scorer.result();
}

/** In the order of pycocotools' `stats`. */
export function statsOf(scores: CocoScores | null): (number | null)[] {
  return COCO_METRICS.map((name) => scores?.summary[name] ?? null);
}

/** The twin's view of a case; picture ids are numbers. */
export function plainStats({ type, groundTruth, predictions }: CocoCase): (number | null)[] {
  const truth = cocoTruth.parse(groundTruth);
  const results = cocoResults.parse(predictions);
  const known = new Set(truth.categories.map(({ id }) => id));
  const region = (one: CocoResult | CocoTruth["annotations"][number], area: number | undefined): PlainRegion => {
    const at = { image: one.image_id as number, category: one.category_id };
    const size = truth.images.find(({ id }) => id === one.image_id) ?? {};
    const box = one.bbox ?? null;
    if (type === "bbox") return { ...at, area: area ?? (box === null ? 0 : box[2] * box[3]), box, pixels: null };
    const [x, y, w, h] = box ?? [0, 0, 0, 0];
    const given = one.segmentation ?? [[x, y, x, y + h, x + w, y + h, x + w, y]];
    const pixels = pixelsOf(cocoMask(given, size, "twin"));
    const boxArea = !("area" in one) && box !== null ? w * h : undefined;
    return { ...at, area: area ?? boxArea ?? pixels.size, box: null, pixels };
  };
  return plainCoco(
    results
      .filter(({ category_id }) => known.has(category_id))
      .map((result) => ({ ...region(result, undefined), score: result.score })),
    truth.annotations.map((object) => ({ ...region(object, object.area), crowd: object.iscrowd === 1 })),
  );
}

function pixelsOf({ counts }: RunLengths): Set<number> {
  const pixels = new Set<number>();
  let at = 0;
  for (const [i, run] of counts.entries()) {
    if (i % 2 === 1) for (let p = at; p < at + run; p++) pixels.add(p);
    at += run;
  }
  return pixels;
}

/** A random case: near misses, ties, crowds, areas beside the limits, pictures without objects or detections. */
export function randomCase(rng: Rng, type: "bbox" | "segm"): CocoCase {
  const side = type === "bbox" ? 150 : 24;
  const images = Array.from({ length: 1 + rng.below(5) }, (_, i) => ({ id: 9 - i, height: side, width: side }));
  const categories = Array.from({ length: 1 + rng.below(3) }, (_, i) => ({ id: 5 - i, name: `c${i}` }));
  const pick = <T>(list: readonly T[]) => list[rng.below(list.length)] as T;
  const annotations: unknown[] = [];
  const predictions: unknown[] = [];
  const box = () => {
    const width = 1 + rng.below(type === "bbox" ? pick([12, 40, 140]) : 12);
    const height = 1 + rng.below(type === "bbox" ? pick([12, 40, 140]) : 12);
    return [rng.below(side - width + 1), rng.below(side - height + 1), width, height] as const;
  };
  const shape = (b: readonly [number, number, number, number]) =>
    type === "bbox" ? { bbox: b } : { segmentation: { size: [side, side], counts: ragged(rng, b, side) } };
  const score = () => rng.below(12) / 12;
  for (const { id } of images) {
    for (let n = rng.below(7); n > 0; n--) {
      const b = box();
      const { id: category } = pick(categories);
      const at = { image_id: id, category_id: category };
      const area = pick([b[2] * b[3], 1024, 1024.5, 9216, b[2] * b[3] * 0.7]);
      annotations.push({ id: annotations.length + 1, ...at, ...shape(b), area, iscrowd: rng.below(4) === 0 ? 1 : 0 });
      for (let m = rng.below(4); m > 0; m--) {
        const near = b.map((value, i) => Math.max(i < 2 ? 0 : 1, value + rng.below(3) - 1));
        const inside = [near[0], near[1], Math.min(near[2] as number, side - (near[0] as number)), near[3]] as number[];
        inside[3] = Math.min(inside[3] as number, side - (inside[1] as number));
        if ((inside[2] as number) > 0 && (inside[3] as number) > 0)
          predictions.push({
            ...at,
            ...shape(inside as unknown as readonly [number, number, number, number]),
            score: score(),
          });
      }
    }
    for (let n = rng.below(4) === 0 ? 105 : rng.below(4); n > 0; n--) {
      predictions.push({ image_id: id, category_id: pick(categories).id, ...shape(box()), score: score() });
    }
  }
  return { name: "random", type, groundTruth: { images, categories, annotations }, predictions };
}

/** Run lengths of a box with a bite taken out of every column. */
function ragged(rng: Rng, [x, y, width, height]: readonly [number, number, number, number], side: number): number[] {
  const counts: number[] = [];
  let last = 0;
  for (let column = x; column < x + width; column++) {
    const top = y + rng.below(Math.max(1, height >> 1));
    counts.push(column * side + top - last, y + height - top);
    last = column * side + y + height;
  }
  counts.push(side * side - last);
  return counts;
}
