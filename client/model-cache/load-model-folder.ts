/** Reads `model/` of a release for predicting and evaluating: what builds the model, and the params to put into it. */
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { folderOnDisk } from "../../shared/node/release-folder.ts";
import type { ParamLayout } from "../../shared/params/layout.ts";
import { decodeModel } from "../../shared/quantize/model.ts";
import { layoutFromEntries } from "../../shared/quantize/pack.ts";
import { MANIFEST_PATH, readManifest, type Manifest } from "../../shared/release/manifest.ts";
import {
  MODEL_CARD_PATH,
  MODEL_WEIGHTS_PATH,
  OWN_MODEL_PATH,
  readModelCard,
  readOwnModelFile,
} from "../../shared/release/model-card.ts";
import { sha256Of } from "../../shared/release/ports.ts";

export interface LoadedModel {
  /** With `seed`, what `openModel` takes. */
  readonly config: Pick<FederationConfig, "model" | "labels" | "input" | "training">;
  readonly seed: number;
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
 * Loads a release folder, or a model/ folder alone. Throws USAGE when it is neither, RELEASE_MANIFEST,
 * RELEASE_SIGNATURE, RELEASE_FILE, RELEASE_FORMAT.
 */
export async function loadRelease(dir: string): Promise<LoadedModel> {
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
  const model = { name: card.builder, preset: card.preset, init: "random", ...own } as const;
  const training = federationConfig.shape.training.parse({ trainable: card.trainable });
  const config = { model, labels: card.labels, input: card.input, training };
  return { config, seed: card.seed, layout, params, files, manifest };
}
