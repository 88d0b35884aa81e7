/** A stored blob as a vector that is read once, front to back. */
import type { VectorSource } from "../aggregate/secure-sum.ts";
import type { BlobStore } from "../store/port.ts";
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";

/**
 * `memory`, where the bytes go by; another source may use it when this one is read to its end. Left out: memory of its own.
 * Its reads throw WIRE_HASH when the bytes are not, or no longer, those of the hash: at the latest with the last byte.
 */
export function blobSource(blobs: BlobStore, hash: Sha256, byteLength: number, memory?: Uint8Array): VectorSource {
  let chunks: AsyncIterator<Uint8Array> | null = null;
  let held: Uint8Array = new Uint8Array(0);
  let left = byteLength;
  const next = async (): Promise<Uint8Array | null> => {
    chunks ??= blobs.read(hash, memory)[Symbol.asyncIterator]();
    try {
      const result = await chunks.next();
      return result.done === true ? null : result.value;
    } catch (error) {
      if (isCoded(error, "STORE_CORRUPT")) throw wrong(hash, error.message, error);
      throw error;
    }
  };
  return {
    byteLength,
    async read(_at, length) {
      while (held.length < length) {
        // Else the next chunk would be written over it.
        if (memory !== undefined && held.length > 0) held = held.slice();
        const chunk = await next();
        if (chunk === null) throw wrong(hash, `it has ${byteLength - left + held.length} bytes of ${byteLength}`);
        held = held.length === 0 ? chunk : joined(held, chunk);
      }
      const part = held.subarray(0, length);
      held = held.subarray(length);
      left -= length;
      // A store compares the hash once it has given everything.
      if (left === 0 && (held.length > 0 || (await next()) !== null))
        throw wrong(hash, `it is longer than ${byteLength}`);
      return part;
    },
  };
}

function wrong(hash: Sha256, why: string, cause?: unknown): CodedError {
  return new CodedError("WIRE_HASH", `the stored vector ${hash}: ${why}`, { hash }, { cause });
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
