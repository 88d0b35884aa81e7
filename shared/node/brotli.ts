/** Brotli (RFC 7932), on Node's thread pool unless it is short, with bounded output. */
import { promisify } from "node:util";
import { brotliCompress, brotliCompressSync, brotliDecompress, constants } from "node:zlib";
import { CodedError } from "../errors.ts";
import type { Compression } from "../release/ports.ts";

const pack = promisify(brotliCompress);
const unpack = promisify(brotliDecompress);

/** Quality 2: higher ones take several times as long for one percent less (docs/release-format.md has the figures). */
const QUALITY = 2;

/** So few bytes take less time than handing them to another thread. */
const SHORT = 65_536;

export const brotli: Compression = {
  async compress(bytes) {
    const params = { [constants.BROTLI_PARAM_QUALITY]: QUALITY, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
    return bytes.length <= SHORT ? brotliCompressSync(bytes, { params }) : pack(bytes, { params });
  },
  async decompress(bytes, maxBytes) {
    try {
      return await unpack(bytes, { maxOutputLength: maxBytes });
    } catch (error) {
      throw new CodedError("RELEASE_FORMAT", "the bytes cannot be decompressed", { maxBytes }, { cause: error });
    }
  },
};
