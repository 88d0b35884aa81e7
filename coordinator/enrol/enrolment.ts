/** Invitations and joining, at the coordinator: a site's key becomes a member's by a secret that is used once. */
import type { Audit } from "../../shared/audit/entry.ts";
import { CodedError } from "../../shared/errors.ts";
import { clientName, type ClientName, type Sha256 } from "../../shared/ids.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import { certificate as certificateSchema, endsSoon, type Certificate } from "../../shared/secagg/certificate.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { toBase64 } from "../../shared/secagg/encoding.ts";
import { encodeInvitation, invitationHash, joinBytes } from "../../shared/wire/invitation.ts";
import type { joinAnswer, joinRequest } from "../../shared/wire/messages.ts";
import type { z } from "zod";
import type { EnrolledClient, FederationStore } from "../store/port.ts";
import type { Members } from "./members.ts";

export type JoinRequest = z.infer<typeof joinRequest>;
export type JoinAnswer = z.infer<typeof joinAnswer>;

/** Signs memberships at once where the authority's key lies with the coordinator. */
export interface EmbeddedAuthority {
  /** Canonical JSON of a certificate; durable in the authority's own list when resolved. */
  sign(name: ClientName, signingKey: Sha256): Promise<string>;
  /** Puts every certificate signed for these names so far on the revocation list. */
  revoke(names: readonly string[]): Promise<unknown>;
}

export interface EnrolmentOptions {
  readonly crypto: CryptoPort;
  readonly rng: SecureRng;
  readonly store: FederationStore;
  readonly members: Members;
  readonly audit: Audit;
  readonly federation: string;
  readonly coordinatorKey: Sha256;
  readonly authorityKey: Sha256;
  /** null: an offline authority signs later. */
  readonly authority: EmbeddedAuthority | null;
  readonly now: () => number;
}

export class Enrolment {
  readonly #options: EnrolmentOptions;

  constructor(options: EnrolmentOptions) {
    this.#options = options;
  }

  /**
   * A new invitation as one line of text. Throws USAGE when the name is a member already and `replace` is not given:
   * then a site that lost its keys could be anyone; CERTIFICATE_STANDS when an offline authority must revoke first.
   */
  async invite(
    name: string,
    url: string,
    validMs: number,
    replace: boolean,
  ): Promise<{ token: string; expiresAt: number }> {
    const { crypto, rng, store, members, now, audit, ...pins } = this.#options;
    const client = clientName.safeParse(name);
    if (!client.success)
      throw new CodedError("USAGE", `name: expected ${client.error.issues[0]?.message}, got "${name}"`);
    const existing = members.get(name);
    if (existing !== null && !existing.revoked && !replace) {
      throw new CodedError("USAGE", `${name} is a member already; --replace invites it again with new keys`);
    }
    this.#refuseStanding(existing);
    const secret = toBase64(rng.bytes(32));
    const expiresAt = now() + validMs;
    const tokenHash = invitationHash(crypto, secret) as Sha256;
    await store.putInvitation({ tokenHash, name: client.data, expiresAt, usedAt: null });
    await audit({ act: "site invited", facts: { client: client.data, tokenHash, expiresAt, replace } });
    const { federation, coordinatorKey, authorityKey } = pins;
    const token = encodeInvitation({ url, federation, client: client.data, coordinatorKey, authorityKey, secret });
    return { token, expiresAt };
  }

  /**
   * Enrols a site. The same request again (the answer got lost) has the same answer. Throws AUTH_REFUSED, TOKEN_INVALID,
   * TOKEN_EXPIRED, TOKEN_USED, CERTIFICATE_STANDS.
   */
  async join(request: JoinRequest): Promise<JoinAnswer> {
    const { crypto, members, authority, now, audit } = this.#options;
    const { name, signingKey, token } = request;
    const proven = crypto.verify(
      Buffer.from(signingKey, "hex"),
      joinBytes(token, name, signingKey),
      Buffer.from(request.proof, "hex"),
    );
    if (!proven) throw new CodedError("AUTH_REFUSED", "the request does not prove that the site holds its key");
    const tokenHash = invitationHash(crypto, token) as Sha256;
    const holder = members.all().find((member) => member.signingKey === signingKey);
    if (holder !== undefined && holder.name !== name) {
      throw new CodedError("TOKEN_INVALID", `this key is already enrolled as ${holder.name}`);
    }
    // A member that proves its key needs no second invitation; its first answer got lost.
    if (holder === undefined || holder.revoked) {
      const former = members.get(name);
      // An older invitation, and a certificate that came since.
      this.#refuseStanding(former);
      const client: EnrolledClient = { name, signingKey, certificate: null, enrolledAt: now(), revoked: false };
      await members.redeem(tokenHash, now(), client);
      await audit({ act: "site joined", facts: { client: name, key: signingKey, tokenHash } });
      if (authority !== null && former !== null && former.certificate !== null && !former.revoked) {
        await authority.revoke([name]);
        await audit({ act: "memberships revoked", facts: { clients: [name] } });
      }
    }
    return this.answer(name, signingKey);
  }

  /** Only the authority can end a certificate: replaced while it stands, there would be two members of one name. */
  #refuseStanding(member: EnrolledClient | null): void {
    if (this.#options.authority !== null || member === null || member.certificate === null || member.revoked) return;
    throw new CodedError(
      "CERTIFICATE_STANDS",
      `${member.name} has a certificate of the offline authority, which must be revoked before another site takes its place`,
      { client: member.name },
    );
  }

  /** Signs a membership that is not signed yet, or ends soon. */
  async #certify(name: ClientName, authority: EmbeddedAuthority | null): Promise<void> {
    const member = this.#options.members.get(name);
    if (authority === null || member === null || member.revoked || !lacksSignature(member, this.#options.now())) return;
    const certificate = await authority.sign(name, member.signingKey);
    const { serial } = certificateSchema.parse(JSON.parse(certificate));
    await this.#options.audit({ act: "membership signed", facts: { client: name, serial } });
    await this.#options.members.update({ ...member, certificate });
  }

  /** What a member is told about itself; throws AUTH_UNKNOWN_CLIENT unless it is enrolled with this key. */
  async answer(name: ClientName, signingKey: Sha256): Promise<JoinAnswer> {
    const { members, authority, federation, coordinatorKey, authorityKey } = this.#options;
    if (members.get(name)?.signingKey !== signingKey) {
      throw new CodedError("AUTH_UNKNOWN_CLIENT", `no client ${name} is enrolled with this key`, { client: name });
    }
    await this.#certify(name, authority);
    const member = members.get(name);
    if (member === null || member.revoked) {
      throw new CodedError("CERTIFICATE_REVOKED", `the membership of ${name} was revoked`);
    }
    return { federation, coordinatorKey, authorityKey, certificate: certificateOf(member) };
  }

  /** At start: signs what a crash left unsigned between redeeming and certifying, and what ends soon. */
  async certifyPending(): Promise<void> {
    const { members, authority } = this.#options;
    for (const member of members.all()) await this.#certify(member.name, authority);
  }
}

/** A member's certificate; null while an offline authority has not signed it. */
export function certificateOf({ certificate }: EnrolledClient): Certificate | null {
  return certificate === null ? null : certificateSchema.parse(JSON.parse(certificate));
}

/** A member that the authority should sign, for the first time or anew. */
export function lacksSignature(member: EnrolledClient, nowMs: number): boolean {
  const certificate = certificateOf(member);
  return certificate === null || endsSoon(certificate, nowMs);
}
