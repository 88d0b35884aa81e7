/** `model/model.json`: what builds the model that model/weights.bin belongs to, instead of its topology. */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { canonicalJson } from "../canonical.ts";
import { federationConfig, type FederationConfig } from "../config/federation.ts";
import { CodedError } from "../errors.ts";
import { layoutEntries } from "../quantize/pack.ts";

export const MODEL_CARD_PATH = "model/model.json";
export const MODEL_WEIGHTS_PATH = "model/weights.bin";

const modelCard = z.strictObject({
  format: z.literal(1),
  /** Name in the table of models. */
  builder: z.string().min(1).max(64),
  preset: federationConfig.shape.model.unwrap().shape.preset,
  /** The federation's seed: weights that are not federated have the initial values it gives. */
  seed: federationConfig.shape.seed,
  /** Which weights are federated, and so stand in weights.bin. */
  trainable: z.enum(["all", "heads"]),
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
  return { builder: model.name, preset: model.preset, seed, trainable: training.trainable, labels, input };
}

export function modelCardBytes(card: ModelCard): Uint8Array {
  return utf8ToBytes(`${canonicalJson(card)}\n`);
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
