/**
 * `depth-sense`: a residual network (He et al. 2016) whose four scales are fused step by step into one map of relative
 * depth, as Xian et al. 2018 do it: each step doubles the coarser map, adds the finer one and goes through a residual
 * convolution unit. Trained on 300 ordinal pairs a picture, SSIM, smoothness of inverse depth, and edges.
 *
 * Where the description is silent: stages of strides 4 to 32, normalisation as in Allulook4, output at stride 4.
 */
import { BottleneckBlock } from "../allulook4/layers/blocks.ts";
import { UpsampleAdd } from "../allulook4/layers/scales.ts";
import * as tf from "../engine/tf.ts";
import { convolution, GROUP, residualUnit } from "./convolutions.ts";
import { DEPTH_OUTPUT, scaledTo, type ZooConfig } from "./parts.ts";

/** Channels and blocks of the four stages of `base`. */
const STAGES = [
  [64, 3],
  [128, 4],
  [256, 6],
  [512, 3],
] as const;
const FUSED = 128;

export function buildDepthSense({ model: { preset } }: ZooConfig): tf.LayersModel {
  const width = (filters: number) => Math.max(8, scaledTo(preset, filters));
  const blocks = (count: number) => (preset === "nano" ? 1 : preset === "tiny" ? Math.ceil(count / 2) : count);
  const rgb = tf.input({ shape: [null, null, 3], name: "rgb" });
  let x = convolution("stem", width(STAGES[0][0]), 7, rgb, { stride: 2, relu: true, onData: true });
  const stages = STAGES.map(([filters, count], stage) => {
    for (let block = 0; block < blocks(count); block++) {
      const name = `stage_${stage + 1}_${block + 1}`;
      const layer = new BottleneckBlock({
        name,
        filters: width(filters),
        stride: block === 0 ? 2 : 1,
        groupSize: GROUP,
      });
      x = layer.apply(x) as tf.SymbolicTensor;
    }
    return x;
  });
  const lateral = stages.map((map, i) => convolution(`lateral_${i + 1}`, width(FUSED), 1, map, { normGroup: GROUP }));
  x = residualUnit("fuse_4", width(FUSED), lateral[3] as tf.SymbolicTensor);
  for (let i = 2; i >= 0; i--) {
    const finer = residualUnit(`fuse_${i + 1}_finer`, width(FUSED), lateral[i] as tf.SymbolicTensor);
    x = new UpsampleAdd({ name: `fuse_${i + 1}_sum` }).apply([x, finer]) as tf.SymbolicTensor;
    x = residualUnit(`fuse_${i + 1}`, width(FUSED), x);
  }
  x = convolution("head_depth_hidden", width(FUSED / 2), 3, x, { relu: true, normGroup: GROUP });
  return tf.model({ name: "depth-sense", inputs: rgb, outputs: convolution(DEPTH_OUTPUT, 1, 1, x) });
}
