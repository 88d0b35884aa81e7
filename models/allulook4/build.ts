/**
 * Allulook4: RGB, depth and text in; boxes, class maps, depth and scene out. Two convolutional branches with four
 * scales each, fused by channel attention, a six-layer transformer, gated cross-modal fusion after it, and a decoder
 * with skips from both branches and from depth. What a federation has no labels or modality for is not built.
 *
 * Inputs (batch first, sides multiples of 32): `rgb` [H, W, 3] normalised, `depth` [H, W, 2] normalised value and
 * validity, `text` [32, 16] bucket ids, `presence` [3].
 * Outputs: `segmentation` logits [H/2, W/2, K]; `detection` [H/4, W/4, K + 4] heat logits, then the distances from the
 * cell's centre to the box's four sides as logarithms of multiples of 16 pixels; `depth` [H/4, W/4, 1] normalised;
 * `scene` logits [S].
 *
 * Where the documents are silent: the four scales are strides 2, 4, 8, 16 (deep) and 4, 8, 16, 32 (light), tokens have
 * stride 16, boxes are centre-based at stride 4 (CenterNet, Zhou et al. 2019, with TTFNet's regression, Liu et al. 2020).
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import * as tf from "../engine/tf.ts";
import { TEXT_BUCKETS, TEXT_FEATURES, TEXT_WORDS } from "../preprocess/text.ts";
import { BottleneckBlock, SeparableBlock } from "./layers/blocks.ts";
import { Convolution } from "./layers/convolution.ts";
import { CrossModalFusion } from "./layers/cross-modal.ts";
import { PRESENCE, PresenceGate, TextTokens, WordMask } from "./layers/modalities.ts";
import { GlobalMean, Linear } from "./layers/scene.ts";
import { Surface } from "./layers/surface.ts";
import { ScaleFusion, SubPixel, UpsampleAdd } from "./layers/scales.ts";
import { EncoderLayer, Tokens, TokensToMap } from "./layers/transformer.ts";
import { ENCODER_LAYERS, HEADS, type Preset, PRESETS, TOKEN_STRIDE } from "./presets.ts";

/** Channels of one normalisation group. */
const GROUP = 8;

export type ModelConfig = Pick<FederationConfig, "model" | "labels" | "input" | "training">;

/** Names of the layers of one head alone start with this and the head's name. */
const HEAD_PREFIX = "head_";

/** Names of the output layers; which of them a model has depends on the federation's labels. */
export const OUTPUTS = {
  segmentation: "head_segmentation",
  detection: "head_detection",
  depth: "head_depth",
  scene: "head_scene",
} as const;
export type OutputHead = keyof typeof OUTPUTS;

/** The head that the layer of this name belongs to alone. */
export function headOfLayer(name: string): OutputHead | null {
  const heads = Object.keys(OUTPUTS) as OutputHead[];
  return heads.find((head) => name.startsWith(`${HEAD_PREFIX}${head}`)) ?? null;
}

type Node = tf.SymbolicTensor;

/** The untrained graph, all weights zero. */
export function buildAllulook4(config: ModelConfig): tf.LayersModel {
  const preset: Preset = PRESETS[config.model.preset];
  const convolution = (name: string, filters: number, size: number, more: Partial<ConvolutionOptions> = {}) =>
    new Convolution({
      name,
      filters,
      size,
      stride: 1,
      relu: false,
      normGroup: 0,
      onData: false,
      rare: false,
      ...more,
    });
  const one = (layer: tf.layers.Layer, input: Node | Node[]) => layer.apply(input) as Node;

  const rgb = tf.input({ shape: [null, null, 3], name: "rgb" });
  const presence = tf.input({ shape: [3], name: "presence" });
  const inputs: Node[] = [rgb, presence];

  // Deep branch: full-resolution input, strides 2 to 16.
  const deep: Node[] = [];
  let x = one(convolution("deep_stem", preset.deep[0], 3, { stride: 2, relu: true, onData: true }), rgb);
  for (const [scale, filters] of preset.deep.entries()) {
    for (let block = 0; block < (preset.deepBlocks[scale] as number); block++) {
      const name = `deep_${scale + 1}_${block + 1}`;
      const stride = scale > 0 && block === 0 ? 2 : 1;
      x = one(new BottleneckBlock({ name, filters, stride, groupSize: GROUP }), x);
    }
    deep.push(x);
  }

  // Light branch: depthwise-separable at reduced resolution, strides 4 to 32.
  const light: Node[] = [];
  x = one(convolution("light_stem", preset.light[0], 4, { stride: 4, relu: true, onData: true }), rgb);
  for (const [scale, filters] of preset.light.entries()) {
    for (let block = 0; block < (preset.lightBlocks[scale] as number); block++) {
      const name = `light_${scale + 1}_${block + 1}`;
      const stride = scale > 0 && block === 0 ? 2 : 1;
      x = one(new SeparableBlock({ name, filters, stride, groupSize: GROUP }), x);
    }
    light.push(x);
  }

  const fused = one(
    new ScaleFusion({
      name: "scale_fusion",
      filters: preset.tokens,
      strides: [2, 4, 8, 16, 4, 8, 16, 32],
      stride: TOKEN_STRIDE,
    }),
    [...deep, ...light],
  );
  let tokens = one(new Tokens({ name: "tokens" }), fused);
  for (let layer = 1; layer <= ENCODER_LAYERS; layer++) {
    const name = `encoder_${layer}`;
    tokens = one(new EncoderLayer({ name, heads: HEADS, feedForward: preset.feedForward }), tokens);
  }

  let depthSkip: Node | null = null;
  if (config.input.modalities.includes("depth")) {
    const depth = tf.input({ shape: [null, null, 2], name: "depth" });
    inputs.push(depth);
    const fine = one(convolution("depth_stem", preset.depth, 4, { stride: 4, relu: true, onData: true }), depth);
    const block = (name: string, filters: number, input: Node) =>
      one(new SeparableBlock({ name, filters, stride: 2, groupSize: GROUP }), input);
    const coarse = block("depth_2", preset.tokens, block("depth_1", preset.depth * 2, fine));
    const depthTokens = one(new Tokens({ name: "depth_tokens" }), coarse);
    const name = "depth_fusion";
    tokens = one(new CrossModalFusion({ name, heads: HEADS, modality: PRESENCE.depth }), [
      tokens,
      depthTokens,
      presence,
    ]);
    const skip = one(convolution("depth_skip", preset.decoder, 1), fine);
    depthSkip = one(new PresenceGate({ name: "depth_presence", modality: PRESENCE.depth }), [skip, presence]);
  }
  if (config.input.modalities.includes("text")) {
    const text = tf.input({ shape: [TEXT_WORDS, TEXT_FEATURES], name: "text", dtype: "int32" });
    inputs.push(text);
    const words = one(
      new TextTokens({
        name: "text_tokens",
        buckets: TEXT_BUCKETS,
        embedding: preset.text,
        width: preset.tokens,
      }),
      text,
    );
    const mask = one(new WordMask({ name: "text_mask" }), text);
    tokens = one(new CrossModalFusion({ name: "text_fusion", heads: HEADS, modality: PRESENCE.text }), [
      tokens,
      words,
      presence,
      mask,
    ]);
  }

  // Decoder: stride 16 to 4, with laterals from both branches and from depth.
  const lateral = (name: string, input: Node, size = 1, stride = 1) =>
    one(convolution(name, preset.decoder, size, { stride, normGroup: GROUP }), input);
  const coarse = one(new TokensToMap({ name: "token_map" }), [tokens, fused]);
  let map = lateral("decoder_16", coarse);
  map = one(new UpsampleAdd({ name: "decoder_8_sum" }), [map, lateral("decoder_8_lateral", deep[2] as Node)]);
  map = one(convolution("decoder_8", preset.decoder, 3, { relu: true }), map);
  map = one(new UpsampleAdd({ name: "decoder_4_sum" }), [
    map,
    lateral("decoder_4_deep", deep[1] as Node),
    lateral("decoder_4_light", light[0] as Node),
    lateral("decoder_4_detail", deep[0] as Node, 2, 2),
    ...(depthSkip === null ? [] : [depthSkip]),
  ]);
  map = one(convolution("decoder_4", preset.decoder, 3, { relu: true }), map);

  const outputs: Node[] = [];
  const hidden = (head: string) =>
    one(convolution(`${HEAD_PREFIX}${head}_hidden`, preset.decoder, 3, { relu: true, normGroup: GROUP }), map);
  const { labels } = config;
  if (labels.segmentation.length > 0) {
    const logits = one(
      convolution(`${HEAD_PREFIX}segmentation_logits`, 4 * labels.segmentation.length, 1),
      hidden("segmentation"),
    );
    outputs.push(one(new SubPixel({ name: OUTPUTS.segmentation, factor: 2 }), logits));
  }
  if (labels.detection.length > 0) {
    const features = hidden("detection");
    const heat = one(convolution(`${HEAD_PREFIX}detection_heat`, labels.detection.length, 1, { rare: true }), features);
    const sides = one(convolution(`${HEAD_PREFIX}detection_sides`, 4, 1), features);
    outputs.push(tf.layers.concatenate({ name: OUTPUTS.detection, axis: -1 }).apply([heat, sides]) as Node);
  }
  if (labels.depth.kind !== "none") {
    const features = hidden("depth");
    const values = one(convolution(`${HEAD_PREFIX}depth_values`, 1, 1), features);
    const placed = one(new Surface({ name: `${HEAD_PREFIX}depth_surface` }), values);
    outputs.push(tf.layers.activation({ name: OUTPUTS.depth, activation: "linear" }).apply(placed) as Node);
  }
  if (labels.scene.length > 0) {
    const pooled = one(new GlobalMean({ name: "scene_pool" }), tokens);
    const features = one(new Linear({ name: `${HEAD_PREFIX}scene_hidden`, units: preset.tokens, relu: true }), pooled);
    const logits = one(
      new Linear({ name: `${HEAD_PREFIX}scene_logits`, units: labels.scene.length, relu: false }),
      features,
    );
    outputs.push(tf.layers.activation({ name: OUTPUTS.scene, activation: "linear" }).apply(logits) as Node);
  }
  return tf.model({ inputs, outputs, name: "allulook4" });
}

interface ConvolutionOptions {
  stride: number;
  relu: boolean;
  normGroup: number;
  onData: boolean;
  rare: boolean;
}
