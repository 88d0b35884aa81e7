/**
 * Assembles small WebAssembly modules (core specification 2.0, section 5): one memory, exported, and some functions over
 * it.
 */

export const TYPE = { i32: 0x7f, f64: 0x7c, v128: 0x7b } as const;

/** Opcodes that take no immediate but those written behind them. */
export const OP = {
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i32Const: 0x41,
  i32Add: 0x6a,
  i32LessUnsigned: 0x49,
  i64Add: 0x7c,
  i32WrapI64: 0xa7,
  f64Negate: 0x9a,
  loop: 0x03,
  branchIf: 0x0d,
  end: 0x0b,
  emptyType: 0x40,
} as const;

/** Vector opcodes: 0xfd and the number. */
export const V128 = {
  load: [0xfd, 0x00],
  store: [0xfd, 0x0b],
  shuffle8: [0xfd, 0x0d],
  splatI32: [0xfd, 0x11],
  splatF64: [0xfd, 0x14],
  lane64: [0xfd, 0x1d],
  greaterF64: [0xfd, 0x4a],
  promoteLowF32: [0xfd, 0x5f],
  addI16: [0xfd, 0x8e, 0x01],
  subtractI16: [0xfd, 0x91, 0x01],
  addI32: [0xfd, 0xae, 0x01],
  subtractI32: [0xfd, 0xb1, 0x01],
  multiplyI32: [0xfd, 0xb5, 0x01],
  subtractI64: [0xfd, 0xd1, 0x01],
  absF64: [0xfd, 0xec, 0x01],
  addF64: [0xfd, 0xf0, 0x01],
  multiplyF64: [0xfd, 0xf2, 0x01],
  leastF64: [0xfd, 0xf6, 0x01],
  mostF64: [0xfd, 0xf7, 0x01],
} as const;

export interface WasmFunction {
  readonly params: readonly number[];
  readonly results: readonly number[];
  /** Types of further locals. */
  readonly locals: readonly number[];
  /** Without the final `end`. */
  readonly code: readonly number[];
}

/** LEB128, unsigned. */
function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}

/** End of a loop whose local 0 is a byte offset and local 1 its end: 64 bytes on, again while below. */
export const LOOP_BY_64: readonly number[] = [
  [OP.localGet, 0, OP.i32Const, 0xc0, 0x00, OP.i32Add, OP.localSet, 0], // 64 as signed LEB128
  [OP.localGet, 0, OP.localGet, 1, OP.i32LessUnsigned, OP.branchIf, 0, OP.end],
].flat();

/** The immediate of a vector load or store: aligned to 16 bytes, at this offset. */
export function memoryAt(offset: number): number[] {
  return [0x04, ...leb(offset)];
}

/** The bytes of a module with these functions, exported by their names, and its memory of so many 64 KB as "memory". */
export function assemble(functions: Readonly<Record<string, WasmFunction>>, pages = 2): Uint8Array<ArrayBuffer> {
  const all = Object.entries(functions);
  const magic = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const types = section(
    1,
    list(all.map(([, { params, results }]) => [0x60, ...list(params.map(one)), ...list(results.map(one))])),
  );
  const declared = section(3, list(all.map((_, i) => leb(i))));
  const memory = section(5, list([[0x00, ...leb(pages)]]));
  const names = all.map(([name], i) => [...text(name), 0, ...leb(i)]);
  const exported = section(7, list([[...text("memory"), 2, 0], ...names]));
  const code = section(10, list(all.map(([, { locals, code: body }]) => bodyOf(locals, body))));
  return Uint8Array.from([magic, types, declared, memory, exported, code].flat());
}

function bodyOf(locals: readonly number[], code: readonly number[]): number[] {
  const bytes = [...list(locals.map((type) => [1, type])), ...code, OP.end];
  return [...leb(bytes.length), ...bytes];
}

function list(items: readonly (readonly number[])[]): number[] {
  return [...leb(items.length), ...items.flat()];
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...leb(content.length), ...content];
}

function text(name: string): number[] {
  return [...leb(name.length), ...Array.from(name, (c) => c.charCodeAt(0))];
}

function one(value: number): number[] {
  return [value];
}
