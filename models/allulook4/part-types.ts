/** What a swappable part of Allulook4 gets and gives. The tables of parts are in `parts.ts`. */
import type * as tf from "../engine/tf.ts";
import type { ConvolutionConfig } from "./layers/convolution.ts";
import type { Preset } from "./presets.ts";

export type Node = tf.SymbolicTensor;

/** What parts are made with. Layer names are unique in the model: the initial weights follow from them. */
export interface Builder {
  readonly preset: Preset;
  /** A convolution with bias; neither stride, norm nor ReLU unless asked for. */
  convolution(
    name: string,
    filters: number,
    size: number,
    input: Node,
    more?: Partial<Omit<ConvolutionConfig, "name" | "filters" | "size">>,
  ): Node;
  one(layer: tf.layers.Layer, input: Node | Node[]): Node;
}

interface BackboneMaps {
  /** Everything the transformer gets to see, in strides that are powers of two; at least one has stride 16. */
  readonly scales: readonly { readonly map: Node; readonly stride: number }[];
  /** What the decoder adds on its way up, by the names of the layers that bring it in; at least one each at 8 and 4. */
  readonly skips: readonly { readonly name: string; readonly map: Node; readonly stride: 2 | 4 | 8 }[];
}

/** From the picture [B, H, W, 3] to maps of it. */
export type Backbone = (rgb: Node, builder: Builder) => BackboneMaps;

interface FusionInputs {
  /** For the names of the fusion's layers. */
  readonly name: string;
  /** [B, T, D] */
  readonly visual: Node;
  /** Tokens of the other modality, [B, S, D]. */
  readonly other: Node;
  /** [B, 3], 1 where rgb, depth and text are there, and the column of the other modality. */
  readonly presence: Node;
  readonly modality: number;
  /** Of words, [B, S]: 1 where there is one; null: all count. */
  readonly mask: Node | null;
}

/** Visual tokens [B, T, D] that know of the other modality, and are left as they are where it is absent. */
export type Fusion = (inputs: FusionInputs, builder: Builder) => Node;
