/** Makes a federation's folder: federation.yaml with comments, the coordinator's keys, and the authority or its public part. */
import { mkdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import { hashOfText } from "../../shared/canonical.ts";
import { AuditFile } from "../../shared/node/audit-file.ts";
import { readTextIfAny, writeFileDurably } from "../../shared/node/files.ts";
import { createSecretFile } from "../../shared/node/identity.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { federationId } from "../../shared/secagg/session.ts";
import { parseFederationConfig, readFederationConfig } from "../config.ts";
import { authorityPaths, createAuthority, readAuthorityFile, type AuthorityFile } from "./authority.ts";
import { federationYaml } from "./federation-yaml.ts";
import { federationPaths, type FederationPaths } from "./folder.ts";

export interface InitOptions {
  /** null: what the offline authority's file says. */
  readonly name: string | null;
  readonly host: string;
  readonly port: number;
  /** authority.json of an offline authority; null: make an embedded one. */
  readonly authorityFile: string | null;
}

/** Throws USAGE when the folder holds a federation already, CONFIG_INVALID for a bad name or authority file. */
export async function initFederation(
  folder: string,
  options: InitOptions,
  crypto: CryptoPort,
  rng: SecureRng,
): Promise<{ paths: FederationPaths; authority: AuthorityFile }> {
  const paths = federationPaths(resolve(folder));
  if ((await readTextIfAny(paths.config)) !== null) {
    throw new CodedError("USAGE", `${paths.config} exists already; nothing was changed`);
  }
  const offline = options.authorityFile === null ? null : await readAuthorityFile(resolve(options.authorityFile));
  const name = options.name ?? offline?.federation ?? "my-federation";
  const yaml = federationYaml({
    name,
    authority: offline === null ? "embedded" : "offline",
    host: options.host,
    port: options.port,
  });
  parseFederationConfig(yaml);
  if (offline !== null) checkAuthorityFile(crypto, offline, name);

  await mkdir(paths.root, { recursive: true, mode: 0o700 });
  await createSecretFile(paths.key, rng);
  await createSecretFile(paths.admin, rng);
  await mkdir(paths.authority, { recursive: true, mode: 0o700 });
  const authority = offline ?? (await createAuthority(paths.authority, name, crypto, rng));
  if (offline !== null) {
    await writeFileDurably(authorityPaths(paths.authority).public, `${JSON.stringify(offline, null, 2)}\n`);
  }
  // Last: a folder with federation.yaml is complete.
  await writeFileDurably(paths.config, yaml);
  const facts = { ...authority, mode: offline === null ? "embedded" : "offline", config: hashOfText(yaml) };
  await new AuditFile(paths.audit).append({ act: "federation made", facts });
  return { paths, authority };
}

/** Public name and key must give the id that the file states, or the file was put together wrongly. */
function checkAuthorityFile(crypto: CryptoPort, file: AuthorityFile, name: string): void {
  if (file.federation !== name) {
    throw new CodedError("CONFIG_INVALID", `--name: expected "${file.federation}" (the authority's), got "${name}"`, {
      field: "federation",
    });
  }
  if (federationId(crypto, file.federation, Buffer.from(file.authorityKey, "hex")) !== file.federationId) {
    throw new CodedError("CONFIG_INVALID", "authority.json: federationId does not follow from name and key", {
      field: "federationId",
    });
  }
}

/** federation.yaml and the folder it lies in; throws CONFIG_INVALID naming the field. */
export async function readFederationYaml(file: string): Promise<{ paths: FederationPaths; config: FederationConfig }> {
  const path = resolve(file);
  const { config } = await readFederationConfig(path);
  return { paths: federationPaths(dirname(path)), config };
}
