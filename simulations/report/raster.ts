/** A small RGB canvas: class overlays, depth in colours, boxes with numbers. Encoded by sharp. */
import sharp from "sharp";
import { viridis, type Colour } from "./colours.ts";

export interface Raster {
  readonly width: number;
  readonly height: number;
  /** height * width * 3 */
  readonly rgb: Uint8Array;
}

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Panels of the report are about this wide; small pictures grow, large ones shrink. */
export const PANEL_WIDTH = 360;

function panelSize(width: number, height: number): { width: number; height: number } {
  return { width: PANEL_WIDTH, height: Math.max(1, Math.round((PANEL_WIDTH * height) / width)) };
}

/** A photograph at panel size; without RGB, mid grey. */
export async function photoRaster(width: number, height: number, rgb: Uint8Array | null): Promise<Raster> {
  const size = panelSize(width, height);
  if (rgb === null) return { ...size, rgb: new Uint8Array(size.width * size.height * 3).fill(96) };
  const raw = sharp(rgb, { raw: { width, height, channels: 3 } });
  const bytes = await raw.resize(size.width, size.height, { fit: "fill" }).raw().toBuffer();
  return { ...size, rgb: new Uint8Array(bytes) };
}

/**
 * Colours every pixel by `colourAt(index in the source)`; null leaves the pixel of `under`, or dark grey.
 *
 * @param opacity of the colours over `under`, for all pixels or by index
 */
export function paint(
  source: { readonly width: number; readonly height: number },
  under: Raster | null,
  opacity: number | ((index: number) => number),
  colourAt: (index: number) => Colour | null,
): Raster {
  const { width, height } = panelSize(source.width, source.height);
  const rgb = under === null ? new Uint8Array(width * height * 3).fill(52) : under.rgb.slice();
  for (let y = 0; y < height; y++) {
    const row = Math.min(source.height - 1, Math.floor(((y + 0.5) * source.height) / height)) * source.width;
    for (let x = 0; x < width; x++) {
      const index = row + Math.min(source.width - 1, Math.floor(((x + 0.5) * source.width) / width));
      const colour = colourAt(index);
      if (colour === null) continue;
      const at = (y * width + x) * 3;
      const share = under === null ? 1 : typeof opacity === "number" ? opacity : opacity(index);
      for (let k = 0; k < 3; k++) {
        rgb[at + k] = Math.round((rgb[at + k] as number) * (1 - share) + (colour[k] as number) * share);
      }
    }
  }
  return { width, height, rgb };
}

/** RGB of a depth map: near is bright between the ends of `scale`'s readings; dark grey where there is none. */
export function depthColours(values: Float32Array, scale: Float32Array): Uint8Array {
  const known = scale.filter((value) => !Number.isNaN(value));
  const near = known.reduce((low, value) => Math.min(low, value), Infinity);
  const far = known.reduce((high, value) => Math.max(high, value), -Infinity);
  const rgb = new Uint8Array(values.length * 3).fill(52);
  for (const [i, value] of values.entries()) {
    if (!Number.isNaN(value)) rgb.set(viridis(far > near ? (far - value) / (far - near) : 0.5), 3 * i);
  }
  return rgb;
}

/** Draws a frame of `thickness` pixels around a rectangle in panel pixels; `dash` 0 is a full line. */
export function drawFrame(raster: Raster, box: Rectangle, colour: Colour, thickness: number, dash = 0): void {
  const left = Math.round(box.x);
  const top = Math.round(box.y);
  const right = Math.round(box.x + box.width) - 1;
  const bottom = Math.round(box.y + box.height) - 1;
  const on = (along: number) => dash === 0 || Math.floor(along / dash) % 2 === 0;
  for (let t = 0; t < thickness; t++) {
    for (let x = left; x <= right; x++) {
      if (!on(x - left)) continue;
      setPixel(raster, x, top + t, colour);
      setPixel(raster, x, bottom - t, colour);
    }
    for (let y = top; y <= bottom; y++) {
      if (!on(y - top)) continue;
      setPixel(raster, left + t, y, colour);
      setPixel(raster, right - t, y, colour);
    }
  }
}

/** Digits of 3 x 5 pixels, one row of bits after the other: no font is needed. */
const DIGITS = [0x7b6f, 0x2c97, 0x73e7, 0x73cf, 0x5bc9, 0x79cf, 0x79ef, 0x7249, 0x7bef, 0x7bcf];
const DIGIT_SCALE = 2;

/** Writes a number on a filled tag whose top left corner is at (x, y), kept inside the picture. */
export function drawTag(raster: Raster, x: number, y: number, number: number, fill: Colour): void {
  const text = String(number);
  const width = (text.length * 4 + 1) * DIGIT_SCALE;
  const height = 7 * DIGIT_SCALE;
  const left = Math.max(0, Math.min(raster.width - width, Math.round(x)));
  const top = Math.max(0, Math.min(raster.height - height, Math.round(y)));
  const ink: Colour = fill[0] * 0.299 + fill[1] * 0.587 + fill[2] * 0.114 > 140 ? [0, 0, 0] : [255, 255, 255];
  for (let dy = 0; dy < height; dy++) for (let dx = 0; dx < width; dx++) setPixel(raster, left + dx, top + dy, fill);
  for (const [i, digit] of [...text].entries()) {
    const bits = DIGITS[Number(digit)] as number;
    for (let dy = 0; dy < 5 * DIGIT_SCALE; dy++) {
      for (let dx = 0; dx < 3 * DIGIT_SCALE; dx++) {
        const bit = 14 - (Math.floor(dy / DIGIT_SCALE) * 3 + Math.floor(dx / DIGIT_SCALE));
        if (((bits >> bit) & 1) === 0) continue;
        setPixel(raster, left + (1 + 4 * i) * DIGIT_SCALE + dx, top + DIGIT_SCALE + dy, ink);
      }
    }
  }
}

function setPixel(raster: Raster, x: number, y: number, colour: Colour): void {
  if (x < 0 || y < 0 || x >= raster.width || y >= raster.height) return;
  raster.rgb.set(colour, (y * raster.width + x) * 3);
}

/** PNG bytes; photographs and maps alike do with 256 colours at this size. */
export async function pngOf(raster: Raster): Promise<Uint8Array> {
  const raw = sharp(raster.rgb, { raw: { width: raster.width, height: raster.height, channels: 3 } });
  return new Uint8Array(await raw.png({ palette: true, quality: 95, effort: 4, compressionLevel: 9 }).toBuffer());
}
