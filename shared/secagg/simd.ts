/**
 * Modular addition of one block by WebAssembly SIMD, four (m = 32) or eight (m = 16) words at a time; plain JavaScript
 * reaches a third of its speed. Memory holds two blocks, the sum's and the mask's; one function for each of add and
 * subtract:
 *   (func (param $at i32) (param $end i32)  ;; multiples of 64
 *     loop: sum[at..at+64] op= mask[at..at+64]; at += 64; if at < end repeat)
 */
import { assemble, LOOP_BY_64, memoryAt, OP, TYPE, V128, type WasmFunction } from "../simd/assemble.ts";

/**
 * Bytes of a block, and where the mask's block begins. node:crypto makes a new buffer for every piece of keystream; larger
 * ones are handed back to the operating system and cleared page by page, which costs more than the cipher.
 */
export const BLOCK_BYTES = 16_384;

type Operation = "add32" | "subtract32" | "add16" | "subtract16";

function pass(operation: readonly number[]): WasmFunction {
  const load = (offset: number) => [OP.localGet, 0, ...V128.load, ...memoryAt(offset)];
  const sixteenBytes = (offset: number) =>
    [[OP.localGet, 0], load(offset), load(BLOCK_BYTES + offset), operation, V128.store, memoryAt(offset)].flat();
  const code = [[OP.loop, OP.emptyType], [0, 16, 32, 48].flatMap(sixteenBytes), LOOP_BY_64].flat();
  return { params: [TYPE.i32, TYPE.i32], results: [], locals: [], code };
}

let shared: SimdBlock | undefined;

/** One block's sum, in WebAssembly memory. */
export class SimdBlock {
  readonly #sum: Uint8Array;
  readonly #mask: Uint8Array;
  readonly #run: Record<Operation, (at: number, end: number) => void>;

  private constructor() {
    const bytes = assemble({
      add32: pass(V128.addI32),
      subtract32: pass(V128.subtractI32),
      add16: pass(V128.addI16),
      subtract16: pass(V128.subtractI16),
    });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
    const { buffer } = exports["memory"] as WebAssembly.Memory;
    this.#sum = new Uint8Array(buffer, 0, BLOCK_BYTES);
    this.#mask = new Uint8Array(buffer, BLOCK_BYTES, BLOCK_BYTES);
    this.#run = exports as unknown as Record<Operation, (at: number, end: number) => void>;
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
    this.#mask.set(bytes);
    const run = this.#run;
    if (wordBits === 32) (sign === 1 ? run.add32 : run.subtract32)(0, bytes.length);
    else (sign === 1 ? run.add16 : run.subtract16)(0, bytes.length);
  }

  /** Writes the sum back. */
  store(bytes: Uint8Array): void {
    bytes.set(this.#sum.subarray(0, bytes.length));
  }
}
