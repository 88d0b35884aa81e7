import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { averagePrecision } from "../../../models/metrics/average-precision.ts";
import { segmentationMetrics } from "../../../models/metrics/classification.ts";
import { alignment, depthErrors, MeanDepthMap } from "../../../models/metrics/depth.ts";
import { OUTCOME } from "../../../models/metrics/coco/match.ts";
import { CocoScorer } from "../../../models/metrics/coco/score.ts";
import { addDetections, matchClass } from "../../../models/metrics/detection.ts";
import { addConfusion } from "../../../models/metrics/segmentation.ts";
import {
  FIXED_POINT,
  fixedPoint,
  metricsFromStatistics,
  slotValues,
  statisticsLayout,
} from "../../../models/metrics/statistics.ts";
import { plainAveragePrecision } from "../../reference/average-precision.ts";
import { testConfig } from "../synthetic-samples.ts";

const { labels } = testConfig();
const box = (x: number, y: number, width: number, height: number, crowd = false) => ({
  classIndex: 0,
  x,
  y,
  width,
  height,
  crowd,
});
const found = (score: number, x: number, y: number, width: number, height: number) => ({
  classIndex: 0,
  score,
  x,
  y,
  width,
  height,
});

describe("average precision", () => {
  test("equals the plain reading of its definition", () => {
    const outcomes = fc.array(fc.boolean(), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(outcomes, fc.nat(10), (hits, missed) => {
        const positives = Math.max(1, hits.filter(Boolean).length + missed);
        const fast = averagePrecision(
          hits.map(Number),
          hits.map((hit) => (hit ? 0 : 1)),
          positives,
        );
        expect(fast).toBeCloseTo(plainAveragePrecision(hits, positives), 12);
      }),
      { numRuns: 2000, examples: [[Array.from({ length: 7 }, () => true), 3]] },
    );
  });

  test("of a perfect detector is 1, of a silent one 0", () => {
    expect(averagePrecision([1, 1], [0, 0], 2)).toBe(1);
    expect(averagePrecision([], [], 2)).toBe(0);
    expect(averagePrecision([0, 0], [0, 0], 2)).toBe(0);
  });
});

describe("detection", () => {
  test("an object is found once; its second finder is a miss", () => {
    const { matches, positives } = matchClass(
      [found(0.9, 0, 0, 10, 10), found(0.8, 0, 0, 10, 9), found(0.7, 50, 50, 5, 5)],
      [box(0, 0, 10, 10)],
      0,
    );
    expect(positives).toBe(1);
    expect(matches.map(({ outcome }) => outcome[0])).toEqual([1, 0, 0]);
  });

  test("IoU of 0.6 counts up to the threshold .60", () => {
    const { matches } = matchClass([found(0.9, 0, 0, 10, 6)], [box(0, 0, 10, 10)], 0);
    expect(matches[0]?.outcome).toEqual([1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("a crowd swallows detections and counts for nothing", () => {
    const { matches, positives } = matchClass(
      [found(0.9, 0, 0, 5, 5), found(0.8, 5, 5, 5, 5)],
      [box(0, 0, 20, 20, true)],
      0,
    );
    expect(positives).toBe(0);
    expect(matches.map(({ outcome }) => outcome[0])).toEqual([OUTCOME.ignored, OUTCOME.ignored]);
  });

  test("binned mAP is exact when no two scores share a bin", () => {
    const pictures = [
      {
        detections: [found(0.9, 0, 0, 10, 10), found(0.5, 30, 30, 8, 8)],
        objects: [box(0, 0, 10, 9), box(60, 60, 9, 9)],
      },
      { detections: [found(0.7, 5, 5, 10, 10), found(0.3, 41, 41, 10, 10)], objects: [box(40, 40, 10, 10)] },
    ];
    const layout = statisticsLayout(labels);
    const values = new Float64Array(layout.length);
    const exact = new CocoScorer(1);
    for (const { detections, objects } of pictures) {
      addDetections(layout, values, detections, objects);
      exact.add(detections, objects);
    }
    const binned = metricsFromStatistics(layout, values).detection;
    const wanted = exact.result()?.summary;
    expect(wanted?.AP50).toBeGreaterThan(0.3);
    expect(binned?.["mAP"]).toBeCloseTo(wanted?.mAP as number, 12);
    expect(binned?.["AP50"]).toBeCloseTo(wanted?.AP50 as number, 12);
  });
});

describe("segmentation", () => {
  test("counts by truth and prediction, ignored pixels left out", () => {
    const confusion = new Float64Array(4);
    addConfusion(confusion, 2, Uint8Array.of(0, 0, 1, 255, 1), Uint8Array.of(0, 1, 1, 1, 1));
    expect([...confusion]).toEqual([1, 1, 0, 2]);
    const metrics = segmentationMetrics(confusion, 2);
    expect(metrics?.mIoU).toBeCloseTo((1 / 2 + 2 / 3) / 2, 12);
    expect(metrics?.pixelAccuracy).toBe(3 / 4);
  });

  test("a class that occurs nowhere is no zero in the mean", () => {
    expect(segmentationMetrics(Float64Array.of(5, 0, 0, 0), 2)?.mIoU).toBe(1);
    expect(segmentationMetrics(new Float64Array(4), 2)).toBeNull();
  });
});

describe("depth", () => {
  const truth = { values: Float32Array.of(1, 2, 3, 4, 100), valid: Uint8Array.of(1, 1, 1, 1, 0) };

  test("relative depth is forgiven its scale and shift, metric depth is not", () => {
    const scaled = truth.values.map((value) => value * 0.1 + 7);
    expect(depthErrors(scaled, truth, "relative")?.squared).toBeCloseTo(0, 10);
    expect(depthErrors(scaled, truth, "metric")?.squared).toBeGreaterThan(1);
    expect(depthErrors(truth.values, truth, "metric")).toEqual({
      squared: 0,
      absolute: 0,
      relative: 0,
      squaredLog: 0,
      silog: 0,
      delta1: 1,
      delta2: 1,
      delta3: 1,
      pixels: 4,
    });
  });

  test("an inverted prediction is no better than a constant", () => {
    const upsideDown = truth.values.map((value) => -value);
    const constant = new Float32Array(5).fill(3);
    expect(alignment(upsideDown, truth.values, (i) => truth.valid[i] === 1).scale).toBe(0);
    expect(depthErrors(upsideDown, truth, "relative")).toEqual(depthErrors(constant, truth, "relative"));
  });

  test("the alignment is the least of all squares", () => {
    const prediction = Float32Array.of(0.3, 0.1, 0.8, 0.9, 5);
    const counts = (i: number) => truth.valid[i] === 1;
    const { scale, shift } = alignment(prediction, truth.values, counts);
    const squares = (s: number, t: number) =>
      [0, 1, 2, 3].reduce((sum, i) => sum + ((prediction[i] as number) * s + t - (truth.values[i] as number)) ** 2, 0);
    for (const [ds, dt] of [
      [0.01, 0],
      [-0.01, 0],
      [0, 0.01],
      [0, -0.01],
    ] as const) {
      expect(squares(scale + ds, shift + dt)).toBeGreaterThan(squares(scale, shift));
    }
  });

  test("only the pixels asked for are scored", () => {
    const off = Float32Array.of(1, 2, 3, 9, 0);
    expect(depthErrors(off, truth, "metric", Uint8Array.of(1, 1, 1, 0, 1))?.squared).toBe(0);
    expect(depthErrors(off, truth, "metric", new Uint8Array(5))).toBeNull();
  });

  test("the mean map averages what was read and fills the rest with the mean", () => {
    const mean = new MeanDepthMap(2, 1);
    expect(mean.render(2, 1)).toBeNull();
    mean.add({ values: Float32Array.of(2, 9), valid: Uint8Array.of(1, 0) }, 2, 1);
    mean.add({ values: Float32Array.of(4, 9), valid: Uint8Array.of(1, 0) }, 2, 1);
    expect([...(mean.render(2, 1) ?? [])]).toEqual([3, 3]);
    mean.add({ values: Float32Array.of(6, 6, 7, 7), valid: Uint8Array.of(1, 1, 1, 1) }, 4, 1);
    expect([...(mean.render(4, 2) ?? [])]).toEqual([4, 4, 7, 7, 4, 4, 7, 7]);
  });
});

describe("statistics", () => {
  test("name the heads of the report, only those with samples", () => {
    const layout = statisticsLayout(labels);
    const values = new Float64Array(layout.length);
    expect(metricsFromStatistics(layout, values)).toEqual({});
    slotValues(layout, values, "sceneConfusion").set([2, 1, 0, 1]);
    slotValues(layout, values, "depth").set([2, 2 * fixedPoint(0.25), 2 * fixedPoint(0.1), 2 * fixedPoint(0.5)]);
    slotValues(layout, values, "depthCompletion").set([1, fixedPoint(4)]);
    const metrics = metricsFromStatistics(layout, values);
    expect(metrics.scene).toMatchObject({ accuracy: 0.75, specificity: (1 + 2 / 3) / 2 });
    expect(metrics.depth?.["rmse"]).toBeCloseTo(0.5, 6);
    expect(metrics.depth?.["absRel"]).toBeCloseTo(0.1, 5);
    expect(metrics.depth?.["delta1"]).toBeCloseTo(0.5, 6);
    expect(metrics.depthCompletion?.["rmse"]).toBeCloseTo(2, 6);
  });

  test("lie one after the other", () => {
    const layout = statisticsLayout(labels);
    let end = 0;
    for (const slot of layout.slots) {
      expect(slot.offset).toBe(end);
      end += slot.size;
    }
    expect(end).toBe(layout.length);
  });

  test("fixed point never leaves the safe integers", () => {
    for (const error of [0, 1e-9, 0.3, 1e9, Number.POSITIVE_INFINITY]) {
      const value = fixedPoint(error);
      expect(Number.isSafeInteger(value * 2 ** 20)).toBe(true);
    }
    expect(fixedPoint(0.5)).toBe(FIXED_POINT / 2);
  });
});
