import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blobSource } from "../../../coordinator/round/blob-source.ts";
import { FileBlobs } from "../../../coordinator/store/blobs.ts";
import type { BlobStore } from "../../../coordinator/store/port.ts";

const BYTES = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) >> 3);

describe("a stored vector", () => {
  let dir: string;
  let blobs: FileBlobs;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "allulook-blobs-"));
    blobs = new FileBlobs(dir);
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  async function readAll(source: ReturnType<typeof blobSource>, step: number): Promise<Uint8Array> {
    const parts = [];
    for (let at = 0; at < source.byteLength; at += step) {
      parts.push(Buffer.from(await source.read(at, Math.min(step, source.byteLength - at))));
    }
    return Buffer.concat(parts);
  }

  test.each([
    [1 << 20, 300_000],
    [1 << 20, 1 << 20],
    [65_536, 100_001],
    [1_000, 3_000_000],
  ])("goes by in memory of %i bytes that others use after it, in pieces of %i", async (bytes, step) => {
    const memory = new Uint8Array(bytes);
    const other = BYTES.toReversed();
    const hashes = [await blobs.put(BYTES), await blobs.put(other)];
    for (const [i, vector] of [BYTES, other].entries()) {
      const source = blobSource(blobs, hashes[i] as Awaited<ReturnType<typeof blobs.put>>, BYTES.length, memory);
      expect(Buffer.compare(await readAll(source, step), vector)).toBe(0);
    }
    const short = blobSource(blobs, hashes[0] as Awaited<ReturnType<typeof blobs.put>>, BYTES.length - 1, memory);
    await expect(readAll(short, step)).rejects.toMatchObject({ code: "WIRE_HASH" });
  });

  test.each([1024, 65_536, 3_000_000])("comes in pieces of %i bytes, and its file is closed", async (step) => {
    const hash = await blobs.put(BYTES);
    let closed = 0;
    const watched: Pick<BlobStore, "read"> = {
      async *read(which) {
        try {
          yield* blobs.read(which);
        } finally {
          closed++;
        }
      },
    };
    const got = await readAll(blobSource(watched as BlobStore, hash, BYTES.length), step);
    expect(Buffer.compare(got, BYTES)).toBe(0);
    expect(closed).toBe(1);
  });

  test("one bit changed on disk is caught", async () => {
    const hash = await blobs.put(BYTES);
    const spoilt = BYTES.slice();
    spoilt[2_999_999]! ^= 1;
    await writeFile(blobs.path(hash), spoilt);
    await expect(readAll(blobSource(blobs, hash, BYTES.length), 65_536)).rejects.toMatchObject({ code: "WIRE_HASH" });
    await writeFile(blobs.path(hash), BYTES);
  });

  test.each([-4, 4])("a length that is off by %i is caught", async (off) => {
    const hash = await blobs.put(BYTES);
    const source = blobSource(blobs, hash, BYTES.length + off);
    await expect(readAll(source, 65_536)).rejects.toMatchObject({ code: "WIRE_HASH" });
  });
});
