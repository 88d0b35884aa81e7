/**
 * The continuous values that a model's answer depends on, by modality, at one sample and where nothing is known: a
 * picture of mean grey, a depth map without readings, words that say nothing (what the model sees of what is withheld).
 */
import { byHead } from "../allulook4/forward.ts";
import type { OutputHead } from "../allulook4/build.ts";
import { TextTokens } from "../allulook4/layers/modalities.ts";
import * as tf from "../engine/tf.ts";
import { type Feed, feedOf, type InputName } from "../feed.ts";
import type { Batch } from "../preprocess/batch.ts";
import type { BuiltModel } from "../registry.ts";
import { runGraph, valuesOf } from "./graph.ts";

export const MODALITIES = ["rgb", "depth", "text"] as const;
export type Modality = (typeof MODALITIES)[number];

/** Values of one modality. rgb [H, W, 3] normalised, depth [H, W, 2] value and validity, text [words, width]. */
export interface Point {
  readonly shape: readonly number[];
  readonly at: Float32Array;
  readonly absent: Float32Array;
}

/** Tensors by modality, each [B, ...]; what is left out is as the sample has it. */
type Moved = ReadonlyMap<Modality, tf.Tensor>;

export interface OpenSample {
  readonly points: ReadonlyMap<Modality, Point>;
  /** The model's output maps for `size` variants of the sample. Call inside `tf.tidy` or a gradient function. */
  outputs(moved: Moved, size: number): Map<OutputHead, tf.Tensor>;
}

/**
 * Opens a model at a sample: `batch` holds it alone. Text is open where the model embeds words by this project's layer;
 * another model's own words are ids, which have nothing between them.
 */
export function openSample(built: BuiltModel, batch: Batch): OpenSample {
  const { model } = built;
  const { height, width } = batch.geometry;
  const own = feedOf(batch);
  const read = inputsOf(built, own);
  const points = new Map<Modality, Point>();
  const visual = (values: Float32Array, channels: number): Point => ({
    shape: [height, width, channels],
    at: values,
    absent: new Float32Array(values.length),
  });
  const embedding = model.layers.find((layer) => layer instanceof TextTokens);
  const words = embedding?.output as tf.SymbolicTensor | undefined;
  if (read.has("rgb") && batch.presence[0] === 1) points.set("rgb", visual(batch.rgb, 3));
  if (read.has("depth") && batch.presence[1] === 1) points.set("depth", visual(batch.depth, 2));
  if (embedding !== undefined && batch.presence[2] === 1) points.set("text", wordsPoint(embedding, own("text")));
  return {
    points,
    outputs(moved, size) {
      const feed: Feed = (name) => {
        const value = name === "text" || name === "presence" ? undefined : moved.get(name);
        if (value !== undefined) return value;
        const tensor = own(name);
        return tf.tile(tensor, [size, ...tensor.shape.slice(1).map(() => 1)]);
      };
      const text = moved.get("text");
      if (text === undefined || words === undefined) return built.apply(feed);
      return byHead(model, valuesOf(runGraph(model, feed, new Map([[words.id, text]])), model.outputs));
    },
  };
}

/** The inputs that a model asks for. */
function inputsOf(built: BuiltModel, own: Feed): ReadonlySet<InputName> {
  const asked = new Set<InputName>();
  tf.tidy(() => {
    built.apply((name) => {
      asked.add(name);
      return own(name);
    });
  });
  return asked;
}

/** A word without features is the projection's bias: between it and the word, the embedding grows from nothing. */
function wordsPoint(embedding: TextTokens, ids: tf.Tensor): Point {
  const [at, absent] = tf.tidy(() =>
    [ids, tf.zerosLike(ids)].map((of) => (embedding.call(of) as tf.Tensor).dataSync<"float32">()),
  ) as unknown as [Float32Array, Float32Array];
  const words = ids.shape[1] as number;
  ids.dispose();
  return { shape: [words, at.length / words], at, absent };
}
