/**
 * COCO's evaluation parameters (pycocotools, cocoeval.py, `Params`), to the last bit of NumPy's linspace: a recall that
 * should equal a threshold must not miss it by rounding.
 */

/** IoU .50 to .95. */
export const IOU_THRESHOLDS: readonly number[] = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.8999999999999999, 0.95];
export const AT_50 = 0;
export const AT_75 = 5;

/** 101 recalls, 0 to 1. */
export const RECALL_THRESHOLDS: readonly number[] = Array.from({ length: 101 }, (_, i) => i * 0.01);

/** Detections of one class in one picture that count, highest scores first. */
export const MAX_DETECTIONS = [1, 10, 100] as const;
export const MOST_DETECTIONS = 100;

/** Pixels of area, both ends included. */
export const AREA_RANGES = [
  { name: "all", from: 0, to: 1e10 },
  { name: "small", from: 0, to: 32 ** 2 },
  { name: "medium", from: 32 ** 2, to: 96 ** 2 },
  { name: "large", from: 96 ** 2, to: 1e10 },
] as const;
