/**
 * Attention rollout (Abnar and Zuidema 2020): how much of every token's content reaches every other token through all
 * encoder layers, each half attention (the mean of its heads) and half residual connection. From the tokens of a target
 * backwards it gives a map over the picture. The fusions after the transformer give the share of attention that the
 * target's tokens pay to each depth token and each word.
 */
import { CodedError } from "../../shared/errors.ts";
import { CrossModalFusion } from "../allulook4/layers/cross-modal.ts";
import { PRESENCE } from "../allulook4/layers/modalities.ts";
import { EncoderLayer, TokensToMap } from "../allulook4/layers/transformer.ts";
import * as tf from "../engine/tf.ts";
import { feedOf } from "../feed.ts";
import type { Batch } from "../preprocess/batch.ts";
import type { BuiltModel } from "../registry.ts";
import { runGraph, valuesOf } from "./graph.ts";

/** Attention of one sample, the mean over heads; rows sum to 1. */
export interface Attention {
  readonly tokens: number;
  /** [tokens, tokens] of every encoder layer, from the first to the last. */
  readonly layers: readonly Float32Array[];
  /** [tokens, tokens] to depth, [tokens, words] to the caption; null where the model or the sample has none. */
  readonly depth: Float32Array | null;
  readonly text: Float32Array | null;
}

/** Whether the model has the attention of Allulook4: encoder layers whose tokens are the cells of one map. */
function hasAttention({ model }: BuiltModel): boolean {
  return (
    encodersOf(model).length > 0 &&
    model.layers.some((layer) => layer instanceof TokensToMap && layer.name === "token_map")
  );
}

/**
 * What the layers attend to in a batch of one sample.
 *
 * @throws CodedError MODEL_NO_ATTENTION
 */
export function attentionOf(built: BuiltModel, batch: Batch): Attention {
  const { model } = built;
  if (!hasAttention(built)) {
    throw new CodedError("MODEL_NO_ATTENTION", "the model has no transformer over the cells of its picture", {
      expected: "allulook4",
      got: model.name,
    });
  }
  const read: { layers: Float32Array[]; depth: Float32Array | null; text: Float32Array | null } = {
    layers: [],
    depth: null,
    text: null,
  };
  tf.tidy(() => {
    const values = runGraph(model, feedOf(batch), new Map());
    const inputs = (layer: tf.layers.Layer) => valuesOf(values, layer.input as tf.SymbolicTensor | tf.SymbolicTensor[]);
    const meanOfHeads = (weights: tf.Tensor) => tf.mean(weights, 1).dataSync<"float32">();
    read.layers = encodersOf(model).map((layer) => meanOfHeads(layer.attention(inputs(layer)[0] as tf.Tensor)));
    for (const layer of model.layers) {
      if (!(layer instanceof CrossModalFusion) || batch.presence[layer.modality] !== 1) continue;
      const weights = meanOfHeads(layer.attention(inputs(layer)));
      if (layer.modality === PRESENCE.depth) read.depth = weights;
      if (layer.modality === PRESENCE.text) read.text = weights;
    }
  });
  return { tokens: Math.sqrt(read.layers[0]?.length ?? 0), ...read };
}

function encodersOf(model: tf.LayersModel): EncoderLayer[] {
  return model.layers.filter((layer) => layer instanceof EncoderLayer);
}

/**
 * From the tokens that a target is read from to those that their content came from.
 *
 * @param from [tokens], the target's share of each token, summing to 1
 * @returns [tokens], summing to 1
 */
export function rollout({ layers, tokens }: Pick<Attention, "layers" | "tokens">, from: Float32Array): Float32Array {
  let row = from;
  for (const layer of layers.toReversed()) {
    const next = attended(layer, tokens, row);
    row = next.map((value, i) => (value + (row[i] as number)) / 2);
  }
  return row;
}

/** The row times a matrix of attention [row.length, columns]. */
export function attended(matrix: Float32Array, columns: number, row: Float32Array): Float32Array {
  const out = new Float32Array(columns);
  for (const [i, share] of row.entries()) {
    if (share === 0) continue;
    const start = i * columns;
    for (let k = 0; k < columns; k++) out[k] = (out[k] as number) + share * (matrix[start + k] as number);
  }
  return out;
}
