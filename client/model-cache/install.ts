/**
 * Takes a release into use at the site: its signature and its params are checked, `model/` is derived here (nothing
 * is downloaded) and must have the signed hash, the site scores it on its own held-out data, and only then is it
 * switched on. The release before stays beside it.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { canonicalJson } from "../../shared/canonical.ts";
import { CodedError } from "../../shared/errors.ts";
import { readTextIfAny, writeFileDurably } from "../../shared/node/files.ts";
import { writeWholeFolder } from "../../shared/node/whole-folder.ts";
import { modelLayout } from "../../shared/params/control.ts";
import { encodeModel } from "../../shared/quantize/model.ts";
import { MANIFEST_PATH, readManifest, type Manifest } from "../../shared/release/manifest.ts";
import { MODEL_WEIGHTS_PATH, modelFiles } from "../../shared/release/model-card.ts";
import { sha256Of } from "../../shared/release/ports.ts";
import type { ModelCache } from "./cache.ts";

const activeFile = z.strictObject({
  format: z.literal(1),
  /** The release in use, and the one in use before it. */
  active: z.int().min(0).nullable(),
  previous: z.int().min(0).nullable(),
  /** The release that this site's own scores spoke against last. */
  rejected: z.int().min(0).nullable(),
});
export type ActiveRelease = z.infer<typeof activeFile>;

/** Whether the site wants this model instead of the one in use; `model` are the quantized params. */
export type Judge = (candidate: { readonly manifest: Manifest; readonly model: Float32Array }) => Promise<boolean>;

export interface InstallOptions {
  readonly cache: ModelCache;
  /** Holds active.json and VERSION/{manifest.json,model/}. */
  readonly folder: string;
  /** The plan says what builds the model; with the layout it makes model/model.json. */
  readonly plan: Parameters<typeof modelFiles>[0];
  /** Bytes of the base that the plan names. */
  readonly base?: Uint8Array | null;
  /** What this site has kept for itself by the end of a round, as a file's bytes; null: nothing yet. */
  readonly personal?: (round: number) => Promise<Uint8Array | null>;
}

export interface Installation {
  readonly manifest: Manifest;
  /** `unchanged`: this version ships no model, or is in use already. `rejected`: the one before stays in use. */
  readonly outcome: "active" | "rejected" | "unchanged";
  readonly state: ActiveRelease;
}

const NOTHING: ActiveRelease = { format: 1, active: null, previous: null, rejected: null };

/** What is in use; nothing when the file is missing or cannot be read. */
export async function activeRelease(folder: string): Promise<ActiveRelease> {
  const text = await readTextIfAny(join(folder, "active.json"));
  if (text === null) return NOTHING;
  try {
    return activeFile.parse(JSON.parse(text));
  } catch {
    return NOTHING;
  }
}

/**
 * Installs the release whose manifest.json has these bytes. Killed at any moment, the release in use before is still
 * in use. Throws RELEASE_MANIFEST, RELEASE_SIGNATURE, RELEASE_CHAIN, RELEASE_MODEL, and what the transport throws.
 */
export async function installRelease(
  options: InstallOptions,
  manifestBytes: Uint8Array,
  judge: Judge | null,
  signal: AbortSignal,
): Promise<Installation> {
  const { cache, folder, plan } = options;
  const { crypto, coordinatorKey, federation, layout } = cache.options;
  const manifest = readManifest(crypto, manifestBytes, coordinatorKey);
  if (manifest.federation !== federation) {
    throw new CodedError("RELEASE_MANIFEST", "the release belongs to another federation", {
      expected: federation,
      got: manifest.federation,
    });
  }
  const state = await activeRelease(folder);
  if (manifest.model === null || state.active === manifest.version) return { manifest, outcome: "unchanged", state };
  const params = await cache.ensure(manifest.version, manifest.paramsHash, signal);
  const { dtype, fallbacks } = manifest.model;
  const part = modelLayout(layout);
  const model = encodeModel(part, params.subarray(0, part.length), dtype, fallbacks);
  const files = modelFiles(plan, part, options.base).set(MODEL_WEIGHTS_PATH, model.bytes);
  for (const [path, bytes] of files) {
    const signed = manifest.files.find((file) => file.path === path);
    if (signed?.sha256 !== sha256Of(crypto, bytes)) {
      throw new CodedError("RELEASE_MODEL", `${path}: the params give other bytes than were signed`, { file: path });
    }
  }
  const wanted = judge === null || (await judge({ manifest, model: model.params }));
  if (!wanted) {
    const kept = { ...state, rejected: manifest.version };
    await writeState(folder, kept);
    return { manifest, outcome: "rejected", state: kept };
  }
  const own = (await options.personal?.(manifest.round)) ?? null;
  // Beside the signed folder: it belongs to this site, not to the release.
  if (own !== null) await writeFileDurably(personalFile(folder, manifest.version), own, 0o600);
  await writeWholeFolder(join(folder, String(manifest.version)), new Map([...files, [MANIFEST_PATH, manifestBytes]]));
  const next: ActiveRelease = { ...state, active: manifest.version, previous: state.active };
  await writeState(folder, next);
  await removeOthers(folder, next);
  return { manifest, outcome: "active", state: next };
}

async function writeState(folder: string, state: ActiveRelease): Promise<void> {
  await writeFileDurably(join(folder, "active.json"), canonicalJson(state));
}

/** Where this site's personal params lie that belong to an installed version. */
export function personalFile(folder: string, version: number): string {
  return join(folder, "personal", `${version}.personal`);
}

/** Keeps the release in use and the one before. */
async function removeOthers(folder: string, state: ActiveRelease): Promise<void> {
  for (const name of await readdir(folder)) {
    const old = /^\d+$/.test(name) && name !== String(state.active) && name !== String(state.previous);
    if (!old) continue;
    await rm(join(folder, name), { recursive: true, force: true });
    await rm(personalFile(folder, Number(name)), { force: true });
  }
}
