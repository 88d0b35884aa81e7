/**
 * What is kept of an evaluation of data at hand, beyond the sums that clients send: detections and probabilities
 * themselves, so that average precision, AUROC and curves are exact, and how sure the model was of its pixels.
 */
import type { Labels } from "../../shared/config/federation.ts";
import type { Prediction } from "../allulook4/predict.ts";
import { IGNORE_CLASS, type Sample } from "../preprocess/sample.ts";
import { averagePrecision, precisionAtRecalls } from "./average-precision.ts";
import {
  addConfidence,
  CALIBRATION_LENGTH,
  type CalibrationBin,
  calibrationBins,
  expectedCalibrationError,
} from "./calibration.ts";
import { type ClassCounts, classCounts, mean } from "./classification.ts";
import { type ClassScores, CocoScorer } from "./coco/score.ts";
import { auroc, groupScores, rocCurve } from "./roc.ts";
import { metricsFromStatistics, slotValues, type StatisticsLayout, statisticsLayout } from "./statistics.ts";

/** Metrics per head; null where there is nothing that the metric could be of. */
export type ExactMetrics = Record<string, Record<string, number | null>>;

interface Named {
  readonly name: string;
}

export interface ClassDetails {
  readonly classes: readonly (Named & ClassCounts)[];
  /** [truth][predicted] */
  readonly confusion: readonly (readonly number[])[];
  readonly calibration: readonly CalibrationBin[];
}

export interface SceneClassDetails {
  readonly auroc: number | null;
  readonly averagePrecision: number | null;
  /** True positive rate at false positive rates 0, .01, … 1. */
  readonly rocCurve: readonly number[];
  /** Precision at recalls 0, .01, … 1. */
  readonly precisionCurve: readonly number[];
}

export interface DetectionDetails {
  readonly classes: readonly (Named & ClassScores)[];
  readonly calibration: readonly CalibrationBin[];
}

export interface ExactDetails {
  readonly segmentation?: ClassDetails;
  readonly detection?: DetectionDetails;
  readonly scene?: ClassDetails & { readonly curves: readonly (Named & SceneClassDetails)[] };
}

export class ExactEvaluation {
  readonly layout: StatisticsLayout;
  readonly values: Float64Array;
  readonly #scorer: CocoScorer;
  readonly #pixels = new Float64Array(CALIBRATION_LENGTH);
  readonly #scenes: { truth: number; probabilities: Float32Array }[] = [];
  #examples = 0;

  constructor(labels: Labels) {
    this.layout = statisticsLayout(labels);
    this.values = new Float64Array(this.layout.length);
    this.#scorer = new CocoScorer(labels.detection.length);
  }

  /** Samples seen. */
  get examples(): number {
    return this.#examples;
  }

  /** Takes what the sums do not hold; `prediction` comes with its confidence map. */
  observe(sample: Sample, prediction: Prediction): void {
    this.#examples++;
    if (sample.boxes !== null && prediction.detections !== null) this.#scorer.add(prediction.detections, sample.boxes);
    if (sample.scene !== null && prediction.scene !== null)
      this.#scenes.push({ truth: sample.scene, probabilities: prediction.scene });
    const { classMap, confidence } = prediction;
    if (sample.segmentation === null || classMap === null || confidence == null) return;
    for (const [i, label] of sample.segmentation.entries()) {
      if (label !== IGNORE_CLASS) addConfidence(this.#pixels, confidence[i] as number, classMap[i] === label);
    }
  }

  /** Adds another evaluation with the same labels. */
  addAll(other: ExactEvaluation): void {
    for (const [i, value] of other.values.entries()) this.values[i] = (this.values[i] as number) + value;
    for (const [i, value] of other.#pixels.entries()) this.#pixels[i] = (this.#pixels[i] as number) + value;
    for (const scene of other.#scenes) this.#scenes.push(scene);
    this.#scorer.addAll(other.#scorer);
    this.#examples += other.#examples;
  }

  /** Only heads with labels. */
  metrics(): ExactMetrics {
    const metrics: ExactMetrics = { ...(metricsFromStatistics(this.layout, this.values) as ExactMetrics) };
    if (metrics["segmentation"] !== undefined)
      metrics["segmentation"] = { ...metrics["segmentation"], ece: expectedCalibrationError(this.#pixels) };
    const detection = detectionMetrics(this.#scorer);
    if (detection !== null) metrics["detection"] = detection;
    if (metrics["scene"] !== undefined) {
      const areas = this.#sceneCurves().flatMap((one) => (one.auroc === null ? [] : [one.auroc]));
      metrics["scene"] = { ...metrics["scene"], auroc: areas.length === 0 ? null : mean(areas) };
    }
    return metrics;
  }

  /** Per class: counts, confusion, curves. */
  details(): ExactDetails {
    const { labels } = this.layout;
    const metrics = metricsFromStatistics(this.layout, this.values);
    const confusion = (slot: string, names: readonly string[]) => {
      const counts = slotValues(this.layout, this.values, slot);
      return {
        classes: classCounts(counts, names.length).map((one, c) => ({ name: names[c] as string, ...one })),
        confusion: names.map((_, row) => [...counts.subarray(row * names.length, (row + 1) * names.length)]),
      };
    };
    const detection = detectionDetails(this.#scorer, labels.detection);
    return {
      ...(metrics.segmentation !== undefined && {
        segmentation: { ...confusion("confusion", labels.segmentation), calibration: calibrationBins(this.#pixels) },
      }),
      ...(detection !== null && { detection }),
      ...(metrics.scene !== undefined && {
        scene: {
          ...confusion("sceneConfusion", labels.scene),
          calibration: calibrationBins(slotValues(this.layout, this.values, "sceneCalibration")),
          curves: this.#sceneCurves(),
        },
      }),
    };
  }

  #sceneCurves(): (Named & SceneClassDetails)[] {
    return this.layout.labels.scene.map((name, c) => {
      const groups = groupScores(
        this.#scenes.map(({ probabilities }) => probabilities[c] as number),
        this.#scenes.map(({ truth }) => truth === c),
      );
      const { positives, negatives } = groups;
      const members = positives.reduce((sum, count) => sum + count, 0);
      return {
        name,
        auroc: auroc(groups),
        averagePrecision: members === 0 ? null : averagePrecision(positives, negatives, members),
        rocCurve: rocCurve(groups),
        precisionCurve: members === 0 ? [] : precisionAtRecalls(positives, negatives, members),
      };
    });
  }
}

/**
 * COCO's table; precision, recall and F1 of each class where its F1 is highest (IoU .50), averaged over classes with
 * objects; calibration of all scores at IoU .50. Null without an object.
 */
export function detectionMetrics(scorer: CocoScorer): Record<string, number | null> | null {
  const scores = scorer.result();
  if (scores === null) return null;
  const judged = scores.classes.filter(({ objects }) => objects > 0);
  const best = (name: "precision" | "recall" | "f1") => mean(judged.map((one) => one.best?.[name] ?? 0));
  return {
    ...scores.summary,
    precision: best("precision"),
    recall: best("recall"),
    f1: best("f1"),
    // Scores that are no probabilities have no calibration.
    ece: [...scorer.judged()].every(({ score }) => score >= 0 && score <= 1)
      ? expectedCalibrationError(judgedBins(scorer))
      : null,
  };
}

/** Null without an object. */
export function detectionDetails(scorer: CocoScorer, names: readonly string[]): DetectionDetails | null {
  const scores = scorer.result();
  if (scores === null) return null;
  return {
    classes: scores.classes.map((one, c) => ({ name: names[c] as string, ...one })),
    calibration: calibrationBins(judgedBins(scorer)),
  };
}

function judgedBins(scorer: CocoScorer): Float64Array {
  const bins = new Float64Array(CALIBRATION_LENGTH);
  for (const { score, hit } of scorer.judged()) addConfidence(bins, score, hit);
  return bins;
}
