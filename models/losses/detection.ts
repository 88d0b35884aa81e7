/**
 * Focal loss on centre heat (CenterNet's variant, Zhou et al. 2019) and generalised IoU of the boxes at the cells near
 * the centres (Rezatofighi et al. 2019). Boxes are few, so their loss and its gradient are computed in JavaScript.
 */
import * as tf from "../engine/tf.ts";
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
    const z = tf.reshape(tf.slice(logits, [0, 0, 0, 0], [batch, height, width, classes]), [-1, classes]);
    const p = tf.sigmoid(z);
    const logP = tf.neg(tf.softplus(tf.neg(z)));
    const logQ = tf.neg(tf.softplus(z));
    const centre = tf.cast(tf.greaterEqual(heat, 1), "float32");
    const weight = tf.reshape(tf.mul(tf.reshape(known, [batch, 1]), tf.ones([batch, height * width])), [
      batch * height * width,
      1,
    ]);
    const positives = tf.mul(centre, weight);
    // (1 - heat)^4 is 0 at the centres themselves.
    const negatives = tf.mul(tf.square(tf.square(tf.sub(1, heat))), weight);
    const count = Math.max(tf.sum(positives).dataSync()[0] as number, 1);
    const q = tf.sub(1, p);
    const terms = tf.add(tf.mul(positives, tf.mul(tf.square(q), logP)), tf.mul(negatives, tf.mul(tf.square(p), logQ)));
    save([p, q, logP, logQ, positives, negatives]);
    return {
      value: tf.div(tf.neg(tf.sum(terms)), count) as tf.Tensor,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [p0, q0, logP0, logQ0, positives0, negatives0] = saved as tf.Tensor2D[] as [
          tf.Tensor2D,
          tf.Tensor2D,
          tf.Tensor2D,
          tf.Tensor2D,
          tf.Tensor2D,
          tf.Tensor2D,
        ];
        const atCentres = tf.mul(tf.square(q0), tf.sub(tf.mul(tf.mul(p0, logP0), 2), q0));
        const elsewhere = tf.mul(tf.square(p0), tf.sub(p0, tf.mul(tf.mul(q0, logQ0), 2)));
        const gradient = tf.mul(
          tf.add(tf.mul(positives0, atCentres), tf.mul(negatives0, elsewhere)),
          tf.div(dy, count),
        );
        const map = tf.reshape(gradient, [batch, height, width, classes]) as tf.Tensor4D;
        return [
          tf.pad(map, [
            [0, 0],
            [0, 0],
            [0, 0],
            [0, channels - classes],
          ]),
        ];
      },
    };
  });
  return op(logits) as tf.Scalar;
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
        const map = tf.tensor4d(gradient, [batch, height, width, 4]);
        return [
          tf.mul(
            tf.pad(map, [
              [0, 0],
              [0, 0],
              [0, 0],
              [channels - 4, 0],
            ]),
            dy,
          ),
        ];
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
