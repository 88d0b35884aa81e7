/**
 * The container of everything a release ships: "ALTP", header length (4 bytes, little-endian), header as canonical
 * JSON padded with spaces to 4 bytes, then the tensors' pieces in layout order, each padded with zeros to 4 bytes.
 * docs/release-format.md describes it byte by byte.
 */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { canonicalJson, hashOf } from "../canonical.ts";
import { CodedError } from "../errors.ts";
import { sha256Hex, type Sha256 } from "../ids.ts";
import { layoutOf, type ParamLayout } from "../params/layout.ts";
import { storedBytes, type Dtype } from "./dtype.ts";

const MAGIC = 0x50_54_4c_41;
const MAX_HEADER_BYTES = 4 * 1024 * 1024;
const LETTERS = { int8: "8", fp16: "h", fp32: "f" } as const satisfies Record<Dtype, string>;
const DTYPES: Readonly<Record<string, Dtype>> = { "8": "int8", h: "fp16", f: "fp32" };

/** Names and shapes of the tensors, as they stand in files. */
export const layoutEntries = z
  .array(
    z.tuple([
      z.string().min(1).max(256),
      z
        .array(
          z
            .int()
            .min(1)
            .max(2 ** 31),
        )
        .max(8),
    ]),
  )
  .max(100_000);
export type LayoutEntries = z.infer<typeof layoutEntries>;

const header = z.strictObject({
  format: z.literal(1),
  kind: z.enum(["update", "model", "keyframe"]),
  layoutHash: sha256Hex,
  /** One letter per tensor: 8 int8, h fp16, f fp32. */
  dtypes: z.string().regex(/^[8hf]*$/),
  /** In keyframes only: what a newcomer needs to read the chain without building the model. */
  layout: layoutEntries.optional(),
});
export type PackKind = z.infer<typeof header>["kind"];

export function entriesOf(layout: ParamLayout): LayoutEntries {
  return layout.tensors.map(({ name, shape }) => [name, [...shape]]);
}

/** The layout of entries read from a file. Throws PARAMS_SHAPE when it would be larger than a typed array. */
export function layoutFromEntries(entries: LayoutEntries): ParamLayout {
  const layout = layoutOf(entries.map(([name, shape]) => ({ name, shape })));
  if (layout.length > 2 ** 31) throw new CodedError("PARAMS_SHAPE", `a layout of ${layout.length} values is too large`);
  return layout;
}

/** Fixes names, shapes and order of the tensors. */
export function layoutHashOf(layout: ParamLayout): Sha256 {
  return hashOf(entriesOf(layout));
}

/** The largest pack there can be for a layout: what decompression is bounded by. */
export function maxPackBytes(length: number): number {
  return 8 + MAX_HEADER_BYTES + 8 * length;
}

/** Throws RELEASE_FORMAT. */
export function refuse(what: string, details: Record<string, unknown> = {}): never {
  throw new CodedError("RELEASE_FORMAT", what, details);
}

/** Where the pieces of each tensor lie in the payload; the last offset is the payload's length. */
export function pieceOffsets(layout: ParamLayout, dtypes: readonly Dtype[]): number[] {
  const offsets = [0];
  layout.tensors.forEach((slot, i) => offsets.push((offsets[i] as number) + storedBytes(slot, dtypes[i] as Dtype)));
  return offsets;
}

/** A pack with its header written and its payload still zero; the payload is aligned to 4 bytes. */
export function newPack(
  kind: PackKind,
  layout: ParamLayout,
  dtypes: readonly Dtype[],
  options: { layoutHash?: Sha256; withLayout?: boolean; payloadBytes?: number } = {},
): { bytes: Uint8Array; payload: Uint8Array } {
  const text = canonicalJson({
    format: 1,
    kind,
    layoutHash: options.layoutHash ?? layoutHashOf(layout),
    dtypes: dtypes.map((dtype) => LETTERS[dtype]).join(""),
    layout: options.withLayout === true ? entriesOf(layout) : undefined,
  } satisfies Record<keyof z.infer<typeof header>, unknown>);
  const json = utf8ToBytes(text);
  const headerBytes = (json.length + 3) & ~3;
  const payloadBytes = options.payloadBytes ?? (pieceOffsets(layout, dtypes).at(-1) as number);
  const bytes = new Uint8Array(8 + headerBytes + payloadBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, headerBytes, true);
  bytes.fill(0x20, 8, 8 + headerBytes);
  bytes.set(json, 8);
  return { bytes, payload: bytes.subarray(8 + headerBytes) };
}

/** Length of a pack in these formats. */
export function packBytes(kind: PackKind, layout: ParamLayout, dtypes: readonly Dtype[]): number {
  const { bytes } = newPack(kind, layout, dtypes, { payloadBytes: 0 });
  return bytes.length + (pieceOffsets(layout, dtypes).at(-1) as number);
}

export interface OpenPack {
  readonly layout: ParamLayout;
  readonly dtypes: readonly Dtype[];
  /** Aligned to 4 bytes. */
  readonly payload: Uint8Array;
}

/**
 * Parses a pack of the given kind. `layout` null: take it from the header (keyframes carry it).
 * Throws RELEASE_FORMAT for anything that an encoder would not have written.
 */
export function openPack(bytes: Uint8Array, kind: PackKind, layout: ParamLayout | null): OpenPack {
  if (bytes.length < 8) refuse(`a pack has at least 8 bytes, got ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC) refuse("these bytes are not a parameter pack");
  const headerBytes = view.getUint32(4, true);
  if (headerBytes > MAX_HEADER_BYTES || headerBytes % 4 !== 0 || 8 + headerBytes > bytes.length) {
    refuse(`the header of a pack cannot have ${headerBytes} bytes`);
  }
  const text = new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes));
  const parsed = header.safeParse(parseJson(text));
  if (!parsed.success) refuse(`the header of a pack is wrong: ${z.prettifyError(parsed.error)}`);
  const head = parsed.data;
  if (!isCanonical(head, text)) refuse("the header of a pack is not canonical");
  if (head.kind !== kind) refuse(`expected a pack of kind ${kind}, got ${head.kind}`);
  const own =
    layout ?? (head.layout === undefined ? refuse("this pack names no tensors") : layoutFromEntries(head.layout));
  if (layoutHashOf(own) !== head.layoutHash) refuse("the pack was made for other tensors");
  if (head.dtypes.length !== own.tensors.length)
    refuse(`expected ${own.tensors.length} dtypes, got ${head.dtypes.length}`);
  const payload = bytes.subarray(8 + headerBytes);
  // Not payload.slice(): that of a Buffer is a view.
  const aligned = payload.byteOffset % 4 === 0 ? payload : new Uint8Array(payload);
  return { layout: own, dtypes: Array.from(head.dtypes, (letter) => DTYPES[letter] as Dtype), payload: aligned };
}

function isCanonical(head: unknown, text: string): boolean {
  const json = canonicalJson(head);
  return text.startsWith(json) && text.length - json.length < 4 && /^ *$/.test(text.slice(json.length));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return refuse("the header of a pack is not JSON");
  }
}
