import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, stat, symlink, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { federationPaths } from "../../../coordinator/enrol/folder.ts";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import type { ChainLink } from "../../../shared/wire/release.ts";
import { cutAfter, flipAt, Relay } from "../../fakes/bad-network.ts";
import { never, Rig, sha256, until } from "../../fakes/transport-rig.ts";

const SIZE = 6_000_000;
const sid = sha256(Uint8Array.of(1));

function linkTo(hash: Sha256, bytes: number): ChainLink {
  return {
    federation: hash,
    version: 0,
    parentHash: null,
    paramsHash: hash,
    configHash: hash,
    update: null,
    keyframe: { sha256: hash, bytes },
    fallbacks: [],
    signature: "",
  };
}

describe("transfers over a bad network", () => {
  let rig: Rig;
  let relay: Relay;
  const bytes = new Uint8Array(randomBytes(SIZE));
  const hash = sha256(bytes);

  beforeEach(async () => {
    rig = await Rig.open();
    relay = await Relay.open(rig.server.url);
    rig.events.chain = async () => [linkTo(hash, SIZE)];
  });
  afterEach(async () => {
    await rig.dispose();
    relay.close();
  });

  const recorded = () => rig.seen.filter((line) => line === `uploaded alice ${hash} ${SIZE}`).length;
  const parts = () => readdir(federationPaths(rig.root).uploads).catch(() => []);

  test("an upload that is cut three times goes on where it stood", async () => {
    const alice = await rig.connect("alice", { url: relay.url });
    relay.up = cutAfter(1_500_000, 3);
    await alice.transport.upload(sid, hash, bytes, never);
    expect(recorded()).toBe(1);
    expect(Buffer.compare(await rig.federation.blobs.get(hash), bytes)).toBe(0);
    // What the sockets held at each cut is sent again, the rest is not.
    expect(relay.passed.up).toBeLessThan(1.8 * SIZE);
    expect(await parts()).toEqual([]);
  });

  test("an upload goes on after the coordinator was stopped in the middle and started again", async () => {
    const alice = await rig.connect("alice", { url: relay.url, bandwidth: { up: 8_000_000, down: null } });
    const upload = alice.transport.upload(sid, hash, bytes, never);
    await until(async () => {
      const [part] = await parts();
      return part !== undefined && (await stat(join(federationPaths(rig.root).uploads, part))).size > 1_000_000;
    });
    await rig.stop();
    expect(await parts()).toHaveLength(1);
    await rig.start();
    await upload;
    expect(recorded()).toBe(1);
    expect(relay.passed.up).toBeLessThan(1.9 * SIZE);
    expect(alice.seen.filter((line) => line === "connected").length).toBeGreaterThanOrEqual(2);
  });

  test("a bit flipped on the way up is caught, and the upload made again", async () => {
    const alice = await rig.connect("alice", { url: relay.url });
    relay.up = flipAt(3_000_000, 1);
    await alice.transport.upload(sid, hash, bytes, never);
    expect(relay.passed.up).toBeGreaterThan(2 * SIZE);
    expect(Buffer.compare(await rig.federation.blobs.get(hash), bytes)).toBe(0);
    expect(recorded()).toBe(1);
  });

  test("a network that always damages is given up with WIRE_HASH, and nothing is stored", async () => {
    const alice = await rig.connect("alice", { url: relay.url });
    relay.up = (chunk, position) =>
      Math.floor(position / 3_000_000) === Math.floor((position + chunk.length) / 3_000_000)
        ? chunk
        : Buffer.from(chunk.map((byte, i) => (i === chunk.length - 1 ? byte ^ 1 : byte)));
    await expect(alice.transport.upload(sid, hash, bytes, never)).rejects.toMatchObject({ code: "WIRE_HASH" });
    expect(await rig.federation.blobs.has(hash)).toBe(false);
    expect(await parts()).toEqual([]);
    expect(recorded()).toBe(0);
  });

  test("an upload goes on while the coordinator does not know yet that the connection before it is dead", async () => {
    const alice = await rig.connect("alice", { url: relay.url });
    async function* first(): AsyncIterable<Uint8Array> {
      yield bytes.subarray(0, 2_000_000);
      await new Promise<never>(() => {});
    }
    const key = { client: "alice" as ClientName, sid, hash };
    const before = rig.federation.uploads.receive(key, SIZE, 0, first());
    before.catch(() => {});
    await until(async () => (await parts()).length === 1);
    await alice.transport.upload(sid, hash, bytes, never);
    await expect(before).rejects.toMatchObject({ code: "UPLOAD_OFFSET" });
    expect(rig.log.filter((line) => line.includes("UPLOAD_OFFSET")).length).toBeLessThan(4);
    expect(recorded()).toBe(1);
  });

  test("the same upload again sends nothing and is recorded again", async () => {
    const alice = await rig.connect("alice", { url: relay.url });
    await alice.transport.upload(sid, hash, bytes, never);
    await alice.transport.upload(sid, hash, bytes, never);
    expect(recorded()).toBe(2);
  });

  test("an empty blob goes up and down", async () => {
    const empty = sha256(new Uint8Array());
    rig.events.chain = async () => [linkTo(empty, 0)];
    const alice = await rig.connect("alice");
    await alice.transport.upload(sid, empty, new Uint8Array(), never);
    expect(await alice.transport.download({ sha256: empty, bytes: 0 }, never)).toHaveLength(0);
  });

  test("an upload that is not expected, or larger than allowed, is refused with its code", async () => {
    const alice = await rig.connect("alice");
    rig.events.uploadLimit = () => null;
    await expect(alice.transport.upload(sid, hash, bytes, never)).rejects.toMatchObject({ code: "UPLOAD_REFUSED" });
    rig.events.uploadLimit = () => SIZE - 1;
    await expect(alice.transport.upload(sid, hash, bytes, never)).rejects.toMatchObject({ code: "WIRE_OVERSIZE" });
    expect(await rig.federation.blobs.has(hash)).toBe(false);
  });

  test("a full disk is STORE_FULL at the coordinator; the upload goes on by itself when there is room", async () => {
    const alice = await rig.connect("alice");
    const part = join(federationPaths(rig.root).uploads, `alice.${sid}.${hash}.part`);
    await mkdir(federationPaths(rig.root).uploads, { recursive: true });
    // Linux's own full disk: every write to it fails with ENOSPC.
    await symlink("/dev/full", part);
    const upload = alice.transport.upload(sid, hash, bytes, never);
    await until(() => rig.log.some((line) => line.includes("STORE_FULL")));
    expect(recorded()).toBe(0);
    await unlink(part);
    await upload;
    expect(Buffer.compare(await rig.federation.blobs.get(hash), bytes)).toBe(0);
  });

  test("a download that is cut three times goes on where it stood", async () => {
    await rig.federation.blobs.put(bytes);
    const alice = await rig.connect("alice", { url: relay.url });
    relay.down = cutAfter(1_500_000, 3);
    expect(Buffer.compare(await alice.transport.download({ sha256: hash, bytes: SIZE }, never), bytes)).toBe(0);
    expect(relay.passed.down).toBeLessThan(1.8 * SIZE);
  });

  test("a bit flipped on the way down is caught and fetched again, or given up with WIRE_HASH", async () => {
    await rig.federation.blobs.put(bytes);
    const alice = await rig.connect("alice", { url: relay.url });
    relay.down = flipAt(3_000_000, 1);
    expect(Buffer.compare(await alice.transport.download({ sha256: hash, bytes: SIZE }, never), bytes)).toBe(0);
    const other = sha256(Uint8Array.of(9));
    rig.events.chain = async () => [linkTo(other, SIZE)];
    const path = rig.federation.blobs.path(hash);
    await mkdir(dirname(rig.federation.blobs.path(other)), { recursive: true });
    await rename(path, rig.federation.blobs.path(other));
    await expect(alice.transport.download({ sha256: other, bytes: SIZE }, never)).rejects.toMatchObject({
      code: "WIRE_HASH",
    });
    await expect(alice.transport.download({ sha256: other, bytes: 10 }, never)).rejects.toMatchObject({
      code: "WIRE_HASH",
    });
  });

  test("what another client uploaded, and what is not there, cannot be fetched", async () => {
    rig.events.chain = async () => [];
    const alice = await rig.connect("alice");
    await alice.transport.upload(sid, hash, bytes, never);
    const bob = await rig.connect("bob");
    await expect(bob.transport.download({ sha256: hash, bytes: SIZE }, never)).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await expect(bob.transport.manifest(3, never)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("transfers wait while the coordinator is away, and end when they are told to", async () => {
    const alice = await rig.connect("alice", { url: relay.url });
    await rig.stop();
    await until(() => alice.seen.some((line) => line.startsWith("disconnected")));
    const stop = new AbortController();
    const upload = alice.transport.upload(sid, hash, bytes, stop.signal);
    const download = alice.transport.download({ sha256: hash, bytes: SIZE }, stop.signal);
    const chain = alice.transport.chain(-1, never);
    stop.abort(new Error("enough"));
    await expect(upload).rejects.toThrow("enough");
    await expect(download).rejects.toThrow("enough");
    await rig.start();
    expect(await chain).toEqual([linkTo(hash, SIZE)]);
    await rig.stop();
    await until(() => alice.seen.at(-1)?.startsWith("disconnected") === true);
    const waiting = expect(alice.transport.manifest(0, never)).rejects.toMatchObject({ code: "DISCONNECTED" });
    await alice.transport.close();
    await waiting;
    await rig.start();
  });

  test("a reader that does not read makes the coordinator wait, not buffer", async () => {
    const large = new Uint8Array(48 << 20);
    const largeHash = await rig.federation.blobs.put(large);
    rig.events.chain = async () => [linkTo(largeHash, large.length)];
    const slow = rig.client(await rig.enrol("slow"), { url: relay.url, bandwidth: { up: null, down: 200_000 } });
    slow.open();
    await until(() => slow.seen.includes("connected"));
    const stop = new AbortController();
    const download = slow.transport.download({ sha256: largeHash, bytes: large.length }, stop.signal);
    await new Promise((resolve) => setTimeout(resolve, 700));
    // Both kernels' socket buffers hold a few megabytes; the rest stays on the coordinator's disk.
    expect(relay.passed.down).toBeLessThan(24 << 20);
    stop.abort(new Error("enough"));
    await expect(download).rejects.toThrow("enough");
  });
});
