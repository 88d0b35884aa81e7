/**
 * Reads chosen files out of a ZIP archive (Python wheels are ZIP archives) without holding them in memory.
 * Format: PKWARE APPNOTE 6.3.9, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (its end).
 */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, type FileHandle } from "node:fs/promises";
import { dirname, isAbsolute, join, relative } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32, createInflateRaw } from "node:zlib";
import { CodedError } from "../../../../shared/errors.ts";

interface ZipEntry {
  readonly name: string;
  readonly method: number;
  readonly crc32: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly headerOffset: number;
}

const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const MAX_COMMENT = 65_535;

/**
 * Lists the archive's files.
 *
 * @throws CodedError ENGINE_ARCHIVE when it is not a ZIP archive, or one larger than 4 GiB
 */
async function readZipEntries(file: FileHandle): Promise<ZipEntry[]> {
  const { size } = await file.stat();
  const tail = Buffer.alloc(Math.min(size, 22 + MAX_COMMENT));
  await file.read(tail, 0, tail.length, size - tail.length);
  let end = tail.length - 22;
  while (end >= 0 && tail.readUInt32LE(end) !== END_SIGNATURE) end--;
  if (end < 0) throw new CodedError("ENGINE_ARCHIVE", "The archive is no ZIP file or is cut short.");

  const count = tail.readUInt16LE(end + 10);
  const directorySize = tail.readUInt32LE(end + 12);
  const directoryOffset = tail.readUInt32LE(end + 16);
  if (directoryOffset + directorySize > size) {
    throw new CodedError("ENGINE_ARCHIVE", "The archive's directory lies outside the file.");
  }
  const directory = Buffer.alloc(directorySize);
  await file.read(directory, 0, directorySize, directoryOffset);
  const entries: ZipEntry[] = [];
  for (let at = 0, i = 0; i < count; i++) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== ENTRY_SIGNATURE) {
      throw new CodedError("ENGINE_ARCHIVE", "The archive's directory is damaged.");
    }
    const nameLength = directory.readUInt16LE(at + 28);
    entries.push({
      name: directory.toString("utf8", at + 46, at + 46 + nameLength),
      method: directory.readUInt16LE(at + 10),
      crc32: directory.readUInt32LE(at + 16),
      compressedSize: directory.readUInt32LE(at + 20),
      size: directory.readUInt32LE(at + 24),
      headerOffset: directory.readUInt32LE(at + 42),
    });
    at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return entries;
}

/**
 * Writes the wanted files of an archive below `folder`.
 *
 * @param want gives the path below `folder` for an archive member's name, or null to leave it out
 * @returns the number of files written
 * @throws CodedError ENGINE_ARCHIVE when the archive is damaged or a path would leave `folder`
 */
export async function extractZip(
  archive: string,
  folder: string,
  want: (name: string) => string | null,
): Promise<number> {
  const file = await open(archive, "r");
  try {
    let written = 0;
    for (const entry of await readZipEntries(file)) {
      const path = entry.name.endsWith("/") ? null : want(entry.name);
      if (path === null) continue;
      const target = join(folder, path);
      const inside = relative(folder, target);
      if (inside.startsWith("..") || isAbsolute(inside)) {
        throw new CodedError("ENGINE_ARCHIVE", `The archive's member ${entry.name} leads out of the folder.`);
      }
      await mkdir(dirname(target), { recursive: true });
      await extractEntry(archive, file, entry, target);
      written++;
    }
    return written;
  } finally {
    await file.close();
  }
}

async function extractEntry(archive: string, file: FileHandle, entry: ZipEntry, target: string): Promise<void> {
  const header = Buffer.alloc(30);
  await file.read(header, 0, 30, entry.headerOffset);
  const start = entry.headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  let crc = 0;
  let size = 0;
  const check = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      crc = crc32(chunk, crc);
      size += chunk.length;
      done(null, chunk);
    },
  });
  if (entry.size > 0) {
    const end = start + entry.compressedSize - 1;
    const source = createReadStream(archive, { start, end, highWaterMark: 1 << 20 });
    const sink = createWriteStream(target);
    if (entry.method === 8) await pipeline(source, createInflateRaw({ chunkSize: 1 << 20 }), check, sink);
    else if (entry.method === 0) await pipeline(source, check, sink);
    else throw new CodedError("ENGINE_ARCHIVE", `${entry.name} is packed with method ${entry.method}, not deflate.`);
  } else {
    await pipeline([], createWriteStream(target));
  }
  if (size !== entry.size || crc !== entry.crc32) {
    throw new CodedError("ENGINE_ARCHIVE", `${entry.name} is damaged in the archive.`);
  }
}
