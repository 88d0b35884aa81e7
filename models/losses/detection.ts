/**
 * Focal loss on centre heat (CenterNet's variant, Zhou et al. 2019) and generalised IoU of the boxes at the cells near
 * the centres (Rezatofighi et al. 2019). Boxes are few, so their loss and its gradient are computed in JavaScript.
 */
import * as tf from "../engine/tf.ts";
import { kernels } from "../kernels/loaded.ts";
import { boxAt, type Rectangle, SIDE_LIMIT, sideLength } from "./boxes.ts";
import type { BoxCells } from "../preprocess/box-targets.ts";

const STRIDE = 4;

/**
 * @param logits [B, h, w, K + 4]
 * @param heat [B * h * w, K], 1 at centres
 * @param known [B], 1 where boxes are labelled
 * @returns scalar: sum over labelled samples, divided by the number of centres
 */
export function focalLoss(logits: tf.Tensor4D, heat: tf.Tensor2D, known: tf.Tensor1D): tf.Scalar {
  const [batch, height, width, channels] = logits.shape;
  const classes = heat.shape[1];
  const op = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    const k = kernels();
    const weights = heatWeights(heat.dataSync<"float32">(), known.dataSync<"float32">());
    const count = Math.max(weights.centres, 1);
    const z = tf.reshape(tf.slice(logits, [0, 0, 0, 0], [batch, height, width, classes]), heat.shape);
    const p = tf.sigmoid(z);
    const q = tf.sub(1, p);
    const minusLogQ = tf.softplus(z);
    const minusLogP = k.sub(minusLogQ, z);
    const atCentres = k.mul(tf.tensor2d(weights.positive, heat.shape), k.mul(q, q));
    const elsewhere = k.mul(tf.tensor2d(weights.negative, heat.shape), k.mul(p, p));
    const terms = k.biasGradient(k.add(k.mul(atCentres, minusLogP), k.mul(elsewhere, minusLogQ)));
    const sum = terms.dataSync<"float32">().reduce((total, term) => total + term, 0);
    save([p, q, minusLogP, minusLogQ, atCentres, elsewhere]);
    return {
      value: tf.scalar(sum / count) as tf.Tensor,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [p0, q0, minusLogP0, minusLogQ0, atCentres0, elsewhere0] = saved as Six;
        const risen = k.mul(elsewhere0, k.add(p0, k.times(k.mul(q0, minusLogQ0), 2)));
        const fallen = k.mul(atCentres0, k.add(q0, k.times(k.mul(p0, minusLogP0), 2)));
        const gradient = k.mul(k.sub(risen, fallen), tf.scalar((dy.dataSync()[0] as number) / count));
        return [paddedMap(gradient, logits.shape, 0, channels - classes)];
      },
    };
  });
  return op(logits) as tf.Scalar;
}

type Six = [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];

/** What every value of the heat counts for: 1 at labelled samples' centres, (1 - heat)^4, which is 0 there, elsewhere. */
function heatWeights(heat: Float32Array, known: Float32Array) {
  const positive = new Float32Array(heat.length);
  const negative = new Float32Array(heat.length);
  const perSample = heat.length / known.length;
  let centres = 0;
  for (let i = 0; i < heat.length; i++) {
    const weight = known[Math.floor(i / perSample)] as number;
    const value = heat[i] as number;
    if (value >= 1) {
      positive[i] = weight;
      centres += weight;
    }
    negative[i] = (1 - value) ** 4 * weight;
  }
  return { positive, negative, centres };
}

/** The gradient of some of a map's channels as that of the map: zero in the `before` and `after` others. */
function paddedMap(gradient: tf.Tensor, shape: number[], before: number, after: number): tf.Tensor {
  const own = (shape[3] as number) - before - after;
  return tf.pad(tf.reshape(gradient, [...shape.slice(0, 3), own]), [
    [0, 0],
    [0, 0],
    [0, 0],
    [before, after],
  ]);
}

/**
 * Binary cross-entropy of the heat, whose Gaussians are soft labels.
 *
 * @param logits [B, h, w, K + 4]
 * @param heat [B * h * w, K], 1 at centres
 * @param known [B], 1 where boxes are labelled
 * @returns scalar: sum over labelled samples, divided by the number of centres
 */
export function heatCrossEntropy(logits: tf.Tensor4D, heat: tf.Tensor2D, known: tf.Tensor1D): tf.Scalar {
  const [batch, height, width] = logits.shape;
  const classes = heat.shape[1];
  const z = tf.reshape(tf.slice(logits, [0, 0, 0, 0], [batch, height, width, classes]), [batch, -1]);
  const wanted = tf.reshape(heat, [batch, -1]);
  const labelled = tf.reshape(known, [batch, 1]);
  const centres = tf.sum(tf.mul(tf.cast(tf.greaterEqual(wanted, 1), "float32"), labelled));
  const terms = tf.sub(tf.softplus(z), tf.mul(wanted, z));
  return tf.div(tf.sum(tf.mul(terms, labelled)), tf.maximum(centres, 1));
}

/**
 * @param logits [B, h, w, K + 4]
 * @param cells the cells that regress a box
 * @returns scalar: weighted sum of 1 - GIoU, per object
 */
export function boxLoss(logits: tf.Tensor4D, cells: BoxCells): tf.Scalar {
  const [batch, height, width, channels] = logits.shape;
  const objects = Math.max(1, Math.round(cells.weight.reduce((sum, weight) => sum + weight, 0)));
  const op = tf.customGrad(() => {
    const sides = tf.slice(logits, [0, 0, 0, channels - 4], [batch, height, width, 4]).dataSync<"float32">();
    const gradient = new Float32Array(sides.length);
    let loss = 0;
    for (let i = 0; i < cells.cell.length; i++) {
      const cell = cells.cell[i] as number;
      const at = ((cells.sample[i] as number) * height * width + cell) * 4;
      const x = ((cell % width) + 0.5) * STRIDE;
      const y = (Math.floor(cell / width) + 0.5) * STRIDE;
      const truth = [cells.left[i], cells.top[i], cells.right[i], cells.bottom[i]] as Rectangle;
      const weight = (cells.weight[i] as number) / objects;
      loss += weight * addBoxGradient(sides, gradient, at, x, y, truth, weight);
    }
    return {
      value: tf.scalar(loss) as tf.Tensor,
      gradFunc: (dy: tf.Tensor) => {
        const factor = dy.dataSync()[0] as number;
        for (let i = 0; i < gradient.length; i++) gradient[i] = (gradient[i] as number) * factor;
        return [paddedMap(tf.tensor1d(gradient), logits.shape, channels - 4, 0)];
      },
    };
  });
  return op(logits) as tf.Scalar;
}

/** Adds weight * d(1 - GIoU)/d(sides) to the gradient and returns 1 - GIoU. */
function addBoxGradient(
  sides: Float32Array,
  gradient: Float32Array,
  at: number,
  x: number,
  y: number,
  truth: Rectangle,
  weight: number,
): number {
  const box = boxAt(sides, at, x, y);
  const width = box[2] - box[0];
  const height = box[3] - box[1];
  const overlapX = Math.min(box[2], truth[2]) - Math.max(box[0], truth[0]);
  const overlapY = Math.min(box[3], truth[3]) - Math.max(box[1], truth[1]);
  const meets = overlapX > 0 && overlapY > 0;
  const intersection = meets ? overlapX * overlapY : 0;
  const union = width * height + (truth[2] - truth[0]) * (truth[3] - truth[1]) - intersection;
  const hullX = Math.max(box[2], truth[2]) - Math.min(box[0], truth[0]);
  const hullY = Math.max(box[3], truth[3]) - Math.min(box[1], truth[1]);
  const hull = hullX * hullY;
  const value = 1 - (intersection / union - (hull - union) / hull);
  for (let i = 0; i < 4; i++) {
    const horizontal = i % 2 === 0;
    const low = i < 2;
    // Each side moves its edge outwards: the box grows by the other extent.
    const areaBy = horizontal ? height : width;
    const inside = low ? (box[i] as number) > (truth[i] as number) : (box[i] as number) < (truth[i] as number);
    const intersectionBy = meets && inside ? (horizontal ? overlapY : overlapX) : 0;
    const hullBy = inside ? 0 : horizontal ? hullY : hullX;
    const unionBy = areaBy - intersectionBy;
    const iouBy = (intersectionBy * union - intersection * unionBy) / union ** 2;
    const penaltyBy = (union * hullBy - unionBy * hull) / hull ** 2;
    const logarithm = sides[at + i] as number;
    const length = Math.abs(logarithm) < SIDE_LIMIT ? sideLength(logarithm) : 0;
    gradient[at + i] = (gradient[at + i] as number) - weight * (iouBy - penaltyBy) * length;
  }
  return value;
}
