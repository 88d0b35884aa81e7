/**
 * The authority that signs memberships, as a folder of its own; it may lie beside the coordinator (embedded) or on
 * another machine (offline, then the coordinator's copy of the folder lacks authority.key).
 *
 *   authority.json     federation and public key
 *   authority.key      ed25519 seed, mode 0600
 *   issued.jsonl       every certificate ever signed, one a line
 *   revocations.json   the newest signed revocation list
 *   audit.jsonl        on a machine of its own: what it signed and revoked (shared/audit/entry.ts)
 */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Act } from "../../shared/audit/entry.ts";
import { canonicalJson } from "../../shared/canonical.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import { CodedError } from "../../shared/errors.ts";
import { sha256Hex, type ClientName, type Sha256 } from "../../shared/ids.ts";
import { AuditFile } from "../../shared/node/audit-file.ts";
import { readTextIfAny, writeFileDurably } from "../../shared/node/files.ts";
import { createSecretFile, readSecretFile } from "../../shared/node/identity.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import {
  certificate as certificateSchema,
  issueCertificate,
  issueRevocationList,
  revocationList,
  type Certificate,
  type RevocationList,
} from "../../shared/secagg/certificate.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import { toBase64 } from "../../shared/secagg/encoding.ts";
import { federationId } from "../../shared/secagg/session.ts";

export const authorityFile = z.strictObject({
  /** The federation's name. */
  federation: z.string().min(1).max(64),
  federationId: sha256Hex,
  /** ed25519 public key, hex. */
  authorityKey: sha256Hex,
});
export type AuthorityFile = z.infer<typeof authorityFile>;

/** Clocks of two machines differ; a certificate is valid from a little before it was signed. */
const CLOCK_SKEW_MS = 5 * 60_000;
const DEFAULT_VALID_MS = 366 * 86_400_000;

export const authorityPaths = (folder: string) => ({
  audit: join(folder, "audit.jsonl"),
  public: join(folder, "authority.json"),
  key: join(folder, "authority.key"),
  issued: join(folder, "issued.jsonl"),
  revocations: join(folder, "revocations.json"),
});

/** Makes the authority's key and folder; throws KEY_FILE when there is one already. */
export async function createAuthority(
  folder: string,
  federation: string,
  crypto: CryptoPort,
  rng: SecureRng,
): Promise<AuthorityFile> {
  const paths = authorityPaths(folder);
  const key = crypto.signingKey(await createSecretFile(paths.key, rng));
  const content = {
    federation,
    federationId: federationId(crypto, federation, key.publicKey) as Sha256,
    authorityKey: Buffer.from(key.publicKey).toString("hex") as Sha256,
  };
  await writeFileDurably(paths.public, `${JSON.stringify(content, null, 2)}\n`);
  return content;
}

/** authority.json of a folder; throws KEY_FILE. */
export async function readAuthorityFile(path: string): Promise<AuthorityFile> {
  const text = await readTextIfAny(path);
  if (text === null) throw new CodedError("KEY_FILE", `${path} is missing`, { file: path });
  return parseConfig(authorityFile, parseJson(text, path), path);
}

export class Authority {
  readonly file: AuthorityFile;
  readonly #folder: string;
  readonly #key: SigningKey;
  readonly #rng: SecureRng;
  readonly #now: () => number;

  private constructor(folder: string, file: AuthorityFile, key: SigningKey, rng: SecureRng, now: () => number) {
    this.#folder = folder;
    this.file = file;
    this.#key = key;
    this.#rng = rng;
    this.#now = now;
  }

  /** Throws KEY_FILE when the folder has no key (an offline authority's key is elsewhere) or a wrong one. */
  static async open(folder: string, crypto: CryptoPort, rng: SecureRng, now: () => number): Promise<Authority> {
    const paths = authorityPaths(folder);
    const file = await readAuthorityFile(paths.public);
    const key = crypto.signingKey(await readSecretFile(paths.key));
    if (Buffer.from(key.publicKey).toString("hex") !== file.authorityKey) {
      throw new CodedError("KEY_FILE", `${paths.key} does not belong to ${paths.public}`, { file: paths.key });
    }
    return new Authority(folder, file, key, rng, now);
  }

  /** Writes down what it did, with a checkpoint of its own key behind. */
  async record(...acts: readonly Act[]): Promise<void> {
    await new AuditFile(authorityPaths(this.#folder).audit, this.#now).sign(this.#key, ...acts);
  }

  /** Canonical JSON of a certificate for a site's key; on the list of those issued before it is given away. */
  async sign(name: ClientName, signingKey: Sha256, validMs = DEFAULT_VALID_MS): Promise<string> {
    const now = this.#now();
    const certificate = issueCertificate(this.#key, {
      federation: this.file.federationId,
      name,
      key: toBase64(Buffer.from(signingKey, "hex")),
      issuedAt: now - CLOCK_SKEW_MS,
      expiresAt: now + validMs,
      serial: Buffer.from(this.#rng.bytes(8)).toString("hex"),
    });
    const line = canonicalJson(certificate);
    const file = await open(authorityPaths(this.#folder).issued, "a", 0o600);
    try {
      // A crash may have cut the last line short: it is ended before the next begins.
      await file.write(`\n${line}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    return line;
  }

  /** Every certificate this authority has signed. A line that a crash cut short was never given away. */
  async issued(): Promise<Certificate[]> {
    const text = (await readTextIfAny(authorityPaths(this.#folder).issued)) ?? "";
    return text.split("\n").flatMap((line) => {
      try {
        return [certificateSchema.parse(JSON.parse(line))];
      } catch {
        return [];
      }
    });
  }

  /** A new revocation list with every certificate of these names on it; throws USAGE for a name never signed. */
  async revoke(names: readonly string[]): Promise<RevocationList> {
    const issued = await this.issued();
    const previous = await readRevocations(this.#folder);
    const serials = new Set(previous?.serials);
    for (const name of names) {
      const own = issued.filter((certificate) => certificate.name === name);
      if (own.length === 0) throw new CodedError("USAGE", `this authority never signed a membership of ${name}`);
      for (const certificate of own) serials.add(certificate.serial);
    }
    const list = issueRevocationList(this.#key, {
      federation: this.file.federationId,
      version: (previous?.version ?? 0) + 1,
      serials: [...serials].toSorted(),
    });
    await writeRevocations(this.#folder, list);
    return list;
  }
}

/** The newest revocation list of a folder; null: nobody was ever revoked. */
export async function readRevocations(folder: string): Promise<RevocationList | null> {
  const path = authorityPaths(folder).revocations;
  const text = await readTextIfAny(path);
  return text === null ? null : parseConfig(revocationList, parseJson(text, path), path);
}

export async function writeRevocations(folder: string, list: RevocationList): Promise<void> {
  await writeFileDurably(authorityPaths(folder).revocations, `${JSON.stringify(list, null, 2)}\n`);
}

export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CodedError("CONFIG_INVALID", `${file} is not JSON`, { file });
  }
}
