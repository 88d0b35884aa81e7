/** Metrics against scikit-learn and NumPy (test/vectors/metrics/make-metrics.py). */
import { describe, expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import {
  addConfidence,
  CALIBRATION_LENGTH,
  calibrationBins,
  expectedCalibrationError,
} from "../../../models/metrics/calibration.ts";
import { classCounts, sceneMetrics, segmentationMetrics } from "../../../models/metrics/classification.ts";
import { depthErrors } from "../../../models/metrics/depth.ts";
import { auroc, groupScores, rocCurve } from "../../../models/metrics/roc.ts";
import {
  addDepth,
  addScene,
  metricsFromStatistics,
  slotValues,
  statisticsLayout,
} from "../../../models/metrics/statistics.ts";
import { Rng } from "../../../shared/rng/rng.ts";

type Numbers<K extends string> = Readonly<Record<K, number>>;
const stored = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../vectors/metrics/metrics.json"), "utf8")) as {
  classification: (Numbers<
    "classes" | "accuracy" | "mIoU" | "precision" | "recall" | "f1" | "sensitivity" | "specificity"
  > & { confusion: number[] })[];
  ranking: { scores: number[]; members: boolean[]; auroc: number; curve: number[] }[];
  calibration: { confidence: number[]; right: boolean[]; ece: number }[];
  depth: ({ kind: "metric" | "relative" | "inverse"; truth: number[]; valid: number[]; prediction: number[] } & Numbers<
    "squared" | "absolute" | "relative" | "squaredLog" | "silog" | "delta1" | "delta2" | "delta3"
  >)[];
};

describe("as scikit-learn has it", () => {
  test("IoU, Dice, precision, recall, F1, accuracy", () => {
    for (const { confusion, classes, mIoU, precision, recall, f1, accuracy } of stored.classification) {
      const got = segmentationMetrics(confusion, classes);
      for (const [name, wanted] of Object.entries({ mIoU, precision, recall, f1, dice: f1, pixelAccuracy: accuracy }))
        expect([name, got?.[name as "f1"]]).toEqual([name, expect.closeTo(wanted, 9)]);
    }
  });

  test("sensitivity and specificity", () => {
    for (const { confusion, classes, accuracy, precision, f1, sensitivity, specificity } of stored.classification) {
      const got = sceneMetrics(confusion, classes) ?? {};
      for (const [name, wanted] of Object.entries({ accuracy, precision, f1, sensitivity, specificity }))
        expect([name, got[name]]).toEqual([name, expect.closeTo(wanted, 9)]);
    }
  });

  test("AUROC and its curve, with and without ties", () => {
    for (const { scores, members, auroc: wanted, curve } of stored.ranking) {
      const groups = groupScores(scores, members);
      expect(auroc(groups)).toBeCloseTo(wanted, 9);
      for (const [i, rate] of rocCurve(groups).entries()) expect(rate).toBeCloseTo(curve[i] as number, 9);
    }
  });
});

describe("as NumPy has it", () => {
  test("expected calibration error", () => {
    for (const { confidence, right, ece } of stored.calibration) {
      const bins = new Float64Array(CALIBRATION_LENGTH);
      for (const [i, value] of confidence.entries()) addConfidence(bins, value, right[i] as boolean);
      expect(expectedCalibrationError(bins)).toBeCloseTo(ece, 6);
      expect(calibrationBins(bins).reduce((sum, { count }) => sum + count, 0)).toBe(confidence.length);
    }
  });

  test("depth errors, metric and aligned", () => {
    for (const { kind, truth, valid, prediction, ...wanted } of stored.depth) {
      const map = { values: Float32Array.from(truth), valid: Uint8Array.from(valid) };
      const got = depthErrors(Float32Array.from(prediction), map, kind);
      for (const [name, value] of Object.entries(wanted))
        expect([kind, name, got?.[name as "silog"]]).toEqual([kind, name, expect.closeTo(value, 4)]);
    }
  });
});

describe("edges", () => {
  test("a class that nobody has or predicts is in no mean; one class alone has no specificity", () => {
    expect(segmentationMetrics([5, 0, 0, 0], 2)).toMatchObject({ mIoU: 1, precision: 1, recall: 1 });
    expect(sceneMetrics([5, 0, 0, 0], 2)).toEqual({ accuracy: 1, precision: 1, f1: 1 });
    expect(classCounts([5, 0, 0, 0], 2)[1]).toMatchObject({ iou: null, precision: null, recall: null, specificity: 1 });
    expect(sceneMetrics([0, 0, 0, 0], 2)).toBeNull();
  });

  test("without members or without others there is no AUROC and no curve", () => {
    expect(auroc(groupScores([0.1, 0.9], [true, true]))).toBeNull();
    expect(rocCurve(groupScores([0.1, 0.9], [false, false]))).toEqual([]);
    expect(expectedCalibrationError(new Float64Array(CALIBRATION_LENGTH))).toBeNull();
  });
});

describe("as sums over clients", () => {
  const labels = { detection: [], segmentation: [], scene: ["a", "b", "c"], depth: { kind: "metric" as const } };
  const layout = statisticsLayout(labels);

  test("scene metrics of the sums are those of all pictures; AUROC to the bin", () => {
    const rng = Rng.of("scenes");
    const clients = [new Float64Array(layout.length), new Float64Array(layout.length)];
    const truths: number[] = [];
    const all: Float32Array[] = [];
    const confusion = new Float64Array(9);
    for (let i = 0; i < 200; i++) {
      const truth = rng.below(3);
      const raw = Float32Array.from({ length: 3 }, (_, c) => rng.uniform() + (c === truth ? 0.4 : 0));
      const sum = raw.reduce((total, value) => total + value, 0);
      const probabilities = raw.map((value) => value / sum);
      addScene(layout, clients[i % 2] as Float64Array, truth, probabilities);
      truths.push(truth);
      all.push(probabilities);
      const at = truth * 3 + probabilities.indexOf(Math.max(...probabilities));
      confusion[at] = (confusion[at] as number) + 1;
    }
    const total = (clients[0] as Float64Array).map((value, i) => value + ((clients[1] as Float64Array)[i] as number));
    expect(total.every((value) => Number.isSafeInteger(value) && value >= 0)).toBe(true);
    const scene = metricsFromStatistics(layout, total).scene;
    expect(scene).toMatchObject(sceneMetrics(confusion, 3) ?? {});
    const areas = [0, 1, 2].map(
      (c) =>
        auroc(
          groupScores(
            all.map((probabilities) => probabilities[c] as number),
            truths.map((truth) => truth === c),
          ),
        ) ?? 0,
    );
    expect(scene?.["auroc"]).toBeCloseTo(areas.reduce((sum, area) => sum + area, 0) / 3, 2);
    const bins = new Float64Array(CALIBRATION_LENGTH);
    for (const [i, probabilities] of all.entries()) {
      const best = probabilities.indexOf(Math.max(...probabilities));
      addConfidence(bins, probabilities[best] as number, best === truths[i]);
    }
    expect(scene?.["ece"]).toBeCloseTo(expectedCalibrationError(bins) ?? -1, 12);
  });

  test("depth metrics are means over pictures, roots taken last", () => {
    const values = new Float64Array(layout.length);
    const of = (one: (typeof stored.depth)[number]) =>
      depthErrors(
        Float32Array.from(one.prediction),
        { values: Float32Array.from(one.truth), valid: Uint8Array.from(one.valid) },
        one.kind,
      );
    const [a, b] = stored.depth.filter(({ kind }) => kind === "metric") as [
      (typeof stored.depth)[number],
      (typeof stored.depth)[number],
    ];
    addDepth(slotValues(layout, values, "depth"), of(a));
    addDepth(slotValues(layout, values, "depth"), of(b));
    addDepth(slotValues(layout, values, "depthBaseline"), of(b));
    const depth = metricsFromStatistics(layout, values).depth ?? {};
    expect(depth["rmse"]).toBeCloseTo(Math.sqrt((a.squared + b.squared) / 2), 5);
    expect(depth["logRmse"]).toBeCloseTo(Math.sqrt((a.squaredLog + b.squaredLog) / 2), 5);
    expect(depth["mae"]).toBeCloseTo((a.absolute + b.absolute) / 2, 5);
    expect(depth["silog"]).toBeCloseTo((a.silog + b.silog) / 2, 3);
    expect(depth["delta2"]).toBeCloseTo((a.delta2 + b.delta2) / 2, 5);
    expect(depth["baselineAbsRel"]).toBeCloseTo(b.relative, 5);
  });
});
