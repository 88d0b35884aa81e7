/**
 * Joining a federation: the site makes its key itself, proves that it holds it, and pins the coordinator's and the
 * authority's keys of the invitation. Every step can be repeated: a join that was interrupted is simply run again.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Act } from "../../shared/audit/entry.ts";
import { CodedError } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { AuditFile } from "../../shared/node/audit-file.ts";
import { readTextIfAny } from "../../shared/node/files.ts";
import { createSecretFile, readSecretFile } from "../../shared/node/identity.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import { verifyCertificate, type Certificate } from "../../shared/secagg/certificate.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import { federationId } from "../../shared/secagg/session.ts";
import { decodeInvitation, joinBytes, type Invitation } from "../../shared/wire/invitation.ts";
import { joinAnswer, PROTOCOL_VERSION } from "../../shared/wire/messages.ts";
import { recordAlone } from "../outbox/outbox.ts";
import { readIdentity, sitePaths, writeIdentity, type SiteIdentity, type SitePaths } from "../site-folder.ts";
import { call, MAX_ANSWER_BYTES, readBody, type Call } from "../transport/http.ts";
import { openRoute, type RouteOptions } from "../transport/route.ts";
import { siteYaml } from "./site-yaml.ts";

const PATIENCE_MS = 30_000;

export interface JoinOptions extends RouteOptions {
  /** The dataset's folder as it goes into site.yaml. */
  readonly data?: string;
}

/**
 * Joins with an invitation and fills the site folder. Throws TOKEN_ codes, AUTH_REFUSED (not the coordinator that was
 * promised), COORDINATOR_UNREACHABLE, KEY_FILE, and USAGE when the folder belongs to another membership already.
 */
export async function joinFederation(
  token: string,
  folder: string,
  crypto: CryptoPort,
  rng: SecureRng,
  options: JoinOptions = {},
): Promise<SiteIdentity> {
  const invitation = decodeInvitation(token);
  const paths = sitePaths(resolve(folder));
  await mkdir(paths.root, { recursive: true, mode: 0o700 });
  const authorityKey = Buffer.from(invitation.authorityKey, "hex");
  const id = federationId(crypto, invitation.federation, authorityKey) as Sha256;
  await refuseOtherMembership(paths, invitation, id);

  const seed =
    (await readTextIfAny(paths.signingKey)) === null
      ? await createSecretFile(paths.signingKey, rng)
      : await readSecretFile(paths.signingKey);
  const key = crypto.signingKey(seed);
  const signingKey = Buffer.from(key.publicKey).toString("hex") as Sha256;
  const body = JSON.stringify({
    protocol: PROTOCOL_VERSION,
    token: invitation.secret,
    name: invitation.client,
    signingKey,
    proof: Buffer.from(key.sign(joinBytes(invitation.secret, invitation.client, signingKey))).toString("hex"),
  });
  await recordAlone(paths.outbox, "join", Buffer.from(body));
  const answer = await ask(new URL(invitation.url), options, {
    method: "POST",
    path: "/v1/join",
    headers: { "content-type": "application/json" },
    body,
  });
  if (answer.coordinatorKey !== invitation.coordinatorKey || answer.authorityKey !== invitation.authorityKey) {
    throw new CodedError("AUTH_REFUSED", "this coordinator has other keys than the invitation names");
  }
  const identity: SiteIdentity = {
    name: invitation.client,
    federation: invitation.federation,
    federationId: id,
    coordinatorKey: invitation.coordinatorKey,
    authorityKey: invitation.authorityKey,
    certificate: null,
  };
  const complete = { ...identity, certificate: checked(crypto, identity, key, answer.certificate) };
  if ((await readTextIfAny(paths.config)) === null) {
    await writeFile(paths.config, siteYaml(invitation.url, options.data ?? "./data"), { mode: 0o600 });
  }
  await writeIdentity(paths, complete);
  const { name: client, federationId: federation, coordinatorKey } = identity;
  const facts = { client, federation, coordinatorKey, authorityKey: identity.authorityKey, key: signingKey };
  await new AuditFile(paths.audit).append({ act: "site joined", facts }, ...certified(complete.certificate));
  return complete;
}

/** That there is a certificate now. */
function certified(certificate: Certificate | null): Act[] {
  if (certificate === null) return [];
  const { serial, expiresAt } = certificate;
  return [{ act: "certificate received", facts: { serial, expiresAt } }];
}

/**
 * Asks for the certificate that an offline authority has signed meanwhile, or a newer one, and keeps it. Resolves to the
 * identity as it stands now; `certificate` is still null while the authority has not signed.
 */
export async function collectCertificate(
  folder: string,
  url: string,
  crypto: CryptoPort,
  options: RouteOptions = {},
): Promise<SiteIdentity> {
  const paths = sitePaths(resolve(folder));
  const identity = await readIdentity(paths);
  const key = crypto.signingKey(await readSecretFile(paths.signingKey));
  const path = `/v1/join/${identity.name}?key=${Buffer.from(key.publicKey).toString("hex")}`;
  await recordAlone(paths.outbox, "certificate request", Buffer.from(path));
  const answer = await ask(new URL(url), options, { method: "GET", path });
  const certificate = checked(crypto, identity, key, answer.certificate);
  if (certificate === null || certificate.serial === identity.certificate?.serial) return identity;
  const complete = { ...identity, certificate };
  await writeIdentity(paths, complete);
  await new AuditFile(paths.audit).append(...certified(certificate));
  return complete;
}

async function refuseOtherMembership(paths: SitePaths, invitation: Invitation, id: Sha256): Promise<void> {
  if ((await readTextIfAny(paths.identity)) === null) return;
  const held = await readIdentity(paths);
  if (held.federationId === id && held.name === invitation.client) return;
  throw new CodedError("USAGE", `${paths.root} is ${held.name} of ${held.federation} already; use another folder`);
}

async function ask(base: URL, options: RouteOptions, what: Call): Promise<ReturnType<typeof joinAnswer.parse>> {
  const route = openRoute(base, options);
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    const body = await readBody(await call(base, route.dispatcher, what, signal), MAX_ANSWER_BYTES, signal);
    const parsed = joinAnswer.safeParse(JSON.parse(Buffer.from(body).toString("utf8")));
    if (!parsed.success)
      throw new CodedError("WIRE_INVALID", `the coordinator's answer: ${parsed.error.issues[0]?.message}`);
    return parsed.data;
  } catch (error) {
    if (signal.aborted) throw new CodedError("COORDINATOR_UNREACHABLE", `no answer within ${PATIENCE_MS} ms`);
    if (error instanceof SyntaxError) throw new CodedError("WIRE_INVALID", "the coordinator's answer is not JSON");
    throw error;
  } finally {
    await route.dispatcher.destroy();
    route.agent?.destroy();
  }
}

/** The certificate, if it is one of this site's own key, signed by the pinned authority. */
function checked(
  crypto: CryptoPort,
  identity: SiteIdentity,
  key: SigningKey,
  certificate: Certificate | null,
): Certificate | null {
  if (certificate === null) return null;
  const trust = {
    federation: identity.federationId,
    authorityKey: Buffer.from(identity.authorityKey, "hex"),
    revoked: new Set<string>(),
  };
  const certified = verifyCertificate(crypto, trust, certificate, Date.now());
  if (certificate.name !== identity.name || Buffer.compare(certified, key.publicKey) !== 0) {
    throw new CodedError("CERTIFICATE_INVALID", "the coordinator sent another client's certificate");
  }
  return certificate;
}
