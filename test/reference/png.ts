/** Writes PNGs of one channel with any bit depth, filter and palette, as the standard says, one bit at a time. */
import { crc32, deflateSync } from "node:zlib";

export interface PngPlan {
  readonly width: number;
  readonly height: number;
  readonly bits: 1 | 2 | 4 | 8 | 16;
  readonly palette: boolean;
  /** Filter type of each row, 0 to 4. */
  readonly filters: readonly number[];
  /** height * width values below 2^bits. */
  readonly values: readonly number[];
}

export function writePng(plan: PngPlan): Buffer {
  const { width, height, bits } = plan;
  const stride = Math.ceil((width * bits) / 8);
  const unit = Math.max(1, bits / 8);
  const plain: number[][] = [];
  for (let y = 0; y < height; y++) {
    const text = plan.values
      .slice(y * width, (y + 1) * width)
      .map((value) => value.toString(2).padStart(bits, "0"))
      .join("")
      .padEnd(stride * 8, "0");
    plain.push(Array.from({ length: stride }, (_, i) => Number.parseInt(text.slice(8 * i, 8 * i + 8), 2)));
  }
  const rows = plain.flatMap((row, y) => {
    const filter = plan.filters[y] ?? 0;
    const filtered = row.map((byte, i) => {
      const a = row[i - unit] ?? 0;
      const b = plain[y - 1]?.[i] ?? 0;
      const c = i >= unit ? (plain[y - 1]?.[i - unit] ?? 0) : 0;
      return (byte - predict(filter, a, b, c)) & 255;
    });
    return [filter, ...filtered];
  });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = bits;
  header[9] = plan.palette ? 3 : 0;
  const colors = Buffer.from(Array.from({ length: 3 * 2 ** Math.min(8, bits) }, (_, i) => (i * 37) % 256));
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    ...(plan.palette ? [chunk("PLTE", colors)] : []),
    chunk("IDAT", deflateSync(Buffer.from(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function predict(filter: number, a: number, b: number, c: number): number {
  const p = a + b - c;
  const nearest = [a, b, c].reduce((best, one) => (Math.abs(p - one) < Math.abs(p - best) ? one : best));
  return [0, a, b, Math.floor((a + b) / 2), nearest][filter] ?? 0;
}

export function chunk(type: string, body: Buffer): Buffer {
  const out = Buffer.alloc(12 + body.length);
  out.writeUInt32BE(body.length, 0);
  out.write(type, 4, "latin1");
  body.copy(out, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + body.length)), 8 + body.length);
  return out;
}
