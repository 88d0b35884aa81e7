import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { FileBlobs, storageFailure } from "../../../coordinator/store/blobs.ts";
import { Uploads, type UploadKey } from "../../../coordinator/store/uploads.ts";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import { rng, sha256 } from "../../fakes/transport-rig.ts";

let dir: string;
let blobs: FileBlobs;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "allulook-blobs-"));
  blobs = new FileBlobs(join(dir, "blobs"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function damage(hash: Sha256): Promise<void> {
  const bytes = await readFile(blobs.path(hash));
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
  await writeFile(blobs.path(hash), bytes);
}

async function collected(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) {
    expect(chunk.length).toBeLessThanOrEqual(1 << 20);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

describe("blobs as files", () => {
  test("what is put under a hash comes back under it, whole and in chunks", async () => {
    for (const size of [0, 1, 1 << 20, (1 << 20) + 1, 3_000_000]) {
      const bytes = rng.bytes(size);
      const hash = await blobs.put(bytes);
      expect(hash).toBe(sha256(bytes));
      expect(Buffer.compare(await blobs.get(hash), bytes)).toBe(0);
      expect(Buffer.compare(await collected(blobs.read(hash)), bytes)).toBe(0);
      expect(blobs.path(hash)).toBe(join(dir, "blobs", hash.slice(0, 2), hash.slice(2, 4), hash));
    }
  });

  test("the same bytes put many times at once are one file", async () => {
    const bytes = rng.bytes(100_000);
    const hashes = await Promise.all(Array.from({ length: 8 }, () => blobs.put(bytes)));
    expect(new Set(hashes).size).toBe(1);
    expect(Buffer.compare(await blobs.get(hashes[0]!), bytes)).toBe(0);
  });

  test("a flipped bit, a cut and a missing file are STORE_CORRUPT", async () => {
    const hash = await blobs.put(rng.bytes(1_500_000));
    await damage(hash);
    await expect(blobs.get(hash)).rejects.toMatchObject({ code: "STORE_CORRUPT" });
    await expect(collected(blobs.read(hash))).rejects.toMatchObject({ code: "STORE_CORRUPT" });
    await blobs.delete(hash);
    expect(await blobs.has(hash)).toBe(false);
    await expect(blobs.get(hash)).rejects.toMatchObject({ code: "STORE_CORRUPT" });
    await expect(collected(blobs.read(hash))).rejects.toMatchObject({ code: "STORE_CORRUPT" });
    await blobs.delete(hash);
  });

  test("collecting deletes what is old and not live, and what crashes left behind", async () => {
    const [live, dead, fresh] = [
      await blobs.put(rng.bytes(10)),
      await blobs.put(rng.bytes(20)),
      await blobs.put(rng.bytes(30)),
    ];
    const old = new Date(Date.now() - 2 * 3_600_000);
    const left = join(dir, "blobs", "incoming", "left.tmp");
    await writeFile(left, "half");
    for (const path of [blobs.path(live), blobs.path(dead), left]) await utimes(path, old, old);
    // What this process has put is young, whatever the file says.
    expect(await blobs.collect(new Set([live]))).toEqual({ files: 1, bytes: 4 });
    await writeFile(left, "half");
    await utimes(left, old, old);
    expect(await new FileBlobs(join(dir, "blobs")).collect(new Set([live]))).toEqual({ files: 2, bytes: 24 });
    expect([await blobs.has(live), await blobs.has(dead), await blobs.has(fresh)]).toEqual([true, false, true]);
    await expect(stat(left)).rejects.toThrow("ENOENT");
  });

  test("a blob that is put again while its old copy is being collected is there afterwards", async () => {
    const old = new Date(Date.now() - 2 * 3_600_000);
    for (let i = 0; i < 60; i++) {
      const bytes = rng.bytes(20);
      const hash = await new FileBlobs(join(dir, "blobs")).put(bytes);
      await utimes(blobs.path(hash), old, old);
      const collecting = blobs.collect(new Set());
      // Every few turns later: before, during and after the deletion.
      for (let turn = 0; turn < i; turn++) await Promise.resolve();
      if (i % 3 === 0) await new Promise((done) => setImmediate(done));
      await blobs.put(bytes);
      await collecting;
      expect(await blobs.has(hash)).toBe(true);
      await blobs.delete(hash);
    }
  });

  test("a full disk is STORE_FULL and leaves nothing behind", async () => {
    for (const code of ["ENOSPC", "EDQUOT"]) {
      expect(storageFailure(Object.assign(new Error(code), { code }))).toMatchObject({ code: "STORE_FULL" });
    }
    const small = join(dir, "small");
    await mkdir(small);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", small], { stdio: "ignore" });
    } catch {
      // Only root may mount; /dev/full tests the same in test/client/transport/transfer.test.ts.
      return;
    }
    try {
      const crowded = new FileBlobs(small);
      const fits = await crowded.put(rng.bytes(50_000));
      await expect(crowded.put(rng.bytes(500_000))).rejects.toMatchObject({ code: "STORE_FULL" });
      expect(await crowded.get(fits)).toHaveLength(50_000);
      expect(await crowded.collect(new Set([fits]), 0)).toEqual({ files: 0, bytes: 0 });
      await crowded.put(rng.bytes(50_000));
    } finally {
      execFileSync("umount", [small]);
    }
  });
});

describe("uploads in progress", () => {
  const client = "alice" as ClientName;
  const sid = sha256(Uint8Array.of(1));
  let uploads: Uploads;
  beforeEach(() => {
    uploads = new Uploads(join(dir, "uploads"), blobs);
  });

  async function* pieces(
    bytes: Uint8Array,
    size: number,
    breakAt = Number.POSITIVE_INFINITY,
  ): AsyncIterable<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) {
      if (at >= breakAt) throw Object.assign(new Error("aborted"), { code: "ECONNRESET" });
      yield bytes.subarray(at, at + size);
    }
  }

  test("a client begins two in one session and no more, also at once and after a restart", async () => {
    const begin = (n: number, of = uploads, who = client) =>
      of.receive({ client: who, sid, hash: sha256(Uint8Array.of(n)) }, 1_000, 0, pieces(new Uint8Array(10), 10));
    const outcomes = await Promise.allSettled([1, 2, 3, 4, 5].map((n) => begin(n)));
    expect(outcomes.filter(({ status }) => status === "fulfilled").length).toBeLessThanOrEqual(2);
    for (let n = 10; n < 15; n++) await begin(n).catch(() => {});
    expect(await readdir(join(dir, "uploads"))).toHaveLength(2);
    await expect(begin(20, new Uploads(join(dir, "uploads"), blobs))).rejects.toMatchObject({ code: "UPLOAD_REFUSED" });
    // Another client, and what was begun before, go on.
    await begin(1, uploads, "bob" as ClientName);
    const [name] = (await readdir(join(dir, "uploads"))).filter((file) => file.startsWith("alice."));
    const key = { client, sid, hash: name?.split(".")[2] as typeof sid };
    expect(await uploads.receive(key, 1_000, 10, pieces(new Uint8Array(10), 10))).toMatchObject({ offset: 20 });
  });

  test("any series of breaks, and restarts between them, ends in the same blob", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3_000_000 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 3_000_000 }), fc.boolean()), { maxLength: 4 }),
        fc.integer({ min: 1_000, max: 1 << 19 }),
        async (length, breaks, size) => {
          const bytes = rng.bytes(length);
          const key: UploadKey = { client, sid, hash: sha256(bytes) };
          for (const [breakAt, restart] of breaks) {
            const { offset, complete } = await uploads.offset(key);
            if (complete) break;
            await uploads
              .receive(key, length, offset, pieces(bytes.subarray(offset), size, breakAt))
              .catch((error: unknown) => expect(error).toMatchObject({ code: "ECONNRESET" }));
            if (restart) uploads = new Uploads(join(dir, "uploads"), blobs);
          }
          const { offset } = await uploads.offset(key);
          expect(await uploads.receive(key, length, offset, pieces(bytes.subarray(offset), size))).toEqual({
            offset: length,
            complete: true,
          });
          expect(Buffer.compare(await blobs.get(key.hash), bytes)).toBe(0);
        },
      ),
      { numRuns: 15 },
    );
  });

  test("a wrong offset is answered with the right one", async () => {
    const bytes = rng.bytes(300_000);
    const key = { client, sid, hash: sha256(bytes) };
    await uploads.receive(key, bytes.length, 0, pieces(bytes.subarray(0, 200_000), 100_000));
    for (const offset of [0, 100_000, 300_000]) {
      await expect(uploads.receive(key, bytes.length, offset, pieces(bytes, 1_000))).rejects.toMatchObject({
        code: "UPLOAD_OFFSET",
        details: { offset: 200_000 },
      });
    }
  });

  test("a later connection takes over from one that has fallen silent", async () => {
    const bytes = rng.bytes(300_000);
    const key = { client, sid, hash: sha256(bytes) };
    let fellSilent = (): void => {};
    const silence = new Promise<void>((resolve) => (fellSilent = resolve));
    async function* silent() {
      yield bytes.subarray(0, 200_000);
      fellSilent();
      await new Promise<never>(() => {});
    }
    const lost = uploads.receive(key, bytes.length, 0, silent());
    lost.catch(() => {});
    await silence;
    const blind = uploads.receive(key, bytes.length, 0, pieces(bytes, 100_000));
    await expect(blind).rejects.toMatchObject({ code: "UPLOAD_OFFSET", details: { offset: 200_000 } });
    await expect(lost).rejects.toMatchObject({ code: "UPLOAD_OFFSET", details: { offset: null } });
    const rest = uploads.receive(key, bytes.length, 200_000, pieces(bytes.subarray(200_000), 1_000));
    expect(await rest).toEqual({ offset: bytes.length, complete: true });
    expect(Buffer.compare(await blobs.get(key.hash), bytes)).toBe(0);
  });

  test("of any number of senders at once, the last can go on", async () => {
    const bytes = rng.bytes(300_000);
    const key = { client, sid, hash: sha256(bytes) };
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, () => uploads.receive(key, bytes.length, 0, pieces(bytes, 1_000))),
    );
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "UPLOAD_OFFSET" });
      else expect(outcome.value).toMatchObject({ complete: true });
    }
    const { offset, complete } = await uploads.offset(key);
    if (!complete) await uploads.receive(key, bytes.length, offset, pieces(bytes.subarray(offset), 1_000));
    expect(Buffer.compare(await blobs.get(key.hash), bytes)).toBe(0);
  });

  test("more bytes than announced, and bytes that do not match, leave nothing behind", async () => {
    const bytes = rng.bytes(100_000);
    const key = { client, sid, hash: sha256(bytes) };
    await expect(uploads.receive(key, 99_999, 0, pieces(bytes, 1_000))).rejects.toMatchObject({
      code: "WIRE_OVERSIZE",
    });
    const wrong = Uint8Array.from(bytes);
    wrong[50_000] = (wrong[50_000] as number) ^ 128;
    await expect(uploads.receive(key, 100_000, 0, pieces(wrong, 1_000))).rejects.toMatchObject({ code: "WIRE_HASH" });
    expect(await uploads.offset(key)).toEqual({ offset: 0, complete: false });
    expect(await uploads.receive(key, 100_000, 0, pieces(bytes, 1_000))).toMatchObject({ complete: true });
  });

  test("a partial file that was changed on disk is caught at the end", async () => {
    const bytes = rng.bytes(300_000);
    const key = { client, sid, hash: sha256(bytes) };
    await uploads.receive(key, bytes.length, 0, pieces(bytes.subarray(0, 200_000), 100_000));
    const path = join(dir, "uploads", `${client}.${sid}.${key.hash}.part`);
    await writeFile(path, rng.bytes(200_000));
    uploads = new Uploads(join(dir, "uploads"), blobs);
    await expect(
      uploads.receive(key, bytes.length, 200_000, pieces(bytes.subarray(200_000), 100_000)),
    ).rejects.toMatchObject({ code: "WIRE_HASH" });
  });

  test("what nobody expects any more is thrown away", async () => {
    const bytes = rng.bytes(1_000);
    const [kept, dropped] = [sha256(Uint8Array.of(2)), sha256(Uint8Array.of(3))];
    for (const session of [kept, dropped]) {
      await uploads.receive(
        { client, sid: session, hash: sha256(bytes) },
        1_000,
        0,
        pieces(bytes.subarray(0, 500), 100),
      );
    }
    await uploads.discard((key) => key.sid === kept);
    expect((await uploads.offset({ client, sid: kept, hash: sha256(bytes) })).offset).toBe(500);
    expect((await uploads.offset({ client, sid: dropped, hash: sha256(bytes) })).offset).toBe(0);
  });
});
