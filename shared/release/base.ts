/**
 * What a model begins with where no seed gives it: the weights of another release, as they stand in its
 * `model/weights.bin`, with their names. The plan names it by hash; `model/base.bin` holds it where params that are not
 * federated come from it.
 */
import type { BaseRef } from "../config/base.ts";
import type { FederationConfig, Labels } from "../config/federation.ts";
import type { Sha256 } from "../ids.ts";
import type { ParamLayout } from "../params/layout.ts";
import { newPack, openPack } from "../quantize/pack.ts";
import { decodeTensors } from "../quantize/tensors.ts";

export const BASE_PATH = "model/base.bin";

/** Tensors are matched by name and shape; others begin as the seed says. */
export interface BaseParams {
  readonly layout: ParamLayout;
  readonly params: Float32Array;
  /** Where they are known, last layers are matched class by class, by the classes' names. */
  readonly labels?: Labels;
}

/** Whether params that are not in the federated vector come from the base, so that everybody needs it. */
export function basePart(config: Pick<FederationConfig, "model" | "training">): BaseRef | null {
  return isPartial(config.training) ? (config.model.base ?? null) : null;
}

/** The hash of the weights that ship (shared/config/pretrained.ts), where they are needed as a base is. */
export function shippedPart({ model, training }: Pick<FederationConfig, "model" | "training">): Sha256 | null {
  return isPartial(training) ? (model.weights ?? null) : null;
}

function isPartial({ trainable, personal }: FederationConfig["training"]): boolean {
  return trainable !== "all" || personal.length > 0;
}

/** A base of the weights in these bytes of model/weights.bin: the same values, and the layout. Throws RELEASE_FORMAT. */
export function encodeBase(layout: ParamLayout, weights: Uint8Array): Uint8Array {
  const { dtypes, payload } = openPack(weights, "model", layout);
  const pack = newPack("model", layout, dtypes, { withLayout: true, payloadBytes: payload.length });
  pack.payload.set(payload);
  return pack.bytes;
}

/** Throws RELEASE_FORMAT. */
export function decodeBase(bytes: Uint8Array): BaseParams {
  const { layout } = openPack(bytes, "model", null);
  return { layout, params: decodeTensors("model", layout, bytes, null) };
}
