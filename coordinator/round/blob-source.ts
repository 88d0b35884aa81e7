/** A stored blob as a vector that is read once, front to back. */
import type { VectorSource } from "../aggregate/secure-sum.ts";
import type { BlobStore } from "../store/port.ts";
import type { Sha256 } from "../../shared/ids.ts";

export function blobSource(blobs: BlobStore, hash: Sha256, byteLength: number): VectorSource {
  let chunks: AsyncIterator<Uint8Array> | null = null;
  let held: Uint8Array = new Uint8Array(0);
  return {
    byteLength,
    async read(_at, length) {
      chunks ??= blobs.read(hash)[Symbol.asyncIterator]();
      while (held.length < length) {
        const next = await chunks.next();
        if (next.done === true) break;
        held = held.length === 0 ? next.value : joined(held, next.value);
      }
      const part = held.subarray(0, length);
      held = held.subarray(length);
      return part;
    },
  };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
