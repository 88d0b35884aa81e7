/** The adapters of one model: their factors, and the kernels that they change. */
import type { FederationConfig } from "../shared/config/federation.ts";
import { adapted, adapterOf, factorGradient, type Factors } from "./adapters.ts";
import * as tf from "./engine/tf.ts";
import { initialValues } from "./initialise.ts";
import type { ModelWeight } from "./shares.ts";

type Part = keyof Factors;

interface Held {
  /** W0. */
  readonly kernel: tf.Tensor;
  factors: Factors;
}

export class AdapterSet {
  readonly #held = new Map<ModelWeight, Held>();
  readonly #rank: number;
  readonly #scale: number;
  readonly #trained: readonly Part[];
  readonly #seed: number;

  /** @param seed for the factors' initial values */
  constructor({ rank, alpha = 2 * rank, down }: FederationConfig["training"]["adapters"], seed: number) {
    this.#rank = rank;
    this.#scale = alpha / rank;
    this.#trained = down === "fixed" ? ["up"] : ["down", "up"];
    this.#seed = seed;
  }

  /** Gives the weight, at its present value, an adapter; names and shapes of the factors that are trained. */
  add(weight: ModelWeight): { part: Part; name: string; shape: readonly number[] }[] {
    const shapes = adapterOf(weight.shape, this.#rank) as NonNullable<ReturnType<typeof adapterOf>>;
    const nameOf = (part: Part) => `${weight.name}/${part === "down" ? "adapterDown" : "adapterUp"}`;
    const initial = (part: Part) => {
      const [rows, rank] = shapes[part];
      return tf.keep(tf.tensor2d(initialValues(nameOf(part), [rows, rank], this.#seed), [rows, rank]));
    };
    const kernel = tf.keep(tf.clone(weight.variable));
    this.#held.set(weight, { kernel, factors: { down: initial("down"), up: initial("up") } });
    return this.#trained.map((part) => ({ part, name: nameOf(part), shape: shapes[part] }));
  }

  factor(weight: ModelWeight, part: Part): tf.Tensor2D {
    return this.#of(weight).factors[part];
  }

  setFactor(weight: ModelWeight, part: Part, values: Float32Array): void {
    const held = this.#of(weight);
    const before = held.factors[part];
    held.factors = { ...held.factors, [part]: tf.keep(tf.tensor2d(values, before.shape)) };
    before.dispose();
  }

  /** Puts W0 and what the factors add into every kernel. */
  apply(): void {
    for (const [{ variable }, { kernel, factors }] of this.#held) {
      tf.tidy(() => variable.assign(adapted(kernel, factors, this.#scale)));
    }
  }

  /** The gradient of a factor from that of its kernel. */
  gradient(weight: ModelWeight, part: Part, kernel: tf.Tensor): tf.Tensor2D {
    return factorGradient(part, kernel, this.#of(weight).factors, this.#scale);
  }

  dispose(): void {
    for (const { kernel, factors } of this.#held.values()) tf.dispose([kernel, factors.down, factors.up]);
    this.#held.clear();
  }

  #of(weight: ModelWeight): Held {
    return this.#held.get(weight) as Held;
  }
}
