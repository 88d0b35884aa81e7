/**
 * `model/model.json`: what builds the model that model/weights.bin belongs to, instead of its topology. Only a model of
 * one's own ships that, too, in a file of its own.
 */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { canonicalJson } from "../canonical.ts";
import { federationConfig, type FederationConfig } from "../config/federation.ts";
import { ownModel, type OwnModel } from "../config/own-model.ts";
import { adapters, personal } from "../config/shares.ts";
import { CodedError } from "../errors.ts";
import { sha256Hex } from "../ids.ts";
import type { ParamLayout } from "../params/layout.ts";
import { entriesOf, layoutEntries } from "../quantize/pack.ts";
import { BASE_PATH, basePart, shippedPart } from "./base.ts";

export const MODEL_CARD_PATH = "model/model.json";
export const MODEL_WEIGHTS_PATH = "model/weights.bin";
export const OWN_MODEL_PATH = "model/own-model.json";

const modelCard = z.strictObject({
  format: z.literal(1),
  /** Name in the table of models. */
  builder: z.string().min(1).max(64),
  /** The builder is none of the table: the model stands in model/own-model.json. */
  own: z.literal(true).optional(),
  preset: federationConfig.shape.model.unwrap().shape.preset,
  /** Of allulook4, where they are not its usual ones. */
  backbone: federationConfig.shape.model.unwrap().shape.backbone,
  fusion: federationConfig.shape.model.unwrap().shape.fusion,
  /** The federation's seed: weights that are not federated have the initial values it gives. */
  seed: federationConfig.shape.seed,
  /** The hash of the weights that those began with; the seed alone where there are none. */
  start: sha256Hex.optional(),
  /** Which weights are federated, and so stand in weights.bin. */
  trainable: z.enum(["all", "heads", "adapters"]),
  /** Of adapters: their sizes, and what else is federated. */
  adapters: adapters.optional(),
  /** SHA-256 of model/base.bin: what is not federated comes from there, before the seed. */
  base: sha256Hex.optional(),
  /** What each site keeps for itself: weights.bin holds none of it, and the model begins with initial values there. */
  personal: personal.optional(),
  labels: federationConfig.shape.labels,
  input: federationConfig.shape.input,
  tensors: layoutEntries,
});
export type ModelCard = z.infer<typeof modelCard>;

/** What configuration and plan say about the model. */
export function cardOf(
  config: Pick<FederationConfig, "seed" | "model" | "labels" | "input" | "training">,
): Omit<ModelCard, "format" | "tensors"> {
  const { seed, model, labels, input, training } = config;
  const { trainable, adapters: sizes, personal: kept } = training;
  const base = basePart(config);
  const start = shippedPart(config);
  return {
    builder: model.name,
    ...(model.own !== undefined && { own: true as const }),
    preset: model.preset,
    ...(model.backbone !== undefined && { backbone: model.backbone }),
    ...(model.fusion !== undefined && { fusion: model.fusion }),
    seed,
    ...(start !== null && { start }),
    trainable,
    ...(trainable === "adapters" && { adapters: sizes }),
    ...(base !== null && { base: base.sha256 }),
    ...(kept.length > 0 && { personal: kept }),
    labels,
    input,
  };
}

/** The files of model/ beside the weights, by path. `base`: bytes of the base, where {@link basePart} asks for it. */
export function modelFiles(
  config: Parameters<typeof cardOf>[0],
  layout: ParamLayout,
  base: Uint8Array | null = null,
): Map<string, Uint8Array> {
  const card: ModelCard = { format: 1, ...cardOf(config), tensors: entriesOf(layout) };
  const files = new Map<string, Uint8Array>([[MODEL_CARD_PATH, utf8ToBytes(`${canonicalJson(card)}\n`)]]);
  const { own } = config.model;
  if (own !== undefined) files.set(OWN_MODEL_PATH, utf8ToBytes(`${canonicalJson(own)}\n`));
  if (base !== null && basePart(config) !== null) files.set(BASE_PATH, base);
  return files;
}

/** Throws RELEASE_FORMAT. */
export function readOwnModelFile(bytes: Uint8Array): OwnModel {
  const parsed = ownModel.safeParse(jsonOf(bytes));
  if (parsed.success) return parsed.data;
  throw new CodedError("RELEASE_FORMAT", `${OWN_MODEL_PATH} breaks its format: ${z.prettifyError(parsed.error)}`, {
    file: OWN_MODEL_PATH,
  });
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

/** Throws RELEASE_FORMAT. */
export function readModelCard(bytes: Uint8Array): ModelCard {
  try {
    return modelCard.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (error) {
    const cause = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new CodedError("RELEASE_FORMAT", `${MODEL_CARD_PATH} breaks its format: ${cause}`, { file: MODEL_CARD_PATH });
  }
}
