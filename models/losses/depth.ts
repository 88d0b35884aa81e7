/**
 * The registry of depth losses, and how a batch uses them. All work on normalised depth (preprocess/depth.ts) where a
 * reading exists that the model was not given. Another loss is one file in `depth/` and one line here.
 */
import { usualDepthLosses, type DepthLossName } from "../../shared/config/losses.ts";
import * as tf from "../engine/tf.ts";
import { edgeAware, edgeGuided, smoothness } from "./depth/edges.ts";
import type { DepthLoss, DepthMaps } from "./depth/map.ts";
import { l1, l2, scaleInvariant } from "./depth/pointwise.ts";
import { ranking } from "./depth/ranking.ts";
import { scaleAndShiftInvariant } from "./depth/shift-invariant.ts";
import { ssim } from "./depth/ssim.ts";

interface DepthLossEntry {
  readonly loss: DepthLoss;
  readonly of: "readings" | "pictures";
  /** The loss looks at the picture, too. */
  readonly picture?: true;
}

/** `of`: whether a batch averages over readings or over pictures. */
export const DEPTH_LOSSES: Record<DepthLossName, DepthLossEntry> & Record<string, DepthLossEntry | undefined> = {
  l1: { loss: l1, of: "readings" },
  l2: { loss: l2, of: "readings" },
  scaleInvariant: { loss: scaleInvariant, of: "pictures" },
  scaleAndShiftInvariant: { loss: scaleAndShiftInvariant, of: "pictures" },
  ssim: { loss: ssim, of: "pictures" },
  smoothness: { loss: smoothness, of: "pictures", picture: true },
  edgeAware: { loss: edgeAware, of: "pictures" },
  edgeGuided: { loss: edgeGuided, of: "pictures", picture: true },
  ranking: { loss: ranking, of: "pictures", picture: true },
};

export interface DepthTargets {
  /** [B * h * w] */
  readonly depth: Float32Array;
  /** [B * h * w], 0 where there is nothing to learn */
  readonly depthWeight: Float32Array;
  readonly depthGuide?: DepthGuide | undefined;
}

/** What losses at edges and of inverse depth need beside the targets. */
export interface DepthGuide {
  /** [B, height, width, 3], as the model sees it: all of a picture 0 where it sees none. */
  readonly rgb: Float32Array;
  readonly height: number;
  readonly width: number;
  /** Of one channel, from the picture's bytes to `rgb`. */
  readonly mean: number;
  readonly deviation: number;
  /** [B], 1 where the model sees the picture. */
  readonly seen: readonly boolean[];
  readonly metric: boolean;
}

/**
 * @param prediction [B, h, w, 1]
 * @param chosen the losses to add up; null: those that are usual for the kind of depth
 * @returns scalar
 */
export function depthLoss(prediction: tf.Tensor4D, targets: DepthTargets, chosen: readonly string[] | null): tf.Scalar {
  const kinds = chosen ?? usualDepthLosses(targets.depthGuide?.metric ?? true);
  const [batch, height, width] = prediction.shape;
  const cells = height * width;
  const op = tf.customGrad(() => {
    const values = prediction.dataSync<"float32">();
    const gradient = new Float32Array(values.length);
    let total = 0;
    const maps = Array.from({ length: batch }, (_, i): DepthMaps => {
      const part = (of: Float32Array) => of.subarray(i * cells, (i + 1) * cells);
      return {
        width,
        height,
        prediction: part(values),
        target: part(targets.depth),
        weight: part(targets.depthWeight),
        picture: null,
        metric: targets.depthGuide?.metric ?? false,
      };
    }).map((one, i) =>
      usesPicture(kinds) ? { ...one, picture: shrunkPicture(targets.depthGuide, i, height, width) } : one,
    );
    for (const kind of kinds) {
      const { loss, of } = DEPTH_LOSSES[kind] as DepthLossEntry;
      const terms = maps.map((one) => {
        const term = loss(one);
        return { term, share: term === null ? 0 : of === "pictures" ? 1 : readingsIn(one.weight) };
      });
      const all = Math.max(
        terms.reduce((sum, { share }) => sum + share, 0),
        1,
      );
      for (const [i, { term, share }] of terms.entries()) {
        if (term === null) continue;
        total += (share / all) * term.value;
        const start = i * cells;
        for (let c = 0; c < cells; c++) {
          gradient[start + c] = (gradient[start + c] as number) + (share / all) * (term.gradient[c] as number);
        }
      }
    }
    return {
      value: tf.scalar(total) as tf.Tensor,
      gradFunc: (dy: tf.Tensor) => [tf.mul(tf.tensor(gradient, prediction.shape), dy)],
    };
  });
  return op(prediction) as tf.Scalar;
}

function usesPicture(kinds: readonly string[]): boolean {
  return kinds.some((kind) => DEPTH_LOSSES[kind]?.picture === true);
}

function readingsIn(weight: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < weight.length; i++) sum += weight[i] as number;
  return sum;
}

/** One picture averaged to the map's size, [height * width * 3] in [0, 1]; null where the model sees none. */
function shrunkPicture(
  guide: DepthGuide | undefined,
  index: number,
  height: number,
  width: number,
): Float64Array | null {
  if (guide === undefined || guide.seen[index] !== true) return null;
  const rows = Math.floor(guide.height / height);
  const columns = Math.floor(guide.width / width);
  const out = new Float64Array(height * width * 3);
  const start = index * guide.height * guide.width * 3;
  for (let y = 0; y < height * rows; y++) {
    const line = Math.floor(y / rows) * width;
    for (let x = 0; x < width * columns; x++) {
      const from = start + (y * guide.width + x) * 3;
      const to = (line + Math.floor(x / columns)) * 3;
      for (let c = 0; c < 3; c++) {
        const value = (guide.rgb[from + c] as number) * guide.deviation + guide.mean;
        out[to + c] = (out[to + c] as number) + value / (rows * columns);
      }
    }
  }
  return out;
}
