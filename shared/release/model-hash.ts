/** Which model a folder holds, whatever release it came with: the hash of what builds it and of its weights. */
import { CodedError } from "../errors.ts";
import type { Sha256 } from "../ids.ts";
import { MODEL_CARD_PATH, MODEL_WEIGHTS_PATH, OWN_MODEL_PATH, readModelCard, type ModelCard } from "./model-card.ts";
import { sha256Of, type ReleaseCrypto } from "./ports.ts";
import type { ReleaseFolder } from "./verify.ts";

export interface IdentifiedModel {
  readonly sha256: Sha256;
  readonly card: ModelCard;
}

/** Of a release folder, or a model/ folder alone. Throws USAGE when it is neither, RELEASE_FORMAT. */
export async function identifyModel(
  folder: Pick<ReleaseFolder, "read">,
  name: string,
  crypto: Pick<ReleaseCrypto, "sha256">,
): Promise<IdentifiedModel> {
  const whole = await folder.read(MODEL_CARD_PATH);
  const read = (path: string) => folder.read(whole === null ? path.slice("model/".length) : path);
  const paths = [MODEL_CARD_PATH, MODEL_WEIGHTS_PATH, OWN_MODEL_PATH];
  const [card, weights, own] = await Promise.all(paths.map(read));
  if (!card || !weights) {
    throw new CodedError("USAGE", `${name} holds no model: give a release folder that has a model/`, { dir: name });
  }
  return { sha256: modelHash([card, weights, ...(own ? [own] : [])], crypto), card: readModelCard(card) };
}

/** Of the files' hashes: model.json, weights.bin, and own-model.json where there is one. */
export function modelHash(files: readonly Uint8Array[], crypto: Pick<ReleaseCrypto, "sha256">): Sha256 {
  const hashes = files.map((bytes) => sha256Of(crypto, bytes)).join(" ");
  return sha256Of(crypto, new TextEncoder().encode(hashes));
}
