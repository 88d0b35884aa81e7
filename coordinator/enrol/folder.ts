/**
 * A federation's folder at the coordinator: everything of it, to be copied as a backup while the coordinator is stopped.
 *
 *   federation.yaml      what the operator writes
 *   coordinator.key      signs rounds and releases; clients pinned its public part; mode 0600
 *   admin.token          lets the operator's commands talk to the running coordinator; mode 0600
 *   authority/           see authority.ts; with authority.key only where the authority is embedded
 *   audit.jsonl          every act, hash-chained, signed at every round's end (shared/audit/entry.ts)
 *   transcripts/         every session's (shared/secagg/transcript.ts); evidence/ where it is kept (round/evidence.ts)
 *   data/federation.db   state (SQLite)
 *   data/blobs/          weights and uploads by hash
 *   data/uploads/        uploads in progress
 *   data/endpoint.json   where the running coordinator listens
 *   data/lock            the process that uses the folder
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { CodedError } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { AuditFile } from "../../shared/node/audit-file.ts";
import { readTextIfAny, writeFileDurably } from "../../shared/node/files.ts";
import { readSecretFile } from "../../shared/node/identity.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import { verifyRevocationList, type RevocationList } from "../../shared/secagg/certificate.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import { FileBlobs } from "../store/blobs.ts";
import type { FederationStore } from "../store/port.ts";
import { openPrismaStore } from "../store/prisma.ts";
import { Uploads } from "../store/uploads.ts";
import { Authority, authorityPaths, readAuthorityFile, readRevocations, type AuthorityFile } from "./authority.ts";
import { Enrolment } from "./enrolment.ts";
import { Members } from "./members.ts";

export const federationPaths = (root: string) => ({
  root,
  config: join(root, "federation.yaml"),
  key: join(root, "coordinator.key"),
  admin: join(root, "admin.token"),
  authority: join(root, "authority"),
  audit: join(root, "audit.jsonl"),
  database: join(root, "data", "federation.db"),
  blobs: join(root, "data", "blobs"),
  uploads: join(root, "data", "uploads"),
  endpoint: join(root, "data", "endpoint.json"),
  lock: join(root, "data", "lock"),
});
export type FederationPaths = ReturnType<typeof federationPaths>;

export interface OpenFederation {
  readonly paths: FederationPaths;
  /** Name, id and authority key. */
  readonly identity: AuthorityFile;
  /** The coordinator's signing key. */
  readonly key: SigningKey;
  readonly adminToken: string;
  readonly store: FederationStore;
  readonly blobs: FileBlobs;
  readonly uploads: Uploads;
  readonly members: Members;
  readonly audit: AuditFile;
  readonly enrolment: Enrolment;
  /** null where the authority's key is on another machine. */
  readonly authority: Authority | null;
  /** The newest revocation list; null: nobody was ever revoked. */
  revocations(): Promise<RevocationList | null>;
  close(): Promise<void>;
}

/**
 * Opens keys, database and blobs of a federation's folder. `name` and `mode` are federation.yaml's `federation` and
 * `authority`. Throws KEY_FILE, CONFIG_INVALID, STORE_ codes.
 */
export async function openFederation(
  root: string,
  config: { readonly federation: string; readonly authority: "embedded" | "offline" },
  crypto: CryptoPort,
  rng: SecureRng,
  now: () => number,
): Promise<OpenFederation> {
  const paths = federationPaths(root);
  const identity = await readAuthorityFile(authorityPaths(paths.authority).public);
  if (identity.federation !== config.federation) {
    throw new CodedError(
      "CONFIG_INVALID",
      `federation.yaml: federation: expected "${identity.federation}" (the name its authority signs for), got "${config.federation}"`,
      { field: "federation" },
    );
  }
  const authority = config.authority === "embedded" ? await Authority.open(paths.authority, crypto, rng, now) : null;
  const key = crypto.signingKey(await readSecretFile(paths.key));
  const adminToken = Buffer.from(await readSecretFile(paths.admin)).toString("hex");
  const store = await openPrismaStore(paths.database);
  try {
    const members = await Members.load(store);
    const audit = new AuditFile(paths.audit, now);
    const enrolment = new Enrolment({
      crypto,
      rng,
      store,
      members,
      audit: audit.append,
      federation: identity.federation,
      coordinatorKey: Buffer.from(key.publicKey).toString("hex") as Sha256,
      authorityKey: identity.authorityKey,
      authority,
      now,
    });
    await enrolment.certifyPending();
    const blobs = new FileBlobs(paths.blobs);
    return {
      paths,
      identity,
      key,
      adminToken,
      store,
      blobs,
      uploads: new Uploads(paths.uploads, blobs),
      members,
      audit,
      enrolment,
      authority,
      async revocations() {
        const list = await readRevocations(paths.authority);
        if (list !== null) {
          verifyRevocationList(crypto, identity.federationId, Buffer.from(identity.authorityKey, "hex"), list);
        }
        return list;
      },
      close: () => store.close(),
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

const endpointFile = z.strictObject({ pid: z.int(), url: z.url() });

/** Tells the operator's commands where the coordinator listens (the port may have been chosen by the system). */
export async function writeEndpoint(paths: FederationPaths, url: string): Promise<void> {
  await writeFileDurably(paths.endpoint, `${JSON.stringify({ pid: process.pid, url })}\n`, 0o600);
}

/** The port may be another program's from now on. */
export async function removeEndpoint(paths: FederationPaths): Promise<void> {
  await rm(paths.endpoint, { force: true });
}

/** Where a coordinator listens, or listened when it was killed; null when none does. */
export async function readEndpoint(paths: FederationPaths): Promise<{ pid: number; url: string } | null> {
  const text = await readTextIfAny(paths.endpoint);
  if (text === null) return null;
  try {
    return endpointFile.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
