/** One client's part in one attempt with a trusted coordinator (secureAggregation: off): seal the vector, sign its hash. */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { ClientName } from "../../shared/ids.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import { boxKeyOfIdentity } from "../../shared/secagg/box-key.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import { encodeTuple } from "../../shared/secagg/encoding.ts";
import { bytesOf, type Words } from "../../shared/secagg/mask.ts";
import { sealVector } from "../../shared/secagg/sealed.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { COORDINATOR, sign, type SignedStep } from "../../shared/secagg/signed.ts";
import { checkJoin, type RoundLog } from "./round-log.ts";

export interface TrustedRoundOptions {
  readonly crypto: CryptoPort;
  readonly random: SecureRng;
  readonly session: Session;
  readonly self: { readonly name: ClientName; readonly signingKey: SigningKey };
  /** The coordinator's Ed25519 key, pinned at enrolment. */
  readonly coordinatorKey: Uint8Array;
  readonly log: RoundLog;
  /** The coordinator is this very process: the vector goes over as it is, under a name in place of a hash. */
  readonly inProcess: boolean;
}

/**
 * The bytes to upload and the message that announces them.
 * SECAGG_ATTEMPT_REPLAYED when this site took part in the attempt before.
 */
export async function sealInput(
  options: TrustedRoundOptions,
  words: Words,
): Promise<{ upload: Uint8Array; message: SignedStep }> {
  const { crypto, random, session, self, coordinatorKey, log } = options;
  // Everything is visible to this coordinator anyway, so an earlier parent says nothing new.
  checkJoin(log.entries(), session, true);
  const { purpose, round, attempt, parentHash } = session;
  await log.append({ type: "joined", purpose, round, attempt, parentHash });
  const plain = bytesOf(words);
  const upload = options.inProcess
    ? plain
    : sealVector(crypto, random, session.sid, self.name, boxKeyOfIdentity(coordinatorKey), plain);
  const identity = options.inProcess ? encodeTuple("in process", hexToBytes(session.sid), self.name) : upload;
  const payload = JSON.stringify({ hash: bytesToHex(crypto.sha256(identity)), words: words.length });
  const heading = { step: "masked-input", sender: self.name, recipient: COORDINATOR } as const;
  return { upload, message: sign(crypto, self.signingKey, session, heading, payload) };
}
