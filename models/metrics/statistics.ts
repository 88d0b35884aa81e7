/**
 * Evaluation as sums: every client counts on its own held-out samples, the counts are added by a secure sum, and the
 * metrics of report.json follow from the total. All values are non-negative integers, so that they can be masked.
 * Detection is binned by score (256 bins per class and IoU threshold), depth errors are sums in fixed point.
 */
import type { Labels } from "../../shared/config/federation.ts";
import { averagePrecision } from "./average-precision.ts";

/** COCO's ten IoU thresholds, .50 to .95. */
export const IOU_THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95] as const;
export const SCORE_BINS = 256;
/** Depth errors are summed in units of 2^-20. */
export const FIXED_POINT = 2 ** 20;
/** One picture's mean error counts for at most this much, so that no sum of 2^20 pictures leaves 2^53. */
const MAX_DEPTH_ERROR = 4096;

type Head = "segmentation" | "detection" | "depth" | "depthCompletion" | "scene";

interface StatisticsSlot {
  readonly name: string;
  /** Index of the first value. */
  readonly offset: number;
  readonly size: number;
}

export interface StatisticsLayout {
  readonly slots: readonly StatisticsSlot[];
  readonly length: number;
  readonly labels: Labels;
}

export type Metrics = Partial<Record<Head, Record<string, number>>>;

/** Fields of the slots "depth" and "depthBaseline". */
export const DEPTH_FIELDS = { pictures: 0, squared: 1, relative: 2, delta1: 3, length: 4 } as const;

/** The counters that a federation with these labels needs. */
export function statisticsLayout(labels: Labels): StatisticsLayout {
  const slots: StatisticsSlot[] = [];
  let length = 0;
  const add = (name: string, size: number) => {
    if (size === 0) return;
    slots.push({ name, offset: length, size });
    length += size;
  };
  // Rows are the truth, columns the prediction.
  add("confusion", labels.segmentation.length ** 2);
  const classes = labels.detection.length;
  add("detectionPositives", classes);
  // [class][threshold][bin]; bin 255 holds the highest scores.
  add("detectionTrue", classes * IOU_THRESHOLDS.length * SCORE_BINS);
  add("detectionFalse", classes * IOU_THRESHOLDS.length * SCORE_BINS);
  if (labels.depth.kind !== "none") {
    add("depth", DEPTH_FIELDS.length);
    add("depthBaseline", DEPTH_FIELDS.length);
    add("depthCompletion", 2);
  }
  // Pictures, and those classified rightly.
  add("scene", labels.scene.length > 0 ? 2 : 0);
  return { slots, length, labels };
}

/** The values of one slot: a view. Empty when the layout has no such slot. */
export function slotValues(layout: StatisticsLayout, values: Float64Array, name: string): Float64Array {
  const slot = layout.slots.find((candidate) => candidate.name === name);
  return slot === undefined ? values.subarray(0, 0) : values.subarray(slot.offset, slot.offset + slot.size);
}

/** A depth error as the integer that is summed. */
export function fixedPoint(error: number): number {
  return Math.round(Math.min(Math.max(error, 0), MAX_DEPTH_ERROR) * FIXED_POINT);
}

/** Metrics per head, from the sums of any number of clients. A head without labelled samples is left out. */
export function metricsFromStatistics(layout: StatisticsLayout, values: Float64Array): Metrics {
  const metrics: Metrics = {};
  const segmentation = segmentationMetrics(slotValues(layout, values, "confusion"), layout.labels.segmentation.length);
  if (segmentation !== null) metrics.segmentation = segmentation;
  const detection = detectionMetrics(layout, values);
  if (detection !== null) metrics.detection = detection;
  const depth = depthMetrics(slotValues(layout, values, "depth"));
  if (depth !== null) {
    const baseline = depthMetrics(slotValues(layout, values, "depthBaseline"));
    metrics.depth = {
      ...depth,
      ...(baseline === null
        ? {}
        : { baselineRmse: baseline.rmse, baselineAbsRel: baseline.absRel, baselineDelta1: baseline.delta1 }),
    };
  }
  const completion = slotValues(layout, values, "depthCompletion");
  const completed = completion[0] ?? 0;
  if (completed > 0) metrics.depthCompletion = { rmse: Math.sqrt((completion[1] as number) / FIXED_POINT / completed) };
  const scene = slotValues(layout, values, "scene");
  const pictures = scene[0] ?? 0;
  if (pictures > 0) metrics.scene = { accuracy: (scene[1] as number) / pictures };
  return metrics;
}

/** Mean IoU over the classes that occur in truth or prediction, Dice likewise, and pixel accuracy. */
export function segmentationMetrics(
  confusion: Float64Array,
  classes: number,
): { mIoU: number; dice: number; pixelAccuracy: number } | null {
  let total = 0;
  let right = 0;
  let iouSum = 0;
  let diceSum = 0;
  let present = 0;
  for (let c = 0; c < classes; c++) {
    let truth = 0;
    let predicted = 0;
    for (let other = 0; other < classes; other++) {
      truth += confusion[c * classes + other] as number;
      predicted += confusion[other * classes + c] as number;
    }
    const hit = confusion[c * classes + c] as number;
    total += truth;
    right += hit;
    if (truth + predicted === 0) continue;
    present++;
    iouSum += hit / (truth + predicted - hit);
    diceSum += (2 * hit) / (truth + predicted);
  }
  if (total === 0) return null;
  return { mIoU: iouSum / present, dice: diceSum / present, pixelAccuracy: right / total };
}

function depthMetrics(sums: Float64Array): { rmse: number; absRel: number; delta1: number } | null {
  const pictures = sums[DEPTH_FIELDS.pictures] ?? 0;
  if (pictures === 0) return null;
  const mean = (field: number) => (sums[field] as number) / FIXED_POINT / pictures;
  return {
    rmse: Math.sqrt(mean(DEPTH_FIELDS.squared)),
    absRel: mean(DEPTH_FIELDS.relative),
    delta1: mean(DEPTH_FIELDS.delta1),
  };
}

/** mAP and AP50 over the classes that have at least one object. */
function detectionMetrics(
  layout: StatisticsLayout,
  values: Float64Array,
): { mAP: number; AP50: number; AP75: number } | null {
  const positives = slotValues(layout, values, "detectionPositives");
  const hits = slotValues(layout, values, "detectionTrue");
  const misses = slotValues(layout, values, "detectionFalse");
  const thresholds = IOU_THRESHOLDS.length;
  const sums = new Float64Array(thresholds);
  let classes = 0;
  for (let c = 0; c < positives.length; c++) {
    const count = positives[c] as number;
    if (count === 0) continue;
    classes++;
    for (let t = 0; t < thresholds; t++) {
      const start = (c * thresholds + t) * SCORE_BINS;
      const trueCounts: number[] = [];
      const falseCounts: number[] = [];
      for (let bin = SCORE_BINS - 1; bin >= 0; bin--) {
        trueCounts.push(hits[start + bin] as number);
        falseCounts.push(misses[start + bin] as number);
      }
      sums[t] = (sums[t] as number) + averagePrecision(trueCounts, falseCounts, count);
    }
  }
  if (classes === 0) return null;
  const mean = sums.reduce((sum, value) => sum + value, 0) / thresholds / classes;
  return { mAP: mean, AP50: (sums[0] as number) / classes, AP75: (sums[5] as number) / classes };
}
