/**
 * Evaluation as sums: every client counts on its own held-out samples, the counts are added by a secure sum, and the
 * metrics of report.json follow from the total. All values are non-negative integers, so that they can be masked.
 * Detection is binned by score (256 bins per class and IoU threshold), depth errors are sums in fixed point.
 */
import type { Labels } from "../../shared/config/federation.ts";
import { averagePrecision } from "./average-precision.ts";
import { bestPoint } from "./best-point.ts";
import { addConfidence, CALIBRATION_LENGTH, expectedCalibrationError } from "./calibration.ts";
import { mean, sceneMetrics, segmentationMetrics } from "./classification.ts";
import { AT_50, AT_75, IOU_THRESHOLDS } from "./coco/parameters.ts";
import type { DepthErrors } from "./depth.ts";
import { auroc } from "./roc.ts";

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

/** What the slots "depth" and "depthBaseline" sum up per picture, behind the number of pictures. */
const DEPTH_SUMS = [
  "squared",
  "relative",
  "delta1",
  "absolute",
  "squaredLog",
  "silog",
  "delta2",
  "delta3",
] as const satisfies readonly (keyof DepthErrors)[];
const DEPTH_LENGTH = 1 + DEPTH_SUMS.length;

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
    add("depth", DEPTH_LENGTH);
    add("depthBaseline", DEPTH_LENGTH);
    add("depthCompletion", 2);
  }
  const scenes = labels.scene.length;
  add("sceneConfusion", scenes ** 2);
  // [class][others, members][bin] of the class's probability.
  add("sceneScores", scenes * 2 * SCORE_BINS);
  add("sceneCalibration", scenes > 0 ? CALIBRATION_LENGTH : 0);
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
    const baseline = depthMetrics(slotValues(layout, values, "depthBaseline")) ?? {};
    const renamed = Object.entries(baseline).map(([name, value]) => [
      `baseline${name.charAt(0).toUpperCase()}${name.slice(1)}`,
      value,
    ]);
    metrics.depth = { ...depth, ...Object.fromEntries(renamed) };
  }
  const completion = slotValues(layout, values, "depthCompletion");
  const completed = completion[0] ?? 0;
  if (completed > 0) metrics.depthCompletion = { rmse: Math.sqrt((completion[1] as number) / FIXED_POINT / completed) };
  const scene = sceneScores(layout, values);
  if (scene !== null) metrics.scene = scene;
  return metrics;
}

/** AUROC is exact to the score's bin; the mean over the classes that have members and others. */
function sceneScores(layout: StatisticsLayout, values: Float64Array): Record<string, number> | null {
  const classes = layout.labels.scene.length;
  const metrics = sceneMetrics(slotValues(layout, values, "sceneConfusion"), classes);
  if (metrics === null) return null;
  const scores = slotValues(layout, values, "sceneScores");
  const areas = layout.labels.scene.flatMap((_, c) => {
    const bins = (member: 0 | 1) =>
      Array.from({ length: SCORE_BINS }, (__, i) => scores[(c * 2 + member + 1) * SCORE_BINS - 1 - i] as number);
    const area = auroc({ positives: bins(1), negatives: bins(0) });
    return area === null ? [] : [area];
  });
  const ece = expectedCalibrationError(slotValues(layout, values, "sceneCalibration"));
  return { ...metrics, ...(areas.length > 0 && { auroc: mean(areas) }), ...(ece !== null && { ece }) };
}

/** Counts one picture's probabilities. */
export function addScene(
  layout: StatisticsLayout,
  values: Float64Array,
  truth: number,
  probabilities: Float32Array,
): void {
  let best = 0;
  for (const [c, one] of probabilities.entries()) if (one > (probabilities[best] as number)) best = c;
  const add = (slot: string, at: number) => {
    const counts = slotValues(layout, values, slot);
    counts[at] = (counts[at] as number) + 1;
  };
  add("sceneConfusion", truth * probabilities.length + best);
  addConfidence(slotValues(layout, values, "sceneCalibration"), probabilities[best] as number, best === truth);
  for (const [c, probability] of probabilities.entries()) {
    const bin = Math.min(SCORE_BINS - 1, Math.floor(probability * SCORE_BINS));
    add("sceneScores", (c * 2 + (c === truth ? 1 : 0)) * SCORE_BINS + bin);
  }
}

/** Counts one picture's depth errors in the slot "depth" or "depthBaseline". */
export function addDepth(sums: Float64Array, errors: DepthErrors | null): void {
  if (errors === null) return;
  sums[0] = (sums[0] as number) + 1;
  for (const [i, name] of DEPTH_SUMS.entries()) sums[i + 1] = (sums[i + 1] as number) + fixedPoint(errors[name]);
}

/** Means over pictures; the roots are taken of the means. */
function depthMetrics(sums: Float64Array): Record<string, number> | null {
  const pictures = sums[0] ?? 0;
  if (pictures === 0) return null;
  const of = (name: (typeof DEPTH_SUMS)[number]) =>
    (sums[1 + DEPTH_SUMS.indexOf(name)] as number) / FIXED_POINT / pictures;
  return {
    rmse: Math.sqrt(of("squared")),
    mae: of("absolute"),
    logRmse: Math.sqrt(of("squaredLog")),
    absRel: of("relative"),
    silog: of("silog"),
    delta1: of("delta1"),
    delta2: of("delta2"),
    delta3: of("delta3"),
  };
}

/** Means over the classes that have at least one object; precision, recall and F1 where F1 is highest, at IoU .50. */
function detectionMetrics(layout: StatisticsLayout, values: Float64Array): Record<string, number> | null {
  const positives = slotValues(layout, values, "detectionPositives");
  const hits = slotValues(layout, values, "detectionTrue");
  const misses = slotValues(layout, values, "detectionFalse");
  const thresholds = IOU_THRESHOLDS.length;
  const sums = new Float64Array(thresholds);
  const best = { precision: 0, recall: 0, f1: 0 };
  const lowerEdges = Array.from({ length: SCORE_BINS }, (_, i) => (SCORE_BINS - 1 - i) / SCORE_BINS);
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
      if (t !== AT_50) continue;
      const point = bestPoint(lowerEdges, trueCounts, falseCounts, count);
      for (const name of ["precision", "recall", "f1"] as const) best[name] += point?.[name] ?? 0;
    }
  }
  if (classes === 0) return null;
  return {
    mAP: sums.reduce((sum, value) => sum + value, 0) / thresholds / classes,
    AP50: (sums[AT_50] as number) / classes,
    AP75: (sums[AT_75] as number) / classes,
    precision: best.precision / classes,
    recall: best.recall / classes,
    f1: best.f1 / classes,
  };
}
