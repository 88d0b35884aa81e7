/**
 * COCO's average precision and recall over a dataset (pycocotools, cocoeval.py, `accumulate` and `summarize`): the
 * twelve numbers of its table, the same per class, and precision-recall curves.
 */
import { averagePrecision, precisionAtRecalls } from "../average-precision.ts";
import { bestPoint, type OperatingPoint } from "../best-point.ts";
import { mean } from "../classification.ts";
import { boxOverlap, matchRegions, OUTCOME, type Rectangle, type TruthRegion } from "./match.ts";
import { AREA_RANGES, AT_50, AT_75, IOU_THRESHOLDS, MAX_DETECTIONS, MOST_DETECTIONS } from "./parameters.ts";

/** Null: nothing to find (pycocotools says -1). Order and meaning of pycocotools' `stats`. */
export const COCO_METRICS = [
  "mAP",
  "AP50",
  "AP75",
  "APsmall",
  "APmedium",
  "APlarge",
  "AR1",
  "AR10",
  "AR100",
  "ARsmall",
  "ARmedium",
  "ARlarge",
] as const;
type CocoSummary = Record<(typeof COCO_METRICS)[number], number | null>;

export interface ClassScores {
  readonly objects: number;
  readonly summary: CocoSummary;
  /** At IoU .50; null where nothing was found. */
  readonly best: OperatingPoint | null;
  /** Precision at the 101 recalls; empty without objects. */
  readonly curve50: readonly number[];
  readonly curve75: readonly number[];
}

export interface CocoScores {
  /** Means over classes that have something to find. */
  readonly summary: CocoSummary;
  readonly classes: readonly ClassScores[];
}

const THRESHOLDS = IOU_THRESHOLDS.length;
const RANGES = AREA_RANGES.length;

/** One class's detections over all pictures; outcomes are [range][detection][threshold]. */
interface ClassRecord {
  readonly scores: number[];
  /** Place of the detection in its picture, from 0. */
  readonly ranks: number[];
  readonly outcomes: Uint8Array[][];
  readonly positives: number[];
  /** Pictures with an object or a detection. */
  pictures: number;
}

/**
 * Collects pictures and computes the scores. Equal scores keep the order in which pictures and detections were added:
 * pycocotools goes through pictures by rising id.
 */
export class CocoScorer {
  readonly #classes: ClassRecord[];

  constructor(classes: number) {
    this.#classes = Array.from({ length: classes }, () => ({
      scores: [],
      ranks: [],
      outcomes: Array.from({ length: RANGES }, () => []),
      positives: Array.from({ length: RANGES }, () => 0),
      pictures: 0,
    }));
  }

  /**
   * Adds one class of one picture.
   *
   * @param areas pixels, beside `scores`
   * @param overlap IoU of detection d and object g; against a crowd the share of the detection
   */
  addRegions(
    classIndex: number,
    scores: readonly number[],
    areas: readonly number[],
    objects: readonly TruthRegion[],
    overlap: (d: number, g: number) => number,
  ): void {
    if (scores.length === 0 && objects.length === 0) return;
    const record = this.#classes[classIndex] as ClassRecord;
    const order = scores
      .map((_, d) => d)
      .toSorted((a, b) => (scores[b] as number) - (scores[a] as number))
      .slice(0, MOST_DETECTIONS);
    const overlaps = new Float64Array(order.length * objects.length);
    for (const [at, d] of order.entries()) {
      for (let g = 0; g < objects.length; g++) overlaps[at * objects.length + g] = overlap(d, g);
    }
    const sortedAreas = order.map((d) => areas[d] as number);
    for (let range = 0; range < RANGES; range++) {
      const { outcomes, positives } = matchRegions(sortedAreas, objects, overlaps, range);
      (record.outcomes[range] as Uint8Array[]).push(outcomes);
      record.positives[range] = (record.positives[range] as number) + positives;
    }
    for (const [rank, d] of order.entries()) {
      record.scores.push(scores[d] as number);
      record.ranks.push(rank);
    }
    record.pictures++;
  }

  /** Adds one picture's boxes of all classes; an object's area is its box's. */
  add(
    detections: readonly (Rectangle & { readonly classIndex: number; readonly score: number })[],
    objects: readonly (Rectangle & { readonly classIndex: number; readonly crowd: boolean })[],
  ): void {
    const area = ({ width, height }: Rectangle) => width * height;
    for (const classIndex of new Set([...detections, ...objects].map((region) => region.classIndex))) {
      const found = detections.filter((detection) => detection.classIndex === classIndex);
      const truth = objects.filter((object) => object.classIndex === classIndex);
      this.addRegions(
        classIndex,
        found.map(({ score }) => score),
        found.map(area),
        truth.map((object) => ({ area: area(object), crowd: object.crowd })),
        (d, g) => boxOverlap(found[d] as Rectangle, truth[g] as Rectangle, (truth[g] as (typeof truth)[number]).crowd),
      );
    }
  }

  /** Adds what another scorer of the same classes collected. */
  addAll(other: CocoScorer): void {
    for (const [c, own] of this.#classes.entries()) {
      const more = other.#classes[c] as ClassRecord;
      for (let i = 0; i < more.scores.length; i++) {
        own.scores.push(more.scores[i] as number);
        own.ranks.push(more.ranks[i] as number);
      }
      for (let range = 0; range < RANGES; range++) {
        for (const outcomes of more.outcomes[range] as Uint8Array[])
          (own.outcomes[range] as Uint8Array[]).push(outcomes);
        own.positives[range] = (own.positives[range] as number) + (more.positives[range] as number);
      }
      own.pictures += more.pictures;
    }
  }

  /** Confidence and outcome at IoU .50 of every detection that counts, of all classes: what calibration is about. */
  *judged(): Generator<{ score: number; hit: boolean }> {
    for (const record of this.#classes) {
      const outcomes = flat(record.outcomes[0] as Uint8Array[]);
      for (const [d, score] of record.scores.entries()) {
        const outcome = outcomes[d * THRESHOLDS + AT_50] as number;
        if (outcome !== OUTCOME.ignored) yield { score, hit: outcome === OUTCOME.hit };
      }
    }
  }

  /** Null when no picture holds an object. */
  result(): CocoScores | null {
    const classes = this.#classes.map(scoreClass);
    if (classes.every(({ objects }) => objects === 0)) return null;
    const summary = {} as CocoSummary;
    for (const name of COCO_METRICS) {
      const known = classes.map((one) => one.summary[name]).filter((value) => value !== null);
      summary[name] = known.length === 0 ? null : mean(known);
    }
    return { summary, classes };
  }
}

function scoreClass(record: ClassRecord): ClassScores {
  const order = record.scores
    .map((_, d) => d)
    .toSorted((a, b) => (record.scores[b] as number) - (record.scores[a] as number));
  const ap: (number[] | null)[] = [];
  const ar: (number[] | null)[] = [];
  let best: OperatingPoint | null = null;
  let curve50: readonly number[] = [];
  let curve75: readonly number[] = [];
  for (let range = 0; range < RANGES; range++) {
    const positives = record.positives[range] as number;
    if (positives === 0) {
      ap.push(null);
      ar.push(null);
      continue;
    }
    const outcomes = flat(record.outcomes[range] as Uint8Array[]);
    const aps: number[] = [];
    const recalls = MAX_DETECTIONS.map(() => [] as number[]);
    for (let t = 0; t < THRESHOLDS; t++) {
      const hits = order.map((d) => (outcomes[d * THRESHOLDS + t] === OUTCOME.hit ? 1 : 0));
      const misses = order.map((d) => (outcomes[d * THRESHOLDS + t] === OUTCOME.miss ? 1 : 0));
      aps.push(averagePrecision(hits, misses, positives));
      for (const [m, limit] of MAX_DETECTIONS.entries()) {
        let found = 0;
        for (const [at, d] of order.entries()) if ((record.ranks[d] as number) < limit) found += hits[at] as number;
        (recalls[m] as number[]).push(found / positives);
      }
      if (range > 0) continue;
      if (t === AT_50) {
        best = bestPoint(
          order.map((d) => record.scores[d] as number),
          hits,
          misses,
          positives,
        );
        curve50 = precisionAtRecalls(hits, misses, positives);
      }
      if (t === AT_75) curve75 = precisionAtRecalls(hits, misses, positives);
    }
    ap.push(aps);
    ar.push(recalls.map(mean));
  }
  const all = ap[0] ?? null;
  const averageOf = (values: readonly number[] | null | undefined) => (values == null ? null : mean(values));
  const recallOf = (range: number, m: number) => ar[range]?.[m] ?? null;
  return {
    objects: record.positives[0] as number,
    best,
    curve50,
    curve75,
    summary: {
      mAP: averageOf(all),
      AP50: all?.[AT_50] ?? null,
      AP75: all?.[AT_75] ?? null,
      APsmall: averageOf(ap[1]),
      APmedium: averageOf(ap[2]),
      APlarge: averageOf(ap[3]),
      AR1: recallOf(0, 0),
      AR10: recallOf(0, 1),
      AR100: recallOf(0, 2),
      ARsmall: recallOf(1, 2),
      ARmedium: recallOf(2, 2),
      ARlarge: recallOf(3, 2),
    },
  };
}

function flat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
