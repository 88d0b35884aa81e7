import { describe, expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { decodeRuns } from "../../../../client/data/masks.ts";
import { IOU_THRESHOLDS, RECALL_THRESHOLDS } from "../../../../models/metrics/coco/parameters.ts";
import { maskArea, maskBox, polygonMask, uniteMasks } from "../../../../models/metrics/coco/run-lengths.ts";
import { CocoScorer } from "../../../../models/metrics/coco/score.ts";
import { CodedError } from "../../../../shared/errors.ts";
import { Rng } from "../../../../shared/rng/rng.ts";
import { type JudgedCase, plainStats, randomCase, scoresOf, statsOf } from "./coco-cases.ts";

const folder = resolve(import.meta.dirname, "../../../vectors/coco");
const stored = JSON.parse(readFileSync(join(folder, "cases.json"), "utf8")) as {
  cases: JudgedCase[];
  polygons: { corners: number[]; height: number; width: number; counts: string; area: number; box: number[] }[];
};

/** Equal to 1e-6, and absent in the same places. */
function expectSame(got: readonly (number | null)[], wanted: readonly (number | null)[]): void {
  expect(got.map((value) => value === null)).toEqual(wanted.map((value) => value === null));
  const worst = got.map((value, i) => Math.abs((value ?? 0) - (wanted[i] ?? 0)));
  expect(Math.max(...worst)).toBeLessThan(1e-6);
}

function expectJudged(one: JudgedCase): void {
  const scores = scoresOf(one);
  expectSame(statsOf(scores), one.stats);
  if (scores === null) return;
  expectSame(
    scores.classes.map(({ summary }) => summary.mAP),
    one.classAP,
  );
  for (const [c, { curve50 }] of scores.classes.entries()) expectSame(curve50, one.classCurve50[c] ?? []);
}

describe("COCO evaluation", () => {
  test.each(stored.cases.map((one) => [one.name, one] as const))("%s: as pycocotools scores it", (_, one) => {
    expectJudged(one);
  });

  test.each(stored.cases.map((one) => [one.name, one] as const))("%s: the plain twin agrees", (_, one) => {
    expectSame(plainStats(one), one.stats);
  });

  test.each(["bbox", "segm"] as const)("random %s cases: as the plain twin scores them", (type) => {
    for (let seed = 0; seed < (type === "bbox" ? 40 : 15); seed++) {
      const one = randomCase(Rng.of("coco", type, seed), type);
      expectSame(statsOf(scoresOf(one)), plainStats(one));
    }
  });

  const python = process.env["ALLULOOK_TEST_PYTHON"] ?? "python3";
  const present = spawnSync(python, ["-c", "import pycocotools.cocoeval, numpy"]).status === 0;
  const live = present ? test : test.skip;
  live(
    `random cases: as pycocotools scores them${present ? "" : " (skipped: no python3 with pycocotools here)"}`,
    () => {
      for (const [seed, type] of [
        [Math.floor(Math.random() * 2 ** 30), "bbox"],
        [Math.floor(Math.random() * 2 ** 30), "segm"],
      ] as const) {
        const run = spawnSync(python, [join(folder, "make-cases.py"), "--random", String(seed), type], {
          encoding: "utf8",
          maxBuffer: 2 ** 28,
        });
        expect(run.stderr).toBe("");
        const one = JSON.parse(run.stdout) as JudgedCase;
        try {
          expectJudged(one);
        } catch (error) {
          throw new Error(`seed ${seed}, ${type}`, { cause: error });
        }
      }
    },
  );

  test("thresholds are NumPy's to the last bit", () => {
    expect(IOU_THRESHOLDS).toEqual(
      Array.from({ length: 10 }, (_, i) => (i === 9 ? 0.95 : 0.5 + i * ((0.95 - 0.5) / 9))),
    );
    expect(RECALL_THRESHOLDS).toHaveLength(101);
    expect(RECALL_THRESHOLDS[35]).not.toBe(0.35);
    expect(RECALL_THRESHOLDS[100]).toBe(1);
  });

  test("two scorers joined are one scorer of all pictures", () => {
    const found = (x: number, score: number) => ({ classIndex: 0, score, x, y: 0, width: 10, height: 10 });
    const object = (x: number) => ({ classIndex: 0, x, y: 0, width: 10, height: 10, crowd: false });
    const pictures = [
      { found: [found(0, 0.9), found(40, 0.3)], objects: [object(1)] },
      { found: [found(20, 0.5)], objects: [object(20), object(60)] },
    ];
    const whole = new CocoScorer(1);
    const joined = new CocoScorer(1);
    for (const picture of pictures) {
      const part = new CocoScorer(1);
      part.add(picture.found, picture.objects);
      joined.addAll(part);
      whole.add(picture.found, picture.objects);
    }
    expect(joined.result()).toEqual(whole.result());
    expect(joined.result()?.classes[0]?.best?.f1).toBeCloseTo(0.8, 12);
    expect([...joined.judged()].filter(({ hit }) => hit)).toHaveLength(2);
  });
});

describe("masks", () => {
  test("polygons are drawn as COCO draws them", () => {
    const fail = (why: string) => new CodedError("DATA_SEGMENTATION", why);
    for (const { corners, height, width, counts, area, box } of stored.polygons) {
      const mask = polygonMask(corners, height, width);
      expect([corners, mask.counts]).toEqual([corners, decodeRuns(counts, fail)]);
      expect(maskArea(mask)).toBe(area);
      const { x, y, width: across, height: down } = maskBox(mask);
      expect([x, y, across, down]).toEqual(box);
    }
  });

  test("a union covers what either covers", () => {
    const a = { height: 2, width: 3, counts: [1, 2, 3] };
    const b = { height: 2, width: 3, counts: [0, 1, 3, 2] };
    expect(uniteMasks(a, b)).toEqual({ height: 2, width: 3, counts: [0, 3, 1, 2] });
  });
});
