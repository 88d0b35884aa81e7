/**
 * What all layers of Allulook4 share: named weights whose initial values follow from the model's seed, and
 * registration, so that a saved model loads again. Weights start at zero here; `initialise.ts` fills them.
 */
import * as tf from "../../engine/tf.ts";

export type Shape = (number | null)[];

export type LayerConfig = { name: string; trainable?: boolean };

export abstract class AllulookLayer extends tf.layers.Layer {
  constructor(config: LayerConfig) {
    super({ name: config.name, ...(config.trainable === undefined ? {} : { trainable: config.trainable }) });
  }

  /** Adds a trainable float32 weight. */
  protected weight(name: string, shape: readonly number[]): tf.LayerVariable {
    return this.addWeight(name, [...shape], "float32", tf.initializers.zeros());
  }

  /** The layer's own numbers, which `fromConfig` gives back to the constructor. */
  protected abstract settings(): tf.serialization.ConfigDict;

  override getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), ...this.settings() };
  }

  override call(
    inputs: tf.Tensor | tf.Tensor[],
    { training = false }: { readonly training?: boolean } = {},
  ): tf.Tensor | tf.Tensor[] {
    return tf.tidy(() => this.forward(Array.isArray(inputs) ? inputs : [inputs], training));
  }

  protected abstract forward(inputs: tf.Tensor[], training: boolean): tf.Tensor | tf.Tensor[];
}

/** The value of a weight. */
export function read<T extends tf.Tensor>(weight: tf.LayerVariable | null): T {
  return (weight as tf.LayerVariable).read() as T;
}

/** The shapes of all inputs. */
export function inputShapes(shape: Shape | Shape[]): Shape[] {
  return Array.isArray(shape[0]) ? (shape as Shape[]) : [shape as Shape];
}

/** Groups of `groupSize` channels each; one group where that does not divide. */
export function groupsOf(channels: number, groupSize: number): number {
  return channels % groupSize === 0 ? channels / groupSize : 1;
}

/** A side after a "same" convolution with this stride. */
export function strided(side: number | null | undefined, stride: number): number | null {
  return side === null || side === undefined ? null : Math.ceil(side / stride);
}
