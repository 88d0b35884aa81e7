/** Where single vectors are read from: sealed blobs of clients elsewhere, or memory of clients in this process. */
import type { ClientName } from "../../../shared/ids.ts";
import type { AgreementKey, CryptoPort } from "../../../shared/secagg/crypto-port.ts";
import type { WordBits, Words } from "../../../shared/secagg/mask.ts";
import { openStream } from "../../../shared/secagg/sealed.ts";
import type { VectorSource } from "../secure-sum.ts";
import type { VectorReader } from "./judge.ts";

/** Words of a piece: those of one chunk of a sealed vector. */
const PIECE_BYTES = 65_536;

export function wordsReader(clients: readonly ClientName[], words: Words): VectorReader {
  const length = PIECE_BYTES / words.BYTES_PER_ELEMENT;
  return {
    clients,
    *pieces() {
      for (let at = 0; at < words.length; at += length) yield words.subarray(at, at + length);
    },
  };
}

/** `open` gives the sealed bytes, to be read once from front to back. */
export function sealedReader(
  crypto: CryptoPort,
  from: { readonly sid: string; readonly client: ClientName; readonly key: AgreementKey },
  wordBits: WordBits,
  open: () => VectorSource,
): VectorReader {
  const Kind = wordBits === 32 ? Uint32Array : Uint16Array;
  return {
    clients: [from.client],
    async *pieces() {
      for await (const bytes of openStream(crypto, from.sid, from.client, from.key, open())) {
        // What was opened need not lie on a word's boundary.
        yield new Kind(bytes.slice().buffer);
      }
    },
  };
}
