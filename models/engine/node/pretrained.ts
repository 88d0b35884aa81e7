/** Reads the weights that ship with this package, checked by their hash. Read once a process. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { sha256 } from "@noble/hashes/sha2.js";
import type { FederationConfig } from "../../../shared/config/federation.ts";
import { folderOfWeights } from "../../../shared/config/pretrained.ts";
import { CodedError } from "../../../shared/errors.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { decodeModel } from "../../../shared/quantize/model.ts";
import { layoutFromEntries } from "../../../shared/quantize/pack.ts";
import type { BaseParams } from "../../../shared/release/base.ts";
import { readModelCard } from "../../../shared/release/model-card.ts";
import { modelHash } from "../../../shared/release/model-hash.ts";

const loaded = new Map<Sha256, Promise<BaseParams>>();

/** What the configured model begins with, where it is not its seed alone. Throws MODEL_WEIGHTS. */
export async function startOf(model: FederationConfig["model"]): Promise<BaseParams | null> {
  const { weights } = model;
  if (weights === undefined) return null;
  const found = loaded.get(weights) ?? read(weights);
  loaded.set(weights, found);
  return found;
}

async function read(wanted: Sha256): Promise<BaseParams> {
  const folder = folderOfWeights(wanted);
  if (folder === undefined) {
    throw new CodedError("MODEL_WEIGHTS", `this version ships no weights with the hash ${wanted}`, {
      expected: wanted,
    });
  }
  const card = await bytesOf(`${folder}/model.json`);
  const weights = await bytesOf(`${folder}/weights.bin`);
  const hash = modelHash([card, weights], { sha256 });
  if (hash !== wanted) {
    throw new CodedError("MODEL_WEIGHTS", `models/pretrained/${folder} has the hash ${hash}, expected ${wanted}`, {
      expected: wanted,
      got: hash,
    });
  }
  const { tensors, labels } = readModelCard(card);
  const layout = layoutFromEntries(tensors);
  return { layout, params: decodeModel(layout, weights), labels };
}

/** From models/pretrained of this package, run from the sources or from dist/. */
async function bytesOf(path: string): Promise<Uint8Array> {
  for (const up of ["../../pretrained/", "../../../../models/pretrained/"]) {
    const bytes = await readFile(fileURLToPath(new URL(up + path, import.meta.url))).catch(() => null);
    if (bytes !== null) return bytes;
  }
  throw new CodedError("MODEL_WEIGHTS", `models/pretrained/${path} is missing from this installation`, { path });
}
