/**
 * Checks a release offline: the signature, every file's hash, that the update leads to the signed params, and that
 * `model/` is what those params give. Needs nothing but the folder, and its neighbours down to a keyframe.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { CodedError } from "../errors.ts";
import { withControl } from "../params/control.ts";
import { canonicalBytes, type ParamLayout } from "../params/layout.ts";
import { decodeKeyframe } from "../quantize/keyframe.ts";
import { decodeModel, encodeModel } from "../quantize/model.ts";
import { layoutFromEntries, layoutHashOf, maxPackBytes } from "../quantize/pack.ts";
import { applyUpdate } from "../quantize/update.ts";
import { KEYFRAME_PATH, MANIFEST_PATH, readManifest, UPDATE_PATH, type Manifest } from "./manifest.ts";
import { MODEL_CARD_PATH, MODEL_WEIGHTS_PATH, readModelCard } from "./model-card.ts";
import { sha256Of, type Compression, type ReleaseCrypto } from "./ports.ts";

/** A release folder, wherever it lies. */
export interface ReleaseFolder {
  /** The file's bytes; null when there is none. */
  read(path: string): Promise<Uint8Array | null>;
  /** Paths of all files below the folder, with forward slashes. */
  list(): Promise<string[]>;
}

export interface VerifyContext {
  readonly crypto: ReleaseCrypto;
  readonly compression: Compression;
  /** The coordinator's key when the person knows it; null accepts the key that the manifest names. */
  readonly trustedKey: Uint8Array | null;
  /** The folder of another version of the same federation, where there is one. */
  readonly neighbour: (version: number) => Promise<ReleaseFolder | null>;
}

export interface Verified {
  readonly manifest: Manifest;
  readonly files: number;
  /** Whether R was rebuilt from keyframe and updates, and its hash compared. */
  readonly params: "rebuilt" | "no-keyframe-nearby";
  /** derived: byte for byte what R gives. */
  readonly model: "derived" | "hash-only" | "none";
  /** Folders of the release that are not here at all, e.g. update/ at a site that keeps model/ alone. */
  readonly absent: readonly string[];
}

/** Throws RELEASE_MANIFEST, RELEASE_SIGNATURE, RELEASE_FILE, RELEASE_FORMAT, RELEASE_PARAMS, RELEASE_MODEL. */
export async function verifyRelease(context: VerifyContext, folder: ReleaseFolder): Promise<Verified> {
  const manifest = await manifestOf(context, folder);
  const files = await checkedFiles(context, folder, manifest);
  const present = new Set(Array.from(files.keys(), topFolder));
  const listed = new Set(manifest.files.map(({ path }) => topFolder(path)));
  const rebuilt = await rebuild(context, manifest, files);
  const weights = files.get(MODEL_WEIGHTS_PATH);
  const card = files.get(MODEL_CARD_PATH);
  if (manifest.model !== null && weights !== undefined && card !== undefined) {
    const layout = layoutFromEntries(readModelCard(card).tensors);
    const hashes: string[] = [layoutHashOf(layout), layoutHashOf(withControl(layout))];
    if (!hashes.includes(manifest.layoutHash)) refuseModel("model/model.json names other tensors than the release");
    decodeModel(layout, weights);
    if (rebuilt !== null) {
      const { dtype, fallbacks } = manifest.model;
      const derived = encodeModel(layout, rebuilt.params.subarray(0, layout.length), dtype, fallbacks).bytes;
      if (sha256Of(context.crypto, derived) !== sha256Of(context.crypto, weights)) {
        refuseModel("model/weights.bin is not the quantized form of this version's params");
      }
    }
  }
  return {
    manifest,
    files: files.size,
    params: rebuilt === null ? "no-keyframe-nearby" : "rebuilt",
    model: weights === undefined ? "none" : rebuilt === null ? "hash-only" : "derived",
    absent: [...listed].filter((name) => !present.has(name)),
  };
}

async function manifestOf(context: VerifyContext, folder: ReleaseFolder): Promise<Manifest> {
  const bytes = await folder.read(MANIFEST_PATH);
  if (bytes === null) throw new CodedError("RELEASE_MANIFEST", "there is no manifest.json in this folder");
  return readManifest(context.crypto, bytes, context.trustedKey);
}

/** The release's files, each with its hash checked. Whole folders may be absent, single files may not. */
async function checkedFiles(
  context: VerifyContext,
  folder: ReleaseFolder,
  manifest: Manifest,
): Promise<Map<string, Uint8Array>> {
  const known = new Map(manifest.files.map((file) => [file.path, file]));
  const present = (await folder.list()).filter((path) => path !== MANIFEST_PATH);
  const tops = new Set(present.map(topFolder));
  for (const path of present) if (!known.has(path)) refuseFile(path, "does not belong to the release");
  const files = new Map<string, Uint8Array>();
  for (const file of manifest.files) {
    if (!tops.has(topFolder(file.path))) continue;
    const bytes = await folder.read(file.path);
    if (bytes === null) refuseFile(file.path, "is missing");
    if (bytes.length !== file.bytes || sha256Of(context.crypto, bytes) !== file.sha256)
      refuseFile(file.path, "was altered");
    files.set(file.path, bytes);
  }
  return files;
}

interface Rebuilt {
  readonly layout: ParamLayout;
  readonly params: Float32Array;
}

/** R of the release, by its own keyframe or by its update on the parent's R; null when no keyframe is within reach. */
async function rebuild(
  context: VerifyContext,
  manifest: Manifest,
  files: ReadonlyMap<string, Uint8Array>,
): Promise<Rebuilt | null> {
  // Back to the nearest keyframe first, then forward: versions may be many, and R is large.
  const steps: { manifest: Manifest; update: Uint8Array }[] = [];
  let at = manifest;
  let own = files;
  for (;;) {
    const keyframe = own.get(KEYFRAME_PATH);
    if (keyframe !== undefined) return forward(context, at, keyframe, steps, manifest.layoutHash);
    const update = own.get(UPDATE_PATH);
    const folder = update === undefined || at.version === 0 ? null : await context.neighbour(at.version - 1);
    if (folder === null || update === undefined) return null;
    steps.unshift({ manifest: at, update });
    const before = await manifestOf({ ...context, trustedKey: hexToBytes(manifest.signedBy) }, folder);
    const follows = before.version === at.version - 1 && before.paramsHash === at.parentHash;
    if (!follows || before.federation !== manifest.federation) {
      throw new CodedError("RELEASE_CHAIN", `version ${at.version} does not follow from the release beside it`, {
        version: at.version,
      });
    }
    at = before;
    own = await checkedFiles(context, folder, before);
  }
}

async function forward(
  context: VerifyContext,
  first: Manifest,
  keyframe: Uint8Array,
  steps: readonly { manifest: Manifest; update: Uint8Array }[],
  layoutHash: string,
): Promise<Rebuilt> {
  const limit = maxPackBytes(first.params);
  const { layout, params } = decodeKeyframe(await context.compression.decompress(keyframe, limit));
  if (layoutHashOf(layout) !== layoutHash) refuseParams(first.version);
  checkParams(context, first, params);
  for (const { manifest, update } of steps) {
    applyUpdate(layout, params, await context.compression.decompress(update, limit), params);
    checkParams(context, manifest, params);
  }
  return { layout, params };
}

function checkParams(context: VerifyContext, manifest: Manifest, params: Float32Array): void {
  const hash = sha256Of(context.crypto, canonicalBytes(params));
  if (hash !== manifest.paramsHash || params.length !== manifest.params) refuseParams(manifest.version);
}

function topFolder(path: string): string {
  return path.slice(0, path.indexOf("/") + 1) || path;
}

function refuseFile(file: string, what: string): never {
  throw new CodedError("RELEASE_FILE", `${file} ${what}`, { file });
}

function refuseModel(what: string): never {
  throw new CodedError("RELEASE_MODEL", what);
}

function refuseParams(version: number): never {
  throw new CodedError("RELEASE_PARAMS", `the files of version ${version} do not lead to its signed params`, {
    version,
  });
}
