/** The one score of each head that a release is judged by, and what quantization takes from it. */
import { z } from "zod";

export const HEADS = ["segmentation", "detection", "depth", "scene"] as const;
export type Head = (typeof HEADS)[number];

/** The metric in [0, 1], larger is better, that a head's drop is a difference of. */
export const HEAD_SCORE = {
  segmentation: "mIoU",
  detection: "mAP",
  depth: "delta1",
  scene: "accuracy",
} as const satisfies Record<Head, string>;

/** What a head's metrics are called in reports and in a stop rule. */
export const HEAD_METRICS = {
  segmentation: ["mIoU", "dice", "pixelAccuracy", "precision", "recall", "f1"],
  detection: ["mAP", "AP50", "AP75", "precision", "recall", "f1"],
  depth: ["rmse", "mae", "logRmse", "absRel", "silog", "delta1", "delta2", "delta3"],
  scene: ["accuracy", "precision", "f1", "sensitivity", "specificity", "auroc", "ece"],
} as const satisfies Record<Head, readonly string[]>;

/** Metrics per head as in report.json; only heads with labels in the evaluation data appear. */
export const metrics = z.record(z.string().max(32), z.record(z.string().max(32), z.number().nullable()));
export type Metrics = Readonly<Record<string, Readonly<Record<string, number | null>>>>;

const drop = z.number().min(-1).max(1).nullable();
/** Differences of mIoU, mAP, delta1 and accuracy; null where unevaluated. */
export const drops = z.strictObject({ segmentation: drop, detection: drop, depth: drop, scene: drop });
export type Drops = Readonly<Record<Head, number | null>>;

/** The head's score; null where it was not evaluated. */
export function scoreOf(measured: Metrics, head: Head): number | null {
  const value = measured[head]?.[HEAD_SCORE[head]];
  return value === undefined || value === null || !Number.isFinite(value) ? null : value;
}

/** What the quantized model loses against the reference, per head. */
export function dropsBetween(reference: Metrics, quantized: Metrics): Drops {
  return mapHeads((head) => {
    const before = scoreOf(reference, head);
    const after = scoreOf(quantized, head);
    return before === null || after === null ? null : before - after;
  });
}

export const NO_DROPS: Drops = mapHeads(() => null);

/** The largest drop; null when no head was evaluated. */
export function worstDrop(measured: Drops): number | null {
  const known = HEADS.map((head) => measured[head]).filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}

/** One value per head. */
export function mapHeads(value: (head: Head) => number | null): Drops {
  return {
    segmentation: value("segmentation"),
    detection: value("detection"),
    depth: value("depth"),
    scene: value("scene"),
  };
}
