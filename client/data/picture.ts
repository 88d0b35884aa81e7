/** RGB pictures as bytes, decoded by libvips (sharp). Pixels stay as stored: no turning by EXIF, so that masks still fit. */
import sharp from "sharp";
import { CodedError } from "../../shared/errors.ts";
import { isPng, MAX_PIXELS, readPng } from "./png.ts";

// Pictures are read once an epoch; libvips' cache would only hold memory.
sharp.cache(false);

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** height * width * 3. */
  readonly rgb: Uint8Array;
}

/**
 * PNG, JPEG, WebP or TIFF; gray is repeated over the three channels, alpha dropped, 16 bits cut to 8.
 * Errors: DATA_PICTURE naming the file when it is anything else, truncated, damaged or beyond {@link MAX_PIXELS}.
 */
export async function decodePicture(bytes: Buffer, file: string): Promise<Picture> {
  if (format(bytes) === null)
    throw new CodedError("DATA_PICTURE", `${file}: not a PNG, JPEG, WebP or TIFF picture`, { file });
  // libvips does not miss the last chunk nor check all sums; this does.
  if (isPng(bytes)) readPng(bytes, file, "DATA_PICTURE");
  try {
    const { data, info } = await sharp(bytes, { failOn: "warning", limitInputPixels: MAX_PIXELS })
      .removeAlpha()
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) throw new Error(`${info.channels} channels`);
    return { width: info.width, height: info.height, rgb: new Uint8Array(data.buffer, data.byteOffset, data.length) };
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : String(error);
    throw new CodedError("DATA_PICTURE", `${file}: cannot be decoded (${reason})`, { file, reason }, { cause: error });
  }
}

/** By its first bytes, never by its name: formats that could name other files (SVG, PDF) are not looked at. */
function format(bytes: Buffer): "png" | "jpeg" | "webp" | "tiff" | null {
  if (isPng(bytes)) return "png";
  if (bytes.length > 3 && bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "jpeg";
  if (bytes.length > 12 && bytes.toString("latin1", 0, 4) === "RIFF" && bytes.toString("latin1", 8, 12) === "WEBP")
    return "webp";
  return isTiff(bytes) ? "tiff" : null;
}

export function isTiff(bytes: Buffer): boolean {
  const mark = bytes.length > 8 ? bytes.toString("latin1", 0, 4) : "";
  return mark === "II*\0" || mark === "MM\0*";
}
