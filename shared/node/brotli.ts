/** Brotli (RFC 7932) on Node's thread pool, with bounded output. */
import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, constants } from "node:zlib";
import { CodedError } from "../errors.ts";
import type { Compression } from "../release/ports.ts";

const pack = promisify(brotliCompress);
const unpack = promisify(brotliDecompress);

/** Quality 2: higher ones take several times as long for one percent less (docs/release-format.md has the figures). */
const QUALITY = 2;

export const brotli: Compression = {
  async compress(bytes) {
    return pack(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: QUALITY, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    });
  },
  async decompress(bytes, maxBytes) {
    try {
      return await unpack(bytes, { maxOutputLength: maxBytes });
    } catch (error) {
      throw new CodedError("RELEASE_FORMAT", "the bytes cannot be decompressed", { maxBytes }, { cause: error });
    }
  },
};
