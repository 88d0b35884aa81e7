/** The coordinator's messages of secure aggregation, written and signed. One roster or list for everyone. */
import type { ClientName } from "../../shared/ids.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import { compareNames } from "../../shared/secagg/encoding.ts";
import type { Roster, Shares, Signatures, Survivors } from "../../shared/secagg/messages.ts";
import type { Session } from "../../shared/secagg/session.ts";
import {
  COORDINATOR,
  EVERYONE,
  sign,
  type Party,
  type SignedStep,
  type Statement,
} from "../../shared/secagg/signed.ts";

function bySender<T extends { sender: ClientName }>(list: readonly T[]): T[] {
  return list.toSorted((a, b) => compareNames(a.sender, b.sender));
}

/** What each step's payload is, from the statements admitted so far in any order. */
export const announcement = {
  roster: (advertisements: readonly Statement[]): Roster => ({ entries: bySender(advertisements) }),

  /**
   * @param addressed the share statements made for one client, without its own
   * @param sharers everyone who shared keys, where not everybody shares with everybody
   */
  shares: (addressed: readonly Statement[], sharers?: readonly ClientName[]): Shares => ({
    shares: bySender(addressed),
    ...(sharers !== undefined && { sharers: sharers.toSorted(compareNames) }),
  }),

  /** @param sharers everyone who shared keys; those without a masked input are the dropouts */
  survivors: (maskedInputs: readonly Statement[], sharers: readonly ClientName[]): Survivors => {
    const alive = new Set(maskedInputs.map(({ sender }) => sender));
    const dropouts = sharers.filter((name) => !alive.has(name)).toSorted(compareNames);
    return { survivors: bySender(maskedInputs), dropouts };
  },

  signatures: (given: readonly { sender: ClientName; signature: string }[]): Signatures => ({
    signatures: bySender(given.map(({ sender, signature }) => ({ sender, signature }))),
  }),
};

export type Announcement = keyof typeof announcement;

/** Signs an announcement for one client, or for everyone. */
export function announce(
  crypto: CryptoPort,
  key: SigningKey,
  session: Session,
  step: Announcement,
  payload: Roster | Shares | Survivors | Signatures,
  recipient: Party = EVERYONE,
): SignedStep {
  return sign(crypto, key, session, { step, sender: COORDINATOR, recipient }, JSON.stringify(payload));
}
