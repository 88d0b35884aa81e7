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
import { SeparableBlock } from "./layers/blocks.ts";
import { Convolution } from "./layers/convolution.ts";
import { PRESENCE, PresenceGate, TextTokens, WordMask } from "./layers/modalities.ts";
import { GlobalMean, Linear } from "./layers/scene.ts";
import { Surface } from "./layers/surface.ts";
import { ScaleFusion, SubPixel, UpsampleAdd } from "./layers/scales.ts";
import { EncoderLayer, Tokens, TokensToMap } from "./layers/transformer.ts";
import type { Builder, Node } from "./part-types.ts";
import { BACKBONES, FUSIONS, partOf } from "./parts.ts";
import { ENCODER_LAYERS, GROUP, HEADS, type Preset, PRESETS, TOKEN_STRIDE } from "./presets.ts";

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

/** The untrained graph, all weights zero. Throws MODEL_PART for a backbone or fusion that there is not. */
export function buildAllulook4(config: ModelConfig): tf.LayersModel {
  const preset: Preset = PRESETS[config.model.preset];
  const one: Builder["one"] = (layer, input) => layer.apply(input) as Node;
  const convolution: Builder["convolution"] = (name, filters, size, input, more = {}) =>
    one(new Convolution({ name, filters, size, ...PLAIN, ...more }), input);
  const builder: Builder = { preset, convolution, one };
  const backbone = partOf(BACKBONES, "backbone", config.model.backbone);
  const fusion = partOf(FUSIONS, "fusion", config.model.fusion);

  const rgb = tf.input({ shape: [null, null, 3], name: "rgb" });
  const presence = tf.input({ shape: [3], name: "presence" });
  const inputs: Node[] = [rgb, presence];
  const { scales, skips } = backbone(rgb, builder);
  const fused = one(
    new ScaleFusion({
      name: "scale_fusion",
      filters: preset.tokens,
      strides: scales.map(({ stride }) => stride),
      stride: TOKEN_STRIDE,
    }),
    scales.map(({ map }) => map),
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
    const fine = convolution("depth_stem", preset.depth, 4, depth, { stride: 4, relu: true, onData: true });
    const block = (name: string, filters: number, input: Node) =>
      one(new SeparableBlock({ name, filters, stride: 2, groupSize: GROUP }), input);
    const coarse = block("depth_2", preset.tokens, block("depth_1", preset.depth * 2, fine));
    const depthTokens = one(new Tokens({ name: "depth_tokens" }), coarse);
    const others = { name: "depth_fusion", other: depthTokens, presence, modality: PRESENCE.depth, mask: null };
    tokens = fusion({ ...others, visual: tokens }, builder);
    const skip = convolution("depth_skip", preset.decoder, 1, fine);
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
    const others = { name: "text_fusion", other: words, presence, modality: PRESENCE.text, mask };
    tokens = fusion({ ...others, visual: tokens }, builder);
  }

  // Decoder: stride 16 to 4, with laterals from the backbone and from depth.
  const lateral = (name: string, input: Node, stride = 1) =>
    convolution(name, preset.decoder, stride, input, { stride, normGroup: GROUP });
  const skipsAt = (stride: number) => skips.filter((skip) => skip.stride === stride);
  const coarse = one(new TokensToMap({ name: "token_map" }), [tokens, fused]);
  let map = lateral("decoder_16", coarse);
  map = one(new UpsampleAdd({ name: "decoder_8_sum" }), [
    map,
    ...skipsAt(8).map((skip) => lateral(skip.name, skip.map)),
  ]);
  map = convolution("decoder_8", preset.decoder, 3, map, { relu: true });
  map = one(new UpsampleAdd({ name: "decoder_4_sum" }), [
    map,
    ...skipsAt(4).map((skip) => lateral(skip.name, skip.map)),
    ...skipsAt(2).map((skip) => lateral(skip.name, skip.map, 2)),
    ...(depthSkip === null ? [] : [depthSkip]),
  ]);
  map = convolution("decoder_4", preset.decoder, 3, map, { relu: true });

  const outputs: Node[] = [];
  const hidden = (head: string) =>
    convolution(`${HEAD_PREFIX}${head}_hidden`, preset.decoder, 3, map, { relu: true, normGroup: GROUP });
  const { labels } = config;
  if (labels.segmentation.length > 0) {
    const channels = 4 * labels.segmentation.length;
    const logits = convolution(`${HEAD_PREFIX}segmentation_logits`, channels, 1, hidden("segmentation"));
    outputs.push(one(new SubPixel({ name: OUTPUTS.segmentation, factor: 2 }), logits));
  }
  if (labels.detection.length > 0) {
    const features = hidden("detection");
    const heat = convolution(`${HEAD_PREFIX}detection_heat`, labels.detection.length, 1, features, { rare: true });
    const sides = convolution(`${HEAD_PREFIX}detection_sides`, 4, 1, features);
    outputs.push(tf.layers.concatenate({ name: OUTPUTS.detection, axis: -1 }).apply([heat, sides]) as Node);
  }
  if (labels.depth.kind !== "none") {
    const features = hidden("depth");
    const values = convolution(`${HEAD_PREFIX}depth_values`, 1, 1, features);
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

const PLAIN = { stride: 1, relu: false, normGroup: 0, onData: false, rare: false } as const;
