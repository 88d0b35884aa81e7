/** Adds a sealed vector (secureAggregation: off) to a sum, chunk by chunk as it opens: its plaintext is never held. */
import { CodedError } from "../../shared/errors.ts";
import type { ClientName } from "../../shared/ids.ts";
import type { AgreementKey, CryptoPort } from "../../shared/secagg/crypto-port.ts";
import type { Words } from "../../shared/secagg/mask.ts";
import { openChunks, sealedLength } from "../../shared/secagg/sealed.ts";
import { addBytes } from "./secure-sum.ts";

/** Bytes that are opened and added between two pauses: a few milliseconds. */
const BYTES_PER_PAUSE = 4 << 20;

/**
 * Adds mod 2^m, in place. All of the vector or nothing: of one that does not open to its end, what was added is taken
 * away again. WIRE_HASH, SECAGG_KEY_WEAK, UPDATE_SHAPE name the client.
 */
export async function addSealed(
  crypto: CryptoPort,
  from: { readonly sid: string; readonly client: ClientName; readonly key: AgreementKey },
  sealed: Uint8Array,
  total: Words,
  pause: () => Promise<void> = async () => {},
): Promise<void> {
  const { sid, client, key } = from;
  const expected = sealedLength(total.byteLength);
  if (sealed.length !== expected) {
    throw new CodedError("UPDATE_SHAPE", `the vector of ${client} has ${sealed.length} bytes, expected ${expected}`, {
      client,
      expected,
      got: sealed.length,
    });
  }
  const part = (at: number, bytes: Uint8Array): Words =>
    total.subarray(at / total.BYTES_PER_ELEMENT, (at + bytes.length) / total.BYTES_PER_ELEMENT);
  let added = 0;
  let paused = 0;
  try {
    for (const bytes of openChunks(crypto, sid, client, key, sealed)) {
      addBytes(part(added, bytes), bytes, 1);
      added += bytes.length;
      if (added - paused < BYTES_PER_PAUSE) continue;
      paused = added;
      await pause();
    }
  } catch (error) {
    let at = 0;
    for (const bytes of added === 0 ? [] : openChunks(crypto, sid, client, key, sealed)) {
      if (at === added) break;
      addBytes(part(at, bytes), bytes, -1);
      at += bytes.length;
    }
    throw error;
  }
}
