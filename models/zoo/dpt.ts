/**
 * `dpt`: the dense prediction transformer (Ranftl et al. 2021; MiDaS and Depth Anything are its line). Tokens of 16 x 16
 * pixels with a readout token go through the transformer; the tokens of four depths of it are reassembled into maps of
 * strides 4, 8, 16 and 32, and fused from coarse to fine by residual convolution units. Trained with the scale-and-shift
 * invariant loss.
 *
 * Tokens are convolutional (the hybrid of the paper): a stem that halves four times, since few pictures teach no
 * patch embedding. Positions are sinusoidal, so that other sizes work. Output at stride 2.
 */
import { SubPixel, UpsampleAdd } from "../allulook4/layers/scales.ts";
import { EncoderLayer, Tokens, TokensToMap } from "../allulook4/layers/transformer.ts";
import * as tf from "../engine/tf.ts";
import { convolution, GROUP, residualUnit } from "./convolutions.ts";
import { DEPTH_OUTPUT, scaledTo, type ZooConfig } from "./parts.ts";
import { ReadoutProjection, ReadoutToken } from "./readout.ts";

/** Of `base`; the others are narrower, and less deep. */
const WIDTH = 384;
const FUSED = 128;
const LAYERS = { nano: 4, tiny: 8, small: 12, base: 12 } as const;
/** Of 32 channels each in every preset. */
const HEAD_WIDTH = 32;
const STRIDES = [4, 8, 16, 32] as const;
const TOKEN_STRIDE = 16;

export function buildDpt({ model: { preset } }: ZooConfig): tf.LayersModel {
  const width = Math.round(scaledTo(preset, WIDTH) / HEAD_WIDTH) * HEAD_WIDTH;
  const fused = Math.max(16, scaledTo(preset, FUSED));
  const one = (layer: tf.layers.Layer, input: tf.SymbolicTensor | tf.SymbolicTensor[]) =>
    layer.apply(input) as tf.SymbolicTensor;
  const rgb = tf.input({ shape: [null, null, 3], name: "rgb" });

  let x = convolution("stem_1", width / 4, 3, rgb, { stride: 2, relu: true, onData: true });
  for (const [i, share] of [4, 2, 1].entries()) {
    x = convolution(`stem_${i + 2}`, width / share, 3, x, { stride: 2, relu: true, normGroup: GROUP });
  }
  const map = x;
  let tokens = one(new ReadoutToken({ name: "readout" }), one(new Tokens({ name: "tokens" }), map));
  const layers = LAYERS[preset];
  const taps: tf.SymbolicTensor[] = [];
  for (let layer = 1; layer <= layers; layer++) {
    const settings = { name: `encoder_${layer}`, heads: width / HEAD_WIDTH, feedForward: 4 * width };
    tokens = one(new EncoderLayer(settings), tokens);
    if (layer % (layers / STRIDES.length) === 0) taps.push(tokens);
  }

  const maps = taps.map((tap, i) => {
    const stride = STRIDES[i] as number;
    const name = `reassemble_${stride}`;
    const placed = one(new TokensToMap({ name: `${name}_map` }), [
      one(new ReadoutProjection({ name: `${name}_readout` }), tap),
      map,
    ]);
    if (stride > TOKEN_STRIDE) return convolution(name, fused, 3, placed, { stride: stride / TOKEN_STRIDE });
    const factor = TOKEN_STRIDE / stride;
    const channels = convolution(name, fused * factor * factor, 1, placed);
    return factor === 1 ? channels : one(new SubPixel({ name: `${name}_resize`, factor }), channels);
  });
  x = residualUnit("fuse_32", fused, maps[3] as tf.SymbolicTensor);
  for (let i = 2; i >= 0; i--) {
    const name = `fuse_${STRIDES[i]}`;
    const finer = residualUnit(`${name}_finer`, fused, maps[i] as tf.SymbolicTensor);
    x = residualUnit(name, fused, one(new UpsampleAdd({ name: `${name}_sum` }), [x, finer]));
  }
  x = one(new UpsampleAdd({ name: "head_depth_larger" }), [x]);
  x = convolution("head_depth_hidden", fused / 2, 3, x, { relu: true, normGroup: GROUP });
  return tf.model({ name: "dpt", inputs: rgb, outputs: convolution(DEPTH_OUTPUT, 1, 1, x) });
}
