/**
 * The server state and its bytes: one line of JSON (format, length, names of the moments in order, and the next round's
 * clipping norm where it adapts) padded with spaces to 4 bytes, then the params and each moment as little-endian float32. Never leaves the coordinator.
 */
import { CodedError } from "../../shared/errors.ts";

const FORMAT = 1;

export interface ServerState {
  readonly params: Float32Array;
  /** By name ("momentum", "second"), each as long as the params; those an optimizer does not use are missing. */
  readonly moments: Readonly<Record<string, Float32Array>>;
  /** Of the next round, where it adapts (shared/privacy/adaptive-clip.ts). */
  readonly clipNorm?: number;
}

/** A state of zeros that lies in memory as it is encoded: nothing of hundreds of megabytes is copied. */
export function newServerState(length: number, moments: readonly string[], clipNorm?: number): ServerState {
  const head = headOf(length, moments, clipNorm);
  const bytes = new Uint8Array(head.length + length * 4 * (1 + moments.length));
  bytes.set(head);
  return stateAt(bytes, head.length, length, moments.toSorted(), clipNorm);
}

/** The state's bytes: its own memory where it lies in order. Nothing may be written to either afterwards. */
export function encodeServerState(state: ServerState): Uint8Array {
  const { params, moments, clipNorm } = state;
  const head = headOf(params.length, Object.keys(moments), clipNorm);
  const own = new Uint8Array(params.buffer);
  if (isInOrder(state, head.length) && head.every((byte, i) => byte === own[i])) return own;
  const copy = newServerState(params.length, Object.keys(moments), clipNorm);
  copy.params.set(params);
  for (const [name, values] of Object.entries(copy.moments)) values.set(moments[name] as Float32Array);
  return new Uint8Array(copy.params.buffer);
}

/** Throws STORE_CORRUPT when the bytes are no server state with `length` params. May share the memory of `bytes`. */
export function decodeServerState(bytes: Uint8Array, length: number): ServerState {
  const end = bytes.indexOf(0x0a) + 1;
  try {
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))) as {
      format: number;
      length: number;
      moments: string[];
      clipNorm?: number;
    };
    const clip = head.clipNorm === undefined || (Number.isFinite(head.clipNorm) && head.clipNorm > 0);
    const whole = head.format === FORMAT && head.length === length && clip;
    if (!whole || bytes.length !== end + length * 4 * (1 + head.moments.length)) throw new Error("another length");
    // A copy is aligned; not bytes.slice(): that of a Buffer is a view.
    const aligned = (bytes.byteOffset + end) % 4 === 0 ? bytes : new Uint8Array(bytes.subarray(end));
    return stateAt(aligned, aligned === bytes ? end : 0, length, head.moments, head.clipNorm);
  } catch (error) {
    throw new CodedError(
      "STORE_CORRUPT",
      `the server state is damaged: ${String(error)}`,
      { length },
      { cause: error },
    );
  }
}

function headOf(length: number, moments: readonly string[], clipNorm?: number): Uint8Array {
  const text = JSON.stringify({ format: FORMAT, length, moments: moments.toSorted(), clipNorm });
  return new TextEncoder().encode(`${text.padEnd(Math.ceil((text.length + 1) / 4) * 4 - 1)}\n`);
}

function stateAt(
  bytes: Uint8Array,
  at: number,
  length: number,
  moments: readonly string[],
  clipNorm?: number,
): ServerState {
  const vector = (i: number) => new Float32Array(bytes.buffer, bytes.byteOffset + at + i * 4 * length, length);
  const named = Object.fromEntries(moments.map((name, i) => [name, vector(i + 1)]));
  return { params: vector(0), moments: named, ...(clipNorm !== undefined && { clipNorm }) };
}

/** Whether params and moments, in the order of their names, fill one memory behind a head of that length. */
function isInOrder({ params, moments }: ServerState, headLength: number): boolean {
  const vectors = [
    params,
    ...Object.keys(moments)
      .toSorted()
      .map((name) => moments[name] as Float32Array),
  ];
  return (
    params.buffer.byteLength === headLength + vectors.length * params.byteLength &&
    vectors.every(
      ({ buffer, byteOffset }, i) => buffer === params.buffer && byteOffset === headLength + i * params.byteLength,
    )
  );
}
