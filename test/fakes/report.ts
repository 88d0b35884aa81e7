/** A report with every part filled in, and a sample of 8 x 6 pixels with every modality and label. */
import type { PictureInput } from "../../simulations/report/pictures.ts";
import type { Report, RoundEntry } from "../../simulations/report/schema.ts";
import type { Sample } from "../../models/preprocess/sample.ts";

const SECONDS = { total: 12.3, train: 9.1, secureAggregation: 0.31, aggregate: 0.02, evaluate: 1.1, release: 0.08 };

function roundEntry(round: number): RoundEntry {
  const failed = round === 2;
  return {
    round,
    status: failed ? "failed" : "completed",
    attempts: round === 0 ? 0 : 1,
    cohort: round === 0 ? 0 : 4,
    survivors: failed ? 2 : 4,
    evaluated: failed ? 0 : 4,
    examples: 132,
    examplesSeen: 640 * round,
    loss: round === 0 || failed ? null : 2 / round,
    metrics: failed
      ? {}
      : {
          segmentation: { mIoU: 0.3 + 0.1 * round, dice: 0.4 + 0.1 * round },
          detection: { mAP: 0.05 * round, AP50: 0.1 * round },
          depth: { rmse: 0.3, absRel: 0.2, delta1: 0.6 + 0.05 * round, baselineAbsRel: 0.25, baselineDelta1: 0.55 },
          depthCompletion: { rmse: 0.1 },
          scene: { accuracy: 0.5 },
        },
    seconds: SECONDS,
    bytes: { upload: 4_610_000, download: 1_250_000 },
    reason: failed ? { code: "SECAGG_SURVIVORS_FEW", message: "two are too few" } : null,
  };
}

export function exampleReport(): Report {
  return {
    schema: 1,
    seed: 7,
    engine: "tensorflow",
    model: { name: "allulook4", preset: "nano", params: 288_120 },
    secureAggregation: "malicious",
    threads: 1,
    privacy: { unit: "none", epsilon: null, delta: null },
    rounds: [0, 1, 2, 3].map(roundEntry),
    release: {
      version: 2,
      sha256: "3f".repeat(32) as NonNullable<Report["release"]>["sha256"],
      parentSha256: null,
      dtype: "int8",
      sizeBytes: 319_898,
      updateBytes: 271_231,
      fp32SizeBytes: 1_160_434,
      accuracyDrop: { segmentation: 0.0031, detection: -0.001, depth: null, scene: 0 },
      evaluation: "measured",
      fallbacks: 2,
    },
    data: { name: "generated rooms", generated: true, evaluation: "what the sites hold out" },
  };
}

const WIDTH = 8;
const HEIGHT = 6;
const PIXELS = WIDTH * HEIGHT;

/** Left half background, right half class 1; depth grows to the right, with a hole in the corner. */
export function examplePicture(): PictureInput {
  const column = (i: number) => i % WIDTH;
  const values = Float32Array.from({ length: PIXELS }, (_, i) => 1 + column(i));
  const segmentation = Uint8Array.from({ length: PIXELS }, (_, i) => (column(i) < WIDTH / 2 ? 0 : 1));
  const sample: Sample = {
    id: "site/<b>picture</b>.png",
    site: "north & south",
    width: WIDTH,
    height: HEIGHT,
    rgb: new Uint8Array(PIXELS * 3).fill(200),
    depth: { values, valid: new Uint8Array(PIXELS).fill(1).fill(0, 0, 1) },
    captions: ['a "quoted" caption <script>alert(1)</script>'],
    boxes: [{ classIndex: 0, x: 1, y: 1, width: 3, height: 3, crowd: false }],
    segmentation,
    scene: 1,
  };
  return {
    sample,
    labels: {
      detection: ["thing"],
      segmentation: ["background", "thing"],
      scene: ["office", "ward"],
      depth: { kind: "relative" },
    },
    prediction: {
      width: WIDTH,
      height: HEIGHT,
      detections: [
        { classIndex: 0, score: 0.9, x: 4, y: 1, width: 3, height: 4 },
        { classIndex: 0, score: 0.1, x: 0, y: 0, width: 2, height: 2 },
      ],
      classMap: segmentation.map((value) => 1 - value),
      depth: null,
      scene: Float32Array.of(0.25, 0.75),
    },
    withoutDepth: {
      width: WIDTH,
      height: HEIGHT,
      detections: null,
      classMap: null,
      depth: values.map((v) => 10 * v + 3),
      scene: null,
    },
  };
}
