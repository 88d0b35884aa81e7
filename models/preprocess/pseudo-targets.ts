/**
 * Labels that a teacher makes up where a sample has none: predictions that are sure enough become targets of the same
 * batch (FixMatch, Sohn et al. 2020; Mean Teacher, Tarvainen, Valpola 2017; boxes as in Unbiased Teacher, Liu et al.
 * 2021). Depth has no probability, so it is never made up. Pure: outputs are plain arrays.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { SemiSupervised } from "../../shared/config/semi-supervised.ts";
import type { OutputHead } from "../allulook4/build.ts";
import { decodeDetections, softmax } from "../allulook4/decode.ts";
import type { View } from "./augment.ts";
import type { Batch, Strides } from "./batch.ts";
import { drawBoxes } from "./box-targets.ts";
import type { PreparedSample } from "./prepare.ts";

type Labels = FederationConfig["labels"];
type Rules = Pick<SemiSupervised, "confidence" | "perClass" | "weight">;

const AS_SHOWN = { x: { scale: 1, shift: 0 }, y: { scale: 1, shift: 0 } } as const;

const MADE_UP = ["segmentation", "detection", "scene"] as const satisfies readonly OutputHead[];
type MadeUp = (typeof MADE_UP)[number];

/** The heads whose label the sample lacks, of those that can be made up. */
export function lacking(sample: PreparedSample, labels: Labels): MadeUp[] {
  const has = {
    segmentation: sample.segmentation !== null,
    detection: sample.boxes !== null,
    scene: sample.scene !== null,
  };
  return MADE_UP.filter((head) => labels[head].length > 0 && !has[head]);
}

/** What a sample's labels count for: 1 for a head with a label, the share that was made up for one without. */
export function labelledShare(
  sample: PreparedSample,
  labels: Labels,
  made: ReadonlyMap<OutputHead, number> = new Map(),
): number {
  const without = new Set(lacking(sample, labels));
  const shares = MADE_UP.filter((head) => labels[head].length > 0).map((head) =>
    without.has(head) ? (made.get(head) ?? 0) : 1,
  );
  if (labels.depth.kind !== "none") shares.push(sample.depth === null ? 0 : 1);
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

export interface MadeTargets {
  /** With factors: a head's loss counts by the share of what could be labelled that is. */
  readonly batch: Batch;
  /** For each sample, the share of each head that was made up, times the weight. */
  readonly made: readonly ReadonlyMap<OutputHead, number>[];
}

/**
 * Fills the batch's empty targets.
 *
 * @param batch of the student's views; its targets are written to
 * @param outputs of the teacher for the same views, by head: what {@link RunnableModel.forward} puts out, as arrays
 */
export function makeTargets(
  batch: Batch,
  samples: readonly PreparedSample[],
  views: readonly View[],
  outputs: ReadonlyMap<OutputHead, Float32Array>,
  labels: Labels,
  strides: Strides,
  rules: Rules,
): MadeTargets {
  const made = samples.map(() => new Map<OutputHead, number>());
  const factors: Partial<Record<OutputHead, number>> = {};
  for (const head of MADE_UP) {
    const all = outputs.get(head);
    if (all === undefined) continue;
    const length = all.length / batch.size;
    const wantedOf = (sample: PreparedSample) => lacking(sample, labels).includes(head);
    const thresholds =
      head === "segmentation" ? classThresholds(all, length, samples.map(wantedOf), labels, rules) : [];
    let wanted = 0;
    let known = 0;
    for (const [i, sample] of samples.entries()) {
      if (!wantedOf(sample)) {
        wanted += 1;
        known += 1;
        continue;
      }
      const output = all.subarray(i * length, (i + 1) * length);
      const share = rules.weight * MAKERS[head](batch, i, views[i] as View, output, labels, strides, rules, thresholds);
      made[i]?.set(head, share);
      wanted += 1;
      known += share;
    }
    if (known < wanted) factors[head] = known / wanted;
  }
  return { batch: { ...batch, targets: { ...batch.targets, factors } }, made };
}

/** Writes what is sure and returns its share of what could be labelled. */
type Maker = (
  batch: Batch,
  index: number,
  view: View,
  output: Float32Array,
  labels: Labels,
  strides: Strides,
  rules: Rules,
  thresholds: readonly number[],
) => number;

const MAKERS: Readonly<Record<MadeUp, Maker>> = {
  segmentation(batch, index, view, output, labels, strides, { weight }, thresholds) {
    const classes = labels.segmentation.length;
    const stride = strides.segmentation;
    const columns = shownShares(view.columns, stride);
    const rows = shownShares(view.rows, stride);
    const targets = batch.targets.segmentation.subarray(index * output.length, (index + 1) * output.length);
    let shown = 0;
    let sure = 0;
    for (const [y, down] of rows.entries()) {
      for (const [x, across] of columns.entries()) {
        const at = (y * columns.length + x) * classes;
        const share = down * across;
        shown += share;
        const { best, probability } = surest(output.subarray(at, at + classes));
        if (probability < (thresholds[best] as number)) continue;
        targets[at + best] = share * weight;
        sure += share;
      }
    }
    return shown === 0 ? 0 : sure / shown;
  },

  /** All boxes or none: where one is doubtful, the heat around it would be wrong either way. */
  detection(batch, index, _view, output, labels, _strides, { confidence }) {
    const classes = labels.detection.length;
    const { geometry, targets } = batch;
    const shown = { width: geometry.contentWidth, height: geometry.contentHeight };
    const options = { minScore: 1 - confidence, maxOverlap: 0.5, maxDetections: 100 };
    const found = decodeDetections(output, classes, geometry, shown, options);
    if (found.some(({ score }) => score < confidence)) return 0;
    const boxes = found.map(({ classIndex, x, y, width, height }) => ({
      classIndex,
      left: x,
      top: y,
      right: x + width,
      bottom: y + height,
    }));
    targets.boxesKnown[index] = 1;
    drawBoxes(boxes, AS_SHOWN, geometry, index, targets.heat, classes, targets.cells);
    return 1;
  },

  scene(batch, index, _view, output, labels, _strides, { confidence, weight }) {
    const { best, probability } = surest(output);
    if (probability < confidence) return 0;
    batch.targets.scene[index * labels.scene.length + best] = weight;
    return 1;
  },
};

/**
 * From which probability on a cell is taken for each class: the confidence, or less where fewer than the rules' share of
 * the class's cells would be.
 *
 * @param length values of one sample
 * @param wanted which samples count
 */
function classThresholds(
  outputs: Float32Array,
  length: number,
  wanted: readonly boolean[],
  labels: Labels,
  { confidence, perClass }: Rules,
): number[] {
  const classes = labels.segmentation.length;
  const found: number[][] = labels.segmentation.map(() => []);
  for (let at = 0; at < outputs.length; at += classes) {
    if (wanted[Math.floor(at / length)] !== true) continue;
    const { best, probability } = surest(outputs.subarray(at, at + classes));
    found[best]?.push(probability);
  }
  return found.map((probabilities) => {
    const taken = Math.floor(perClass * probabilities.length);
    const last = probabilities.toSorted((a, b) => b - a)[taken - 1];
    return Math.min(confidence, last ?? confidence);
  });
}

/** The most probable class. */
function surest(logits: Float32Array): { best: number; probability: number } {
  const probabilities = softmax(logits);
  const best = probabilities.reduce((max, p, i) => (p > (probabilities[max] as number) ? i : max), 0);
  return { best, probability: probabilities[best] as number };
}

/** For each cell along one side, the share of its pixels that show the picture. */
function shownShares(table: Int32Array, stride: number): number[] {
  return Array.from({ length: Math.floor(table.length / stride) }, (_, cell) => {
    const pixels = table.subarray(cell * stride, (cell + 1) * stride);
    return pixels.filter((source) => source >= 0).length / stride;
  });
}
