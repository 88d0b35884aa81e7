/** Reads the release that `model.init` of federation.yaml names: its weights are what the federation begins with. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { CodedError } from "../shared/errors.ts";
import type { Sha256 } from "../shared/ids.ts";
import { NodeCrypto } from "../shared/node/crypto.ts";
import { folderOnDisk } from "../shared/node/release-folder.ts";
import { layoutFromEntries } from "../shared/quantize/pack.ts";
import { encodeBase } from "../shared/release/base.ts";
import { MANIFEST_PATH, readManifest } from "../shared/release/manifest.ts";
import { MODEL_CARD_PATH, MODEL_WEIGHTS_PATH, type ModelCard, readModelCard } from "../shared/release/model-card.ts";

export interface BaseModel {
  readonly card: ModelCard;
  readonly bytes: Uint8Array;
  readonly ref: { readonly sha256: Sha256; readonly bytes: number };
}

/**
 * A release folder, or a model/ folder alone. Throws CONFIG_INVALID when it is neither or does not hold a whole model,
 * RELEASE_MANIFEST, RELEASE_SIGNATURE, RELEASE_FILE, RELEASE_FORMAT.
 */
export async function readBaseModel(dir: string): Promise<BaseModel> {
  const folder = folderOnDisk(dir);
  const signed = await folder.read(MANIFEST_PATH);
  const manifest = signed === null ? null : readManifest(new NodeCrypto(), signed, null);
  const read = async (path: string): Promise<Uint8Array> => {
    const bytes =
      (await folder.read(path)) ?? (manifest === null ? await folder.read(path.slice("model/".length)) : null);
    if (bytes === null) throw invalid(dir, `${dir} holds no ${path}: name a release folder that has a model/`);
    const entry = manifest?.files.find((file) => file.path === path);
    if (manifest !== null && entry?.sha256 !== hexOf(bytes)) {
      throw new CodedError("RELEASE_FILE", `${path} is not the file that was signed`, { file: path });
    }
    return bytes;
  };
  const card = readModelCard(await read(MODEL_CARD_PATH));
  const whole = card.trainable === "all" && card.personal === undefined && card.own === undefined;
  if (!whole) throw invalid(dir, `${dir} does not hold all weights of a model of the table`);
  const bytes = encodeBase(layoutFromEntries(card.tensors), await read(MODEL_WEIGHTS_PATH));
  return { card, bytes, ref: { sha256: hexOf(bytes), bytes: bytes.length } };
}

/** The bytes that the plan names. Throws CONFIG_INVALID when the release is another by now. */
export async function readBaseBytes(dir: string | undefined, ref: BaseModel["ref"]): Promise<Uint8Array> {
  const base = await readBaseModel(dir ?? "");
  if (base.ref.sha256 === ref.sha256) return base.bytes;
  throw invalid(dir ?? "", `${dir}: the weights have changed since the plan was made`);
}

function hexOf(bytes: Uint8Array): Sha256 {
  return bytesToHex(sha256(bytes)) as Sha256;
}

function invalid(file: string, message: string): CodedError {
  return new CodedError("CONFIG_INVALID", message, { field: "model.init", file });
}
