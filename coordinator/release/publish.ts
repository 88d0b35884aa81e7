/**
 * Turns a committed version into a release: `update/` always, `model/` every `release.every` versions, a manifest
 * with scores and drops, all signed. Runs after the commit, so its failure cannot lose a round. Publishing a version
 * again gives the same release.
 */
import { join } from "node:path";
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { pruneReleases } from "../../shared/node/release-folder.ts";
import { writeWholeFolder } from "../../shared/node/whole-folder.ts";
import { modelLayout } from "../../shared/params/control.ts";
import { dtypesOf } from "../../shared/quantize/dtype.ts";
import { encodeModel } from "../../shared/quantize/model.ts";
import { layoutHashOf, packBytes } from "../../shared/quantize/pack.ts";
import {
  KEYFRAME_PATH,
  MANIFEST_PATH,
  readManifest,
  signManifest,
  UPDATE_PATH,
  type Manifest,
  type ReleaseCounts,
} from "../../shared/release/manifest.ts";
import { BASE_PATH } from "../../shared/release/base.ts";
import { MODEL_CARD_PATH, MODEL_WEIGHTS_PATH, modelFiles, OWN_MODEL_PATH } from "../../shared/release/model-card.ts";
import { sha256Of } from "../../shared/release/ports.ts";
import type { Metrics } from "../../shared/release/scores.ts";
import type { ReleaseChain } from "./chain.ts";
import { settleFallbacks } from "./settle.ts";

export interface PublishContext {
  readonly chain: ReleaseChain;
  /** The federation's name. */
  readonly name: string;
  readonly config: Pick<FederationConfig, "seed" | "model" | "labels" | "input" | "training" | "release">;
  /** Where releases/VERSION/ are written; null: nowhere, clients derive what they need. */
  readonly folder: string | null;
  /** Bytes of the base that the plan names. */
  readonly base?: Uint8Array | null;
}

export interface PublishInput {
  readonly version: number;
  readonly round: number;
  readonly counts: ReleaseCounts;
  /** Scores of R and of `model/` with the link's fallbacks, on the evaluation data; null: unevaluated. */
  readonly evaluation: { readonly reference: Metrics; readonly quantized: Metrics } | null;
  /** Overrides `release.every`: the last version of a federation has a model. */
  readonly withModel?: boolean;
  /** Scores params again after fallbacks were added, where there is data at hand. */
  readonly measure?: (params: Float32Array) => Promise<Metrics>;
}

export interface Release {
  readonly manifest: Manifest;
  /** Exact bytes of manifest.json, and their hash. */
  readonly bytes: Uint8Array;
  readonly hash: Sha256;
  /** releases/VERSION, when it was written. */
  readonly folder: string | null;
}

/** Version 0 is released with the first round's: offline checks begin at its keyframe. */
const BEGINNING: PublishInput = {
  version: 0,
  round: 0,
  counts: { cohort: 0, survivors: 0, evaluated: 0, examples: 0 },
  evaluation: null,
};

/** Throws RELEASE_CHAIN for a version that is not committed, STORE_FULL. */
export async function publish(context: PublishContext, input: PublishInput): Promise<Release> {
  const { chain, config } = context;
  if (input.version > 0 && chain.oldest === 0 && chain.manifest(0) === null) await publish(context, BEGINNING);
  const { crypto, key, layout, federation } = chain.options;
  const version = await chain.version(input.version);
  const known = chain.manifest(input.version);
  if (known !== null) {
    const manifest = readManifest(crypto, known, key.publicKey);
    // The folder is whole once the manifest is recorded: it was written before.
    return { manifest, bytes: known, hash: sha256Of(crypto, known), folder: folderOf(context, input.version) };
  }
  const withModel = input.withModel ?? (input.version > 0 && input.version % config.release.every === 0);
  // What a strategy keeps behind the params is no part of the model.
  const part = modelLayout(layout);
  const params = version.params.subarray(0, part.length);
  const scored = {
    layout: part,
    params,
    dtype: config.release.dtype,
    fallbacks: version.link.fallbacks,
    maxDrop: config.release.maxDrop,
    evaluation: input.evaluation,
  };
  const choice = await settleFallbacks(scored, withModel ? input.measure : undefined);
  const files = new Map<string, Uint8Array>();
  if (withModel) {
    for (const [path, bytes] of modelFiles(config, part, context.base)) files.set(path, bytes);
    files.set(MODEL_WEIGHTS_PATH, encodeModel(part, params, config.release.dtype, choice.fallbacks).bytes);
  }
  const { update, keyframe } = version.link;
  const blobs = chain.options.blobs;
  if (update !== null) files.set(UPDATE_PATH, await blobs.get(update.sha256));
  if (keyframe !== null) files.set(KEYFRAME_PATH, await blobs.get(keyframe.sha256));
  const sizeOf = (path: string) => files.get(path)?.length ?? 0;
  const listed = Array.from(files, ([path, bytes]) => ({ path, sha256: sha256Of(crypto, bytes), bytes: bytes.length }));
  const { manifest, bytes } = signManifest(key, {
    format: 1,
    federation,
    name: context.name,
    version: version.version,
    round: input.round,
    parentHash: version.link.parentHash,
    paramsHash: version.link.paramsHash,
    params: layout.length,
    layoutHash: layoutHashOf(layout),
    configHash: version.link.configHash,
    counts: input.counts,
    metrics: mutable(input.evaluation?.reference ?? {}),
    evaluation: choice.evaluation,
    drops: choice.drops,
    model: withModel
      ? {
          builder: config.model.name,
          preset: config.model.preset,
          dtype: config.release.dtype,
          fallbacks: choice.fallbacks,
          sizeBytes: sizeOf(MODEL_CARD_PATH) + sizeOf(MODEL_WEIGHTS_PATH),
          fp32SizeBytes: sizeOf(MODEL_CARD_PATH) + packBytes("model", part, dtypesOf(part, "fp32")),
          ...(files.has(BASE_PATH) && { baseBytes: sizeOf(BASE_PATH) }),
          ...(files.has(OWN_MODEL_PATH) && { topologyBytes: sizeOf(OWN_MODEL_PATH) }),
        }
      : null,
    updateBytes: sizeOf(UPDATE_PATH),
    files: listed.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
  });
  const folder = folderOf(context, input.version);
  if (folder !== null) await writeWholeFolder(folder, new Map([...files, [MANIFEST_PATH, bytes]]));
  await chain.release(input.version, bytes);
  if (context.folder !== null) await prune(context.folder, chain);
  return { manifest, bytes, hash: sha256Of(crypto, bytes), folder };
}

/** Keeps the newest keyframe's release, every one after it, and the newest with a `model/`. */
async function prune(folder: string, chain: ReleaseChain): Promise<void> {
  const { crypto, key } = chain.options;
  let withModel = chain.newest?.version ?? -1;
  for (; withModel >= 0; withModel--) {
    const manifest = chain.manifest(withModel);
    if (manifest !== null && readManifest(crypto, manifest, key.publicKey).model !== null) break;
  }
  await pruneReleases(folder, (version) => version >= chain.oldest || version === withModel);
}

function folderOf(context: PublishContext, version: number): string | null {
  return context.folder === null ? null : join(context.folder, String(version));
}

function mutable(metrics: Metrics): Manifest["metrics"] {
  return Object.fromEntries(Object.entries(metrics).map(([head, values]) => [head, { ...values }]));
}
