/** Reads `model/` of a release for predicting and evaluating: what builds the model, and the params to put into it. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { folderOnDisk } from "../../shared/node/release-folder.ts";
import type { ParamLayout } from "../../shared/params/layout.ts";
import { decodeModel } from "../../shared/quantize/model.ts";
import { layoutFromEntries } from "../../shared/quantize/pack.ts";
import { BASE_PATH, type BaseParams, decodeBase } from "../../shared/release/base.ts";
import { MANIFEST_PATH, readManifest, type Manifest } from "../../shared/release/manifest.ts";
import {
  MODEL_CARD_PATH,
  MODEL_WEIGHTS_PATH,
  OWN_MODEL_PATH,
  readModelCard,
  readOwnModelFile,
} from "../../shared/release/model-card.ts";
import { sha256Of } from "../../shared/release/ports.ts";
import { personalFile } from "./install.ts";
import { decodePersonal } from "./personal.ts";

export interface LoadedModel {
  /** With `seed`, what `openModel` takes. */
  readonly config: Pick<FederationConfig, "model" | "labels" | "input" | "training">;
  readonly seed: number;
  /** What params begin with that are neither federated nor given by the seed. */
  readonly base: BaseParams | null;
  /** A site's own; null: none is at hand, and the model begins with initial values there. */
  readonly personal: BaseParams | null;
  /** Must equal the built model's layout. */
  readonly layout: ParamLayout;
  /** The dequantized params. */
  readonly params: Float32Array;
  /** What builds the model: the files of model/ beside its weights, by path. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Null when the folder is a bare model/ without the release around it: then nothing was checked by hash. */
  readonly manifest: Manifest | null;
}

/**
 * Loads a release folder, or a model/ folder alone; `personal`: a file of a site's personal params, by default the one
 * that a site's installation has beside the release. Throws USAGE when it is neither, RELEASE_MANIFEST,
 * RELEASE_SIGNATURE, RELEASE_FILE, RELEASE_FORMAT.
 */
export async function loadRelease(dir: string, personal?: string): Promise<LoadedModel> {
  const crypto = new NodeCrypto();
  const folder = folderOnDisk(dir);
  const manifestBytes = await folder.read(MANIFEST_PATH);
  const manifest = manifestBytes === null ? null : readManifest(crypto, manifestBytes, null);
  const bare = manifest === null && (await folder.read(MODEL_CARD_PATH)) === null;
  const read = async (path: string): Promise<Uint8Array> => {
    const bytes = await folder.read(bare ? path.slice("model/".length) : path);
    if (bytes === null) {
      throw new CodedError("USAGE", `${dir} holds no ${path}: give a release folder that has a model/`, { dir, path });
    }
    const signed = manifest?.files.find((file) => file.path === path);
    if (manifest !== null && signed?.sha256 !== sha256Of(crypto, bytes)) {
      throw new CodedError("RELEASE_FILE", `${path} is not the file that was signed`, { file: path });
    }
    return bytes;
  };
  const files = new Map([[MODEL_CARD_PATH, await read(MODEL_CARD_PATH)]]);
  const card = readModelCard(files.get(MODEL_CARD_PATH) as Uint8Array);
  const layout = layoutFromEntries(card.tensors);
  const params = decodeModel(layout, await read(MODEL_WEIGHTS_PATH));
  if (card.own !== undefined) files.set(OWN_MODEL_PATH, await read(OWN_MODEL_PATH));
  const ownFile = files.get(OWN_MODEL_PATH);
  const own = ownFile === undefined ? {} : { own: readOwnModelFile(ownFile) };
  const start = card.start === undefined ? {} : { weights: card.start };
  const { builder: name, preset, backbone, fusion } = card;
  const parts = { ...(backbone !== undefined && { backbone }), ...(fusion !== undefined && { fusion }) };
  const model = { name, preset, ...parts, ...own, ...start };
  const { trainable, adapters } = card;
  const training = federationConfig.shape.training.parse({ trainable, adapters, personal: card.personal });
  const config = { model, labels: card.labels, input: card.input, training };
  if (card.base !== undefined) files.set(BASE_PATH, await read(BASE_PATH));
  const base = card.base === undefined ? null : baseOf(files.get(BASE_PATH) as Uint8Array, card.base, crypto);
  const kept = card.personal === undefined ? null : await readPersonal(dir, manifest, personal);
  return { config, seed: card.seed, base, personal: kept, layout, params, files, manifest };
}

/** Throws RELEASE_FILE. */
function baseOf(bytes: Uint8Array, sha256: string, crypto: NodeCrypto): BaseParams {
  if (sha256Of(crypto, bytes) === sha256) return decodeBase(bytes);
  throw new CodedError("RELEASE_FILE", `${BASE_PATH} is not what ${MODEL_CARD_PATH} names`, { file: BASE_PATH });
}

/** Throws USAGE when the file that was named cannot be read, RELEASE_FORMAT. */
async function readPersonal(dir: string, manifest: Manifest | null, given?: string): Promise<BaseParams | null> {
  const path = given ?? (manifest === null ? null : personalFile(dirname(resolve(dir)), manifest.version));
  if (path === null) return null;
  const bytes = await readFile(path).catch(() => null);
  if (bytes !== null) return decodePersonal(bytes);
  if (given === undefined) return null;
  throw new CodedError("USAGE", `--personal: cannot read ${given}`, { file: given });
}
