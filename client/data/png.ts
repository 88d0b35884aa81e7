/**
 * PNG (RFC 2083 / W3C PNG, third edition) as exact numbers: depth maps and class masks must reach the model bit for
 * bit, without gamma, colour profile, palette or scaling. Colour pictures go through `picture.ts` instead.
 */
import { crc32, inflateSync } from "node:zlib";
import { CodedError, type ErrorCode } from "../../shared/errors.ts";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Pictures, depth maps and masks beyond this many pixels are refused before they are decoded. */
export const MAX_PIXELS = 64 * 1024 * 1024;

export interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly bitDepth: number;
  /** 0 gray, 2 RGB, 3 palette, 4 gray + alpha, 6 RGB + alpha. */
  readonly colorType: number;
  readonly interlaced: boolean;
  /** The compressed stream, in pieces. */
  readonly data: readonly Buffer[];
}

export interface Plane<T extends Uint8Array | Uint16Array | Float32Array> {
  readonly width: number;
  readonly height: number;
  /** height * width, row by row. */
  readonly values: T;
}

export function isPng(bytes: Buffer): boolean {
  return bytes.length >= 8 && bytes.subarray(0, 8).equals(SIGNATURE);
}

/**
 * Walks every chunk and checks its length and CRC, so that a file cut or flipped anywhere is found.
 * Errors: `code`, naming the file.
 */
export function readPng(bytes: Buffer, file: string, code: ErrorCode): PngHeader {
  const fail = (why: string): CodedError => new CodedError(code, `${file}: ${why}`, { file, reason: why });
  if (!isPng(bytes)) throw fail("not a PNG");
  const data: Buffer[] = [];
  let header: Omit<PngHeader, "data"> | null = null;
  let at = 8;
  for (;;) {
    if (at + 12 > bytes.length) throw fail("truncated PNG");
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    const end = at + 12 + length;
    if (end > bytes.length) throw fail(`truncated PNG (chunk ${printable(type)})`);
    if (crc32(bytes.subarray(at + 4, end - 4)) !== bytes.readUInt32BE(end - 4))
      throw fail(`damaged PNG (checksum of chunk ${printable(type)})`);
    const body = bytes.subarray(at + 8, end - 4);
    if (header === null) {
      if (type !== "IHDR" || length !== 13) throw fail("damaged PNG (no header)");
      header = {
        width: body.readUInt32BE(0),
        height: body.readUInt32BE(4),
        bitDepth: body.readUInt8(8),
        colorType: body.readUInt8(9),
        interlaced: body.readUInt8(12) !== 0,
      };
      if (header.width === 0 || header.height === 0) throw fail("damaged PNG (no pixels)");
      if (header.width * header.height > MAX_PIXELS)
        throw fail(`${header.width} x ${header.height} is more than ${MAX_PIXELS} pixels`);
    } else if (type === "IDAT") data.push(body);
    at = end;
    if (type === "IEND") break;
  }
  return { ...header, data };
}

/**
 * The numbers of a PNG of one channel: gray levels or palette indices, unscaled (a 2-bit PNG gives 0 to 3).
 * Gray of 16 bits gives a Uint16Array, everything else a Uint8Array. Errors: `code`, naming the file.
 */
export function decodePngPlane(png: PngHeader, file: string, code: ErrorCode): Plane<Uint8Array | Uint16Array> {
  const { width, height, bitDepth, colorType } = png;
  const fail = (why: string): CodedError => new CodedError(code, `${file}: ${why}`, { file, reason: why });
  if (colorType !== 0 && colorType !== 3) throw fail("expected a PNG of one channel (gray), got colour or alpha");
  if (png.interlaced) throw fail("interlaced PNG: save it without interlacing");
  if (![1, 2, 4, 8, 16].includes(bitDepth) || (colorType === 3 && bitDepth === 16))
    throw fail(`damaged PNG (${bitDepth} bits)`);
  const stride = Math.ceil((width * bitDepth) / 8);
  let rows: Buffer;
  try {
    // One byte more than expected, so that a longer stream is an error, not a silent cut.
    rows = inflateSync(Buffer.concat(png.data), { maxOutputLength: (stride + 1) * height + 1 });
  } catch (error) {
    throw fail(`damaged PNG (${(error as Error).message})`);
  }
  if (rows.length !== (stride + 1) * height) throw fail("damaged PNG (number of rows)");
  unfilter(rows, stride, height, bitDepth === 16 ? 2 : 1, fail);
  return { width, height, values: unpack(rows, width, height, stride, bitDepth) };
}

/** Section 9 of the standard, in place; the bytes of row y end up at y * (stride + 1) + 1. */
function unfilter(
  rows: Buffer,
  stride: number,
  height: number,
  pixelBytes: number,
  fail: (why: string) => CodedError,
): void {
  for (let y = 0; y < height; y++) {
    const start = y * (stride + 1) + 1;
    const up = start - stride - 1;
    const filter = rows[start - 1] ?? 0;
    if (filter > 4) throw fail(`damaged PNG (filter ${filter} in row ${y})`);
    if (filter === 0) continue;
    for (let i = 0; i < stride; i++) {
      const left = i >= pixelBytes ? (rows[start + i - pixelBytes] ?? 0) : 0;
      const above = y > 0 ? (rows[up + i] ?? 0) : 0;
      let predicted: number;
      if (filter === 1) predicted = left;
      else if (filter === 2) predicted = above;
      else if (filter === 3) predicted = (left + above) >> 1;
      else {
        const corner = y > 0 && i >= pixelBytes ? (rows[up + i - pixelBytes] ?? 0) : 0;
        const p = left + above - corner;
        const toLeft = Math.abs(p - left);
        const toAbove = Math.abs(p - above);
        const toCorner = Math.abs(p - corner);
        predicted = toLeft <= toAbove && toLeft <= toCorner ? left : toAbove <= toCorner ? above : corner;
      }
      rows[start + i] = ((rows[start + i] ?? 0) + predicted) & 255;
    }
  }
}

function unpack(rows: Buffer, width: number, height: number, stride: number, bits: number): Uint8Array | Uint16Array {
  if (bits === 16) {
    const values = new Uint16Array(width * height);
    for (let y = 0, o = 0; y < height; y++) {
      const start = y * (stride + 1) + 1;
      for (let x = 0; x < width; x++, o++)
        values[o] = ((rows[start + 2 * x] ?? 0) << 8) | (rows[start + 2 * x + 1] ?? 0);
    }
    return values;
  }
  const values = new Uint8Array(width * height);
  const perByte = 8 / bits;
  const mask = (1 << bits) - 1;
  for (let y = 0; y < height; y++) {
    const start = y * (stride + 1) + 1;
    if (bits === 8) {
      values.set(rows.subarray(start, start + width), y * width);
      continue;
    }
    for (let x = 0; x < width; x++) {
      const byte = rows[start + Math.floor(x / perByte)] ?? 0;
      values[y * width + x] = (byte >> (8 - bits - (x % perByte) * bits)) & mask;
    }
  }
  return values;
}

function printable(type: string): string {
  return /^[A-Za-z]{4}$/.test(type) ? type : "?";
}
