/**
 * What an operator can do about members, the same whether asked of the running coordinator (`/v1/admin`) or done on a
 * stopped federation's folder.
 */
import { z } from "zod";
import { canonicalJson } from "../../shared/canonical.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import { duration } from "../../shared/config/units.ts";
import { CodedError } from "../../shared/errors.ts";
import { clientName, sha256Hex } from "../../shared/ids.ts";
import {
  certificate as certificateSchema,
  revocationList,
  verifyCertificate,
  verifyRevocationList,
} from "../../shared/secagg/certificate.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { authorityFile, readRevocations, writeRevocations } from "./authority.ts";
import { certificateOf, lacksSignature } from "./enrolment.ts";
import type { OpenFederation } from "./folder.ts";

/** What the operator carries to an offline authority. */
export const requestsFile = authorityFile.extend({
  requests: z.array(z.strictObject({ name: clientName, signingKey: sha256Hex })).max(10_000),
});
/** What the operator carries back. */
export const answersFile = z.strictObject({
  certificates: z.array(certificateSchema).max(10_000),
  revocations: revocationList.nullable(),
});

const inviteInput = z.strictObject({
  name: z.string(),
  url: z.url({ protocol: /^https?$/, error: "expected an address such as https://fl.example.org:7443" }),
  valid: duration.prefault("7d"),
  replace: z.boolean().default(false),
});
const namesInput = z.strictObject({ names: z.array(z.string()).min(1).max(10_000) });

export type MemberAction = (input: unknown) => Promise<unknown>;

/** The actions by name; each checks its input itself and throws CONFIG_INVALID, or what the enrolment throws. */
export function memberActions(
  federation: OpenFederation,
  crypto: CryptoPort,
  now: () => number,
): Readonly<Record<"invite" | "clients" | "rounds" | "requests" | "import" | "revoke", MemberAction>> {
  const { enrolment, members, store, identity, authority, paths, audit } = federation;
  return {
    async invite(input) {
      const { name, url, valid, replace } = parseConfig(inviteInput, input, "invite");
      return enrolment.invite(name, url, valid, replace);
    },

    async clients() {
      return members.all().map((member) => {
        const { name, signingKey, enrolledAt, revoked } = member;
        const expiresAt = certificateOf(member)?.expiresAt ?? null;
        const expired = expiresAt !== null && expiresAt <= now();
        const status = revoked
          ? "revoked"
          : expiresAt === null
            ? "waits for the authority"
            : expired
              ? "expired"
              : "member";
        return { name, signingKey, enrolledAt, status, certificateExpiresAt: expiresAt };
      });
    },

    async rounds() {
      return (await store.rounds()).map((record): unknown => JSON.parse(record.report));
    },

    async requests() {
      const waiting = members.all().filter((member) => !member.revoked && lacksSignature(member, now()));
      return { ...identity, requests: waiting.map(({ name, signingKey }) => ({ name, signingKey })) };
    },

    async import(input) {
      const { certificates, revocations } = parseConfig(answersFile, input, "answers");
      const authorityKey = Buffer.from(identity.authorityKey, "hex");
      let revoked = (await readRevocations(paths.authority))?.serials ?? [];
      if (revocations !== null) {
        verifyRevocationList(crypto, identity.federationId, authorityKey, revocations);
        const held = await readRevocations(paths.authority);
        if (held !== null && revocations.version < held.version) {
          throw new CodedError("CERTIFICATE_INVALID", "the revocation list is older than the one held", {
            expected: held.version,
            got: revocations.version,
          });
        }
        revoked = revocations.serials;
      }
      const trust = { federation: identity.federationId, authorityKey, revoked: new Set(revoked) };
      // Everything is checked before anything is written.
      const accepted = certificates.map((certificate) => {
        const key = Buffer.from(verifyCertificate(crypto, trust, certificate, now())).toString("hex");
        const member = members.get(certificate.name);
        if (member === null || member.signingKey !== key) {
          throw new CodedError("CERTIFICATE_INVALID", `no client ${certificate.name} is enrolled with this key`);
        }
        return { ...member, certificate: canonicalJson(certificate) };
      });
      if (revocations !== null) await writeRevocations(paths.authority, revocations);
      for (const member of accepted) await members.update(member);
      await applyRevocations(federation);
      const clients = accepted.map((member) => member.name);
      const facts = { clients, revocationVersion: revocations?.version ?? null, revoked: revocations?.serials ?? [] };
      await audit.append({ act: "answers imported", facts });
      return { certificates: accepted.map((member) => member.name), revocationVersion: revocations?.version ?? null };
    },

    async revoke(input) {
      const { names } = parseConfig(namesInput, input, "revoke");
      if (authority === null) {
        throw new CodedError(
          "USAGE",
          "the authority is offline: run `authority revoke` there, then `authority import`",
        );
      }
      const list = await authority.revoke(names);
      await applyRevocations(federation);
      await audit.append({ act: "memberships revoked", facts: { clients: names, revocationVersion: list.version } });
      return { names, revocationVersion: list.version };
    },
  };
}

/** Marks the members whose certificate is on the list held; they are disconnected at once. */
export async function applyRevocations(federation: OpenFederation): Promise<void> {
  const serials = new Set((await federation.revocations())?.serials);
  for (const member of federation.members.all()) {
    const certificate = certificateOf(member);
    if (!member.revoked && certificate !== null && serials.has(certificate.serial))
      await federation.members.update({ ...member, revoked: true });
  }
}
