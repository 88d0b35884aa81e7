/**
 * Depth maps: raw readings from a 16-bit gray PNG (or a TIFF of 32-bit floats), fitted to the picture's size, turned
 * into the kind of depth the federation learns.
 */
import sharp from "sharp";
import { CodedError } from "../../shared/errors.ts";
import type { Labels } from "../../shared/config/federation.ts";
import type { DepthMap } from "../../models/preprocess/sample.ts";
import { isTiff } from "./picture.ts";
import { decodePngPlane, isPng, MAX_PIXELS, type Plane, readPng } from "./png.ts";
import type { SourceDepth } from "./source.ts";

/**
 * Raw readings. Errors: DATA_DEPTH naming the file when it is not 16-bit gray PNG or float TIFF, is damaged, or holds
 * a NaN or infinity.
 */
export async function decodeDepth(bytes: Buffer, file: string): Promise<Plane<Uint16Array | Float32Array>> {
  if (isTiff(bytes)) return decodeFloatTiff(bytes, file);
  if (!isPng(bytes)) throw new CodedError("DATA_DEPTH", `${file}: not a PNG`, { file, expected: "16-bit gray PNG" });
  const png = readPng(bytes, file, "DATA_DEPTH");
  if (png.bitDepth !== 16 || png.colorType !== 0)
    throw new CodedError("DATA_DEPTH", `${file}: expected a 16-bit gray PNG, got ${describe(png)}`, {
      file,
      expected: "16-bit gray PNG",
      got: describe(png),
    });
  return decodePngPlane(png, file, "DATA_DEPTH") as Plane<Uint16Array>;
}

function describe(png: { bitDepth: number; colorType: number }): string {
  const color = { 0: "gray", 2: "RGB", 3: "palette", 4: "gray with alpha", 6: "RGB with alpha" }[png.colorType];
  return `${png.bitDepth}-bit ${color ?? "unknown"}`;
}

async function decodeFloatTiff(bytes: Buffer, file: string): Promise<Plane<Float32Array>> {
  const fail = (reason: string): CodedError => new CodedError("DATA_DEPTH", `${file}: ${reason}`, { file, reason });
  let raw: { data: Buffer; info: { width: number; height: number } };
  try {
    const image = sharp(bytes, { failOn: "warning", limitInputPixels: MAX_PIXELS });
    const { depth, channels } = await image.metadata();
    if (depth !== "float" || channels !== 1)
      throw new Error(`expected one channel of floats, got ${channels} of ${depth}`);
    // "b-w" leaves a float band as it is; the other colour spaces would scale it.
    raw = await image.toColourspace("b-w").raw({ depth: "float" }).toBuffer({ resolveWithObject: true });
  } catch (error) {
    throw fail((error as Error).message.trim());
  }
  const copy = raw.data.buffer.slice(raw.data.byteOffset, raw.data.byteOffset + raw.data.length);
  const values = new Float32Array(copy as ArrayBuffer);
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    const x = i % raw.info.width;
    throw fail(`${values[i]} at x ${x}, y ${(i - x) / raw.info.width}: write 0 where there is no reading`);
  }
  return { width: raw.info.width, height: raw.info.height, values };
}

/** The value of the nearest pixel (by centres) for a map of `width` x `height`. */
export function resizeNearest<T extends Uint8Array | Uint16Array | Float32Array>(
  plane: Plane<T>,
  width: number,
  height: number,
): Plane<T> {
  if (plane.width === width && plane.height === height) return plane;
  const values = new (plane.values.constructor as new (length: number) => T)(width * height);
  const columns = new Int32Array(width);
  for (let x = 0; x < width; x++) columns[x] = Math.floor(((x + 0.5) * plane.width) / width);
  for (let y = 0, o = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * plane.height) / height) * plane.width;
    for (let x = 0; x < width; x++, o++) values[o] = plane.values[row + (columns[x] ?? 0)] ?? 0;
  }
  return { width, height, values };
}

type Wanted = Labels["depth"]["kind"];

/** How raw readings become the federation's kind of depth; `why` when they cannot. */
export type DepthRule =
  | { readonly usable: true; readonly scale: number; readonly reciprocal: boolean }
  | { readonly usable: false; readonly why: string };

/**
 * - metric wanted: metres; relative depth cannot give them, inverse depth only with a unit (1/metres).
 * - inverse wanted: 1/metres from metric depth, inverse depth as it is.
 * - relative wanted: metric and relative depth as they are, inverse depth as its reciprocal.
 * - none wanted (depth is input only): the dataset's own values, metres where the unit is known.
 */
export function depthRule(source: SourceDepth, wanted: Wanted): DepthRule {
  const scale = source.metersPerUnit ?? 1;
  const as = (reciprocal: boolean): DepthRule => ({ usable: true, scale, reciprocal });
  const never = (why: string): DepthRule => ({ usable: false, why });
  if (wanted === "none") return as(false);
  if (source.kind === wanted) return as(false);
  if (wanted === "metric")
    return source.kind === "inverse" && source.metersPerUnit !== null
      ? as(true)
      : never(`${source.kind} depth without a unit cannot become metric: give depth.unit_m`);
  if (wanted === "inverse")
    return source.kind === "metric" ? as(true) : never("relative depth cannot become inverse: its zero is unknown");
  return source.kind === "inverse" ? as(true) : as(false);
}

/** Applies a rule and the dataset's `invalid` readings. */
export function toDepthMap(
  raw: Plane<Uint16Array | Float32Array>,
  invalid: readonly number[],
  rule: Extract<DepthRule, { usable: true }>,
): DepthMap {
  const values = new Float32Array(raw.values.length);
  const valid = new Uint8Array(raw.values.length);
  const bad = new Set(invalid);
  for (let i = 0; i < values.length; i++) {
    const reading = raw.values[i] ?? 0;
    if (bad.has(reading) || (rule.reciprocal && reading <= 0)) continue;
    valid[i] = 1;
    values[i] = rule.reciprocal ? 1 / (reading * rule.scale) : reading * rule.scale;
  }
  return { values, valid };
}
