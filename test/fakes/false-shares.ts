/** Lies of a client that runs other software: false shares, signed as they should be; and accusations out of thin air. */
import type { ClientName } from "../../shared/ids.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { equalBytes, fromBase64, toBase64 } from "../../shared/secagg/encoding.ts";
import type { SigningKey } from "../../shared/secagg/crypto-port.ts";
import type { Accusation, ShareKeys } from "../../shared/secagg/messages.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { COORDINATOR, sign, type Heading, type SignedStep } from "../../shared/secagg/signed.ts";
import type { ClientMessage } from "../../shared/wire/messages.ts";

const crypto = new NodeCrypto();

/** What is wrong with the share: its box does not open, or it differs from what was committed to. */
export type Falsehood = "box" | "commitment";

/** Where in a share's bytes the box and the commitments lie (`shared/secagg/share-box.ts`). */
const AT: Record<Falsehood, number> = { box: 30, commitment: 24 + 112 };

/** A `share-keys` step with the shares for these holders falsified, and every signature right. */
export function withFalseShares(
  signed: SignedStep,
  key: SigningKey,
  falsehood: Falsehood,
  holders: (name: string) => boolean = (name) => name !== signed.sender,
): SignedStep {
  const given = JSON.parse(signed.payload) as ShareKeys;
  const shares = given.shares.map((share) => {
    const bytes = fromBase64(share.payload) as Uint8Array;
    if (!holders(share.to) || share.to === signed.sender) return share;
    const changed = bytes.slice();
    changed[AT[falsehood]] = (bytes[AT[falsehood]] as number) ^ 1;
    if (equalBytes(changed, bytes)) throw new Error("nothing was changed");
    const payload = toBase64(changed);
    const heading = { step: "share", sender: signed.sender, recipient: share.to } as const;
    return { to: share.to, payload, signature: signedAs(signed, key, heading, payload).signature };
  });
  const heading = { step: "share-keys", sender: signed.sender, recipient: COORDINATOR } as const;
  return signedAs(signed, key, heading, JSON.stringify({ shares } satisfies ShareKeys));
}

/** Leaves the session of this step and accuses these others. */
export function accusing(
  signed: SignedStep,
  key: SigningKey,
  about: readonly string[],
): Extract<ClientMessage, { type: "decline" }> {
  const heading = { step: "accuse", sender: signed.sender, recipient: COORDINATOR } as const;
  const said: Accusation = { code: "SECAGG_SHARE_FALSE", about: about as ClientName[] };
  const { payload, signature } = signedAs(signed, key, heading, JSON.stringify(said));
  const reason = { code: "SECAGG_SHARE_FALSE", message: "so I say" };
  return { type: "decline", sid: signed.sid, reason, accusation: { payload, signature } };
}

function signedAs(of: SignedStep, key: SigningKey, heading: Heading, payload: string): SignedStep {
  return sign(crypto, key, of as unknown as Session, heading, payload);
}
