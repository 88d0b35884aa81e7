/**
 * A site's folder, the same on every machine:
 *
 *   site.yaml          what people write: coordinator, data, labels, policy
 *   signing.key        this site's ed25519 seed (shared/node/identity.ts), mode 0600; made here, never sent
 *   identity.json      who this site is and whom it trusts, pinned when it joined; mode 0600
 *   state/             what the client keeps
 *     plan.json          the training plan last received
 *     approvals.jsonl    who approved which plan, and when
 *     rounds.jsonl       attempts taken part in and survivor lists revealed for (client/secagg/round-log.ts)
 *     privacy.jsonl      what was spent of this site's privacy (client/policy/privacy-ledger.ts)
 *     revocations.json   the newest list of revoked members seen
 *     outbox.jsonl       everything that ever left this site
 *     audit.jsonl        every act of this site, hash-chained and signed (shared/audit/entry.ts)
 *     transcripts/       what it signed and saw of every session (shared/transcript/copy.ts)
 *     scores.jsonl       scores of every version on this site's own held-out data; they never leave
 *     models/            params of the versions held (client/model-cache/store.ts)
 *     personal/          what this site keeps for itself of the model, by round; never sent (client/model-cache/personal.ts)
 *     releases/          models in use: active.json and VERSION/ (client/model-cache/install.ts)
 *     checkpoints/       training under way, to go on after a restart
 *     lock               the process that uses the folder
 */
import { join } from "node:path";
import { parse as parseYaml, YAMLParseError } from "yaml";
import { z } from "zod";
import { parseConfig } from "../shared/config/parse.ts";
import { siteConfig, type SiteConfig } from "../shared/config/site.ts";
import { CodedError } from "../shared/errors.ts";
import { clientName, sha256Hex } from "../shared/ids.ts";
import { readTextIfAny, writeFileDurably } from "../shared/node/files.ts";
import { certificate, revocationList, type RevocationList } from "../shared/secagg/certificate.ts";

export interface SitePaths {
  readonly root: string;
  readonly config: string;
  readonly signingKey: string;
  readonly state: string;
  readonly identity: string;
  readonly plan: string;
  readonly approvals: string;
  readonly rounds: string;
  readonly privacy: string;
  readonly revocations: string;
  readonly outbox: string;
  readonly audit: string;
  readonly transcripts: string;
  readonly scores: string;
  readonly models: string;
  readonly personal: string;
  readonly releases: string;
  readonly checkpoints: string;
  readonly lock: string;
}

/** Where everything of the site folder `root` lies. */
export function sitePaths(root: string): SitePaths {
  const state = join(root, "state");
  return {
    root,
    config: join(root, "site.yaml"),
    signingKey: join(root, "signing.key"),
    identity: join(root, "identity.json"),
    state,
    plan: join(state, "plan.json"),
    approvals: join(state, "approvals.jsonl"),
    rounds: join(state, "rounds.jsonl"),
    privacy: join(state, "privacy.jsonl"),
    revocations: join(state, "revocations.json"),
    outbox: join(state, "outbox.jsonl"),
    audit: join(state, "audit.jsonl"),
    transcripts: join(state, "transcripts"),
    scores: join(state, "scores.jsonl"),
    models: join(state, "models"),
    personal: join(state, "personal"),
    releases: join(state, "releases"),
    checkpoints: join(state, "checkpoints"),
    lock: join(state, "lock"),
  };
}

const siteIdentity = z.strictObject({
  name: clientName,
  /** The federation's name as the operator wrote it. */
  federation: z.string().min(1).max(64),
  /** Federation id (name and authority key hashed). */
  federationId: sha256Hex,
  /** Pinned ed25519 public keys, hex. */
  coordinatorKey: sha256Hex,
  authorityKey: sha256Hex,
  /** null until the offline authority has signed. */
  certificate: certificate.nullable(),
});
export type SiteIdentity = z.infer<typeof siteIdentity>;

/** site.yaml; throws SITE_INCOMPLETE when there is none, CONFIG_INVALID naming the field. */
export async function readSiteConfig(paths: SitePaths): Promise<SiteConfig> {
  const text = await readTextIfAny(paths.config);
  if (text === null) throw new CodedError("SITE_INCOMPLETE", `no ${paths.config}`, { file: paths.config });
  let value: unknown;
  try {
    value = parseYaml(text);
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw new CodedError("CONFIG_INVALID", `site.yaml: ${error.message}`, { file: paths.config });
  }
  return parseConfig(siteConfig, value, "site.yaml");
}

/** Throws SITE_INCOMPLETE when the site has not joined, CONFIG_INVALID when identity.json was damaged. */
export async function readIdentity(paths: SitePaths): Promise<SiteIdentity> {
  const text = await readTextIfAny(paths.identity);
  if (text === null) throw new CodedError("SITE_INCOMPLETE", `no ${paths.identity}`, { file: paths.identity });
  return parseConfig(siteIdentity, jsonOr(text, paths.identity), "identity.json");
}

/** Writes identity.json, for its owner alone. */
export async function writeIdentity(paths: SitePaths, identity: SiteIdentity): Promise<void> {
  await writeFileDurably(paths.identity, `${JSON.stringify(identity, null, 2)}\n`, 0o600);
}

/** The newest list of revoked members seen, or null; throws CONFIG_INVALID when the file was damaged. */
export async function readRevocations(paths: SitePaths): Promise<RevocationList | null> {
  const text = await readTextIfAny(paths.revocations);
  return text === null ? null : parseConfig(revocationList, jsonOr(text, paths.revocations), "revocations.json");
}

function jsonOr(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CodedError("CONFIG_INVALID", `${file} is not JSON`, { file });
  }
}
