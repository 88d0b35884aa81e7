/**
 * The server state as bytes: one line of JSON (format, length, names of the moments in order), then the params and each
 * moment as little-endian float32. Never leaves the coordinator.
 */
import { CodedError } from "../../shared/errors.ts";
import type { ServerState } from "./server-optimizer.ts";

const FORMAT = 1;

export function encodeServerState({ params, moments }: ServerState): Uint8Array {
  const names = Object.keys(moments).toSorted();
  const head = new TextEncoder().encode(
    `${JSON.stringify({ format: FORMAT, length: params.length, moments: names })}\n`,
  );
  const out = new Uint8Array(head.length + params.byteLength * (1 + names.length));
  out.set(head);
  let at = head.length;
  for (const values of [params, ...names.map((name) => moments[name] as Float32Array)]) {
    out.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  return out;
}

/** Throws STORE_CORRUPT when the bytes are no server state with `length` params. */
export function decodeServerState(bytes: Uint8Array, length: number): ServerState {
  const end = bytes.indexOf(0x0a);
  try {
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, Math.max(end, 0)))) as {
      format: number;
      length: number;
      moments: string[];
    };
    const size = length * 4;
    const whole = head.format === FORMAT && head.length === length;
    if (!whole || bytes.length !== end + 1 + size * (1 + head.moments.length)) throw new Error("another length");
    // Not bytes.slice(): that of a Buffer is a view.
    const vector = (i: number): Float32Array =>
      new Float32Array(new Uint8Array(bytes.subarray(end + 1 + i * size, end + 1 + (i + 1) * size)).buffer);
    return { params: vector(0), moments: Object.fromEntries(head.moments.map((name, i) => [name, vector(i + 1)])) };
  } catch (error) {
    throw new CodedError(
      "STORE_CORRUPT",
      `the server state is damaged: ${String(error)}`,
      { length },
      { cause: error },
    );
  }
}
