/**
 * Modular addition of one block by WebAssembly SIMD, four (m = 32) or eight (m = 16) words at a time; plain JavaScript
 * reaches a third of its speed. Memory holds the block of the sum and a piece of the mask; one function for each of add
 * and subtract:
 *   (func (param $at i32) (param $end i32) (param $to i32)  ;; multiples of 64
 *     loop: sum[to+at..to+at+64] op= piece[at..at+64]; at += 64; if at < end repeat)
 */
import { assemble, LOOP_BY_64, memoryAt, OP, TYPE, V128, type WasmFunction } from "../simd/assemble.ts";

/**
 * Bytes of a block. node:crypto takes microseconds for every call and makes a new buffer for its keystream, so a block is
 * long; the sum of a block still stays in a core's second cache while all masks pass over it.
 */
export const BLOCK_BYTES = 131_072;
/** Keystream is brought into this memory in pieces that stay in the first cache. */
const PIECE_BYTES = 16_384;
const PAGE_BYTES = 65_536;

type Run = (at: number, end: number, to: number) => void;
type Operation = "add32" | "subtract32" | "add16" | "subtract16";

function pass(operation: readonly number[]): WasmFunction {
  const sum = 3;
  const load = (from: number, offset: number) => [OP.localGet, from, ...V128.load, ...memoryAt(offset)];
  const sixteenBytes = (offset: number) =>
    [
      [OP.localGet, sum],
      load(sum, offset),
      load(0, BLOCK_BYTES + offset),
      operation,
      V128.store,
      memoryAt(offset),
    ].flat();
  const place = [OP.localGet, 0, OP.localGet, 2, OP.i32Add, OP.localSet, sum];
  const code = [[OP.loop, OP.emptyType], place, [0, 16, 32, 48].flatMap(sixteenBytes), LOOP_BY_64].flat();
  return { params: [TYPE.i32, TYPE.i32, TYPE.i32], results: [], locals: [TYPE.i32], code };
}

let shared: SimdBlock | undefined;

/** One block's sum, in WebAssembly memory. */
export class SimdBlock {
  readonly #sum: Uint8Array;
  readonly #piece: Uint8Array;
  readonly #run: Record<Operation, Run>;

  private constructor() {
    const operations: Record<Operation, WasmFunction> = {
      add32: pass(V128.addI32),
      subtract32: pass(V128.subtractI32),
      add16: pass(V128.addI16),
      subtract16: pass(V128.subtractI16),
    };
    const bytes = assemble(operations, Math.ceil((BLOCK_BYTES + PIECE_BYTES) / PAGE_BYTES));
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
    const { buffer } = exports["memory"] as WebAssembly.Memory;
    this.#sum = new Uint8Array(buffer, 0, BLOCK_BYTES);
    this.#piece = new Uint8Array(buffer, BLOCK_BYTES, PIECE_BYTES);
    this.#run = exports as unknown as Record<Operation, Run>;
  }

  /** The one of this thread. Between load and store nothing may be awaited. */
  static get shared(): SimdBlock {
    shared ??= new SimdBlock();
    return shared;
  }

  /** Begins with these bytes, at most {@link BLOCK_BYTES}. */
  load(bytes: Uint8Array): void {
    this.#sum.set(bytes);
  }

  /** Adds words of `wordBits` (sign 1) or subtracts them (sign -1), mod 2^wordBits. */
  combine(bytes: Uint8Array, wordBits: 32 | 16, sign: 1 | -1): void {
    const { add32, subtract32, add16, subtract16 } = this.#run;
    const run = wordBits === 32 ? (sign === 1 ? add32 : subtract32) : sign === 1 ? add16 : subtract16;
    for (let to = 0; to < bytes.length; to += PIECE_BYTES) {
      const piece = bytes.length <= PIECE_BYTES ? bytes : bytes.subarray(to, to + PIECE_BYTES);
      this.#piece.set(piece);
      run(0, piece.length, to);
    }
  }

  /** Writes the sum back. */
  store(bytes: Uint8Array): void {
    bytes.set(this.#sum.subarray(0, bytes.length));
  }
}
