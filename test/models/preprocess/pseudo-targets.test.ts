import { describe, expect, test } from "@jest/globals";
import { clearView, plainView, randomView, type View } from "../../../models/preprocess/augment.ts";
import { ALLULOOK4_STRIDES, renderBatch } from "../../../models/preprocess/batch.ts";
import { labelDifficulty } from "../../../models/preprocess/difficulty.ts";
import { prepareSample, type PreparedSample } from "../../../models/preprocess/prepare.ts";
import { labelledShare, lacking, makeTargets } from "../../../models/preprocess/pseudo-targets.ts";
import { IGNORE_CLASS } from "../../../models/preprocess/sample.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { squareSample, testConfig, unlabelled } from "../synthetic-samples.ts";

const config = testConfig();
const { labels } = config;
const whole = squareSample("a", Rng.of(1), 64, 64);
const labelled = prepareSample(whole, config);
const bare = prepareSample({ ...unlabelled(whole), depth: whole.depth }, config);
const RULES = { confidence: 0.9, perClass: 0, weight: 1 };
const view: View = { ...plainView(labelled, { depth: true }) };

type Outputs = Parameters<typeof makeTargets>[3];

/** What a teacher would put out that knows the truth, with `logit` between right and wrong. */
function knowing(views: readonly View[], logit: number): Outputs {
  const { targets } = renderBatch(
    views.map(() => labelled),
    views,
    config,
  );
  const detection = new Float32Array((targets.heat.length / labels.detection.length) * 5).fill(-logit);
  for (const [i, cell] of targets.cells.cell.entries()) {
    const at = ((targets.cells.sample[i] as number) * 256 + cell) * 5;
    if (targets.heat[at / 5] === 1) detection[at] = logit;
    const [x, y] = [((cell % 16) + 0.5) * 4, (Math.floor(cell / 16) + 0.5) * 4];
    const sides = [
      x - (targets.cells.left[i] as number),
      y - (targets.cells.top[i] as number),
      (targets.cells.right[i] as number) - x,
      (targets.cells.bottom[i] as number) - y,
    ];
    detection.set(
      sides.map((side) => Math.log(side / 16)),
      at + 1,
    );
  }
  const logits = (shares: Float32Array) => shares.map((share) => (share > 0.5 ? logit : 0));
  return new Map([
    ["segmentation", logits(targets.segmentation)],
    ["scene", logits(targets.scene)],
    ["detection", detection],
  ]);
}

function make(samples: readonly PreparedSample[], views: readonly View[], outputs: Outputs, rules = RULES) {
  const batch = renderBatch(samples, views, config);
  return makeTargets(batch, samples, views, outputs, labels, ALLULOOK4_STRIDES, rules);
}

describe("labels that a teacher makes", () => {
  test("are those of a person where the teacher knows the truth", () => {
    const views = [0, 1, 2].map((i) =>
      randomView(labelled, Rng.of(i), { input: false, target: true }, config.training),
    );
    const outputs = knowing(views, 12);
    const truth = renderBatch(
      views.map(() => labelled),
      views,
      config,
    ).targets;
    const { batch, made } = make(
      views.map(() => bare),
      views,
      outputs,
    );
    // Cells with more than one class, or half outside, have one label instead of shares.
    const clear = truth.segmentation.map((share, i) => (share === 1 ? (batch.targets.segmentation[i] as number) : 1));
    expect(clear.every((share) => share === 1)).toBe(true);
    expect([...batch.targets.scene]).toEqual([...truth.scene]);
    expect([...batch.targets.boxesKnown]).toEqual([1, 1, 1]);
    const hottest = (heat: Float32Array) => [...heat.keys()].filter((i) => heat[i] === 1);
    expect(hottest(batch.targets.heat)).toEqual(hottest(truth.heat));
    for (const side of ["left", "top", "right", "bottom"] as const) {
      expect(
        Math.max(...batch.targets.cells[side].map((x, i) => Math.abs(x - (truth.cells[side][i] as number)))),
      ).toBeLessThan(0.01);
    }
    // A cell that is half of one class and half of another has no class to be sure of.
    for (const shares of made) {
      expect(shares.get("segmentation")).toBeGreaterThan(0.9);
      expect([shares.get("detection"), shares.get("scene")]).toEqual([1, 1]);
    }
    expect(Object.keys(batch.targets.factors ?? {})).toEqual(["segmentation"]);
  });

  test("are none where the teacher is not sure, and a head that got none counts nothing", () => {
    const { batch, made } = make([bare], [view], knowing([view], 1));
    expect(batch.targets.segmentation.every((share) => share === 0)).toBe(true);
    expect(batch.targets.scene.every((share) => share === 0)).toBe(true);
    expect([...batch.targets.boxesKnown]).toEqual([0]);
    expect(batch.targets.factors).toEqual({ segmentation: 0, detection: 0, scene: 0 });
    expect(labelledShare(bare, labels, made[0])).toBe(0.25);
  });

  test("are the surest of each class where nobody is sure enough", () => {
    const outputs = knowing([view], 1);
    const logits = outputs.get("segmentation") as Float32Array;
    // The surer, the further down in the picture.
    for (let at = 0; at < logits.length; at++) logits[at] = (logits[at] as number) * (1 + at / logits.length / 2);
    const truth = renderBatch([labelled], [view], config).targets.segmentation;
    const count = (shares: Float32Array, label: number) =>
      shares.filter((share, i) => i % 2 === label && share > 0.5).length;
    const { segmentation } = make([bare], [view], outputs, { ...RULES, perClass: 0.25 }).batch.targets;
    for (const label of [0, 1]) {
      const [taken, all] = [count(segmentation, label), count(truth, label)];
      expect(Math.abs(taken - all / 4)).toBeLessThanOrEqual(0.1 * all);
      const lowest = segmentation.findIndex((share, i) => i % 2 === label && share > 0);
      expect(lowest).toBeGreaterThan(truth.findIndex((share, i) => i % 2 === label && share > 0));
    }
    const all = make([bare], [view], outputs, { ...RULES, perClass: 1 }).made[0]?.get("segmentation");
    expect(all).toBe(1);
  });

  test("weigh as much as they are to, and never where the picture does not reach", () => {
    const half = { ...view, columns: view.columns.map((column, i) => (i < 32 ? column : -1)) };
    const outputs = knowing([view, half], 12);
    const { batch, made } = make([bare, bare], [view, half], outputs, { ...RULES, weight: 0.5 });
    const shares = batch.targets.segmentation;
    expect(new Set(shares)).toEqual(new Set([0, 0.5]));
    const second = shares.subarray(shares.length / 2);
    expect(second.every((share, i) => share === 0 || Math.floor(i / 2) % 32 < 16)).toBe(true);
    expect(made[1]?.get("segmentation")).toBeGreaterThan(0.45);
    expect(made[1]?.get("segmentation")).toBeLessThanOrEqual(0.5);
    expect(made[1]?.get("scene")).toBe(0.5);
    expect(batch.targets.factors?.scene).toBe(0.5);
  });

  test("never replace a person's, and count by their share of the batch", () => {
    const outputs = knowing([view, view], 1);
    const plain = renderBatch([labelled, bare], [view, view], config);
    const { batch } = make([labelled, bare], [view, view], outputs);
    expect([...batch.targets.segmentation]).toEqual([...plain.targets.segmentation]);
    expect([...batch.targets.boxesKnown]).toEqual([1, 0]);
    expect(batch.targets.factors).toEqual({ segmentation: 0.5, detection: 0.5, scene: 0.5 });
    expect(lacking(labelled, labels)).toEqual([]);
    expect(lacking(bare, labels)).toEqual(["segmentation", "detection", "scene"]);
    expect([labelledShare(labelled, labels), labelledShare(bare, labels)]).toEqual([1, 0.25]);
  });
});

test("the teacher sees the student's part of the picture, all of it and in its own colours", () => {
  const strong = testConfig({ training: { augmentation: { zoom: [0.7, 1.5], flip: { probability: 1 }, tint: 1 } } });
  const { flip } = strong.training.augmentation;
  const sample = prepareSample(whole, strong, flip.words);
  const student = randomView(sample, Rng.of(3), { input: true, target: true }, strong.training);
  const clear = clearView(student, sample, true);
  expect(clear).toMatchObject({ contrast: 1, brightness: 0, saturation: 1, tint: [0, 0, 0], holes: [], cuts: [] });
  expect(clear.present).toEqual({ rgb: true, depth: true, text: true });
  expect([clear.x, clear.y, clear.columns, clear.rows]).toEqual([student.x, student.y, student.columns, student.rows]);
  expect(clearView(student, sample, false).present.depth).toBe(false);
  expect(clearView(student, prepareSample(whole, strong), true).present.text).toBe(false);
});

describe("difficulty by labels", () => {
  test("is the length of the borders: of a square its four sides", () => {
    const box = whole.boxes?.[0] as NonNullable<typeof whole.boxes>[number];
    const inside = (low: number, side: number) => [low > 0, low + side < 64].filter(Boolean).length;
    const sides = inside(box.x, box.width) * box.height + inside(box.y, box.height) * box.width;
    expect(labelDifficulty(labelled)).toBeCloseTo(sides / (2 * 64 * 63), 10);
  });

  test("grows with objects where there is no mask, and is unknown without labels", () => {
    expect(labelDifficulty({ ...labelled, segmentation: null })).toBe(0.5);
    expect(labelDifficulty({ ...labelled, segmentation: null, boxes: [] })).toBe(0);
    expect(labelDifficulty(bare)).toBeNull();
    expect(labelDifficulty({ ...labelled, segmentation: new Uint8Array(64 * 64).fill(IGNORE_CLASS) })).toBeNull();
  });
});
