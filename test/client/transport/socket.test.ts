import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { createServer } from "node:http";
import { heartbeat, never, Rig, sha256, until } from "../../fakes/transport-rig.ts";

describe("a client over real sockets", () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await Rig.open();
  });
  afterEach(() => rig.dispose());

  test("connects, sends and is answered once the coordinator has the message", async () => {
    const alice = await rig.connect("alice");
    await until(() => rig.seen.includes("connected alice"));
    await alice.transport.send(heartbeat);
    expect(rig.seen).toContain("alice heartbeat");
    rig.server.send("alice" as never, { type: "stopped", reason: "done" });
    await until(() => alice.messages.length === 1);
    expect(alice.messages).toEqual([{ type: "stopped", reason: "done" }]);
  });

  test("says why there is no connection, not how it was tried", async () => {
    const alice = rig.client(await rig.enrol("alice"));
    const { port } = new URL(rig.server.url);
    await rig.stop();
    alice.open();
    await until(() => alice.seen.length > 0);
    expect(alice.seen[0]).toBe(
      `disconnected cannot connect to http://127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}`,
    );
    const other = createServer((_request, response) => response.writeHead(502).end());
    await new Promise<void>((done) => other.listen(Number(port), "127.0.0.1", done));
    try {
      await until(() => alice.seen.some((line) => line.endsWith("it answers with HTTP status 502")));
    } finally {
      other.closeAllConnections();
      other.close();
    }
  });

  test("uploads and downloads by hash", async () => {
    const alice = await rig.connect("alice");
    const bytes = crypto.getRandomValues(new Uint8Array(65_536)).slice(0, 50_001);
    await alice.transport.upload(sha256(Uint8Array.of(1)), sha256(bytes), bytes, never);
    expect(rig.seen.at(-1)).toBe(`uploaded alice ${sha256(bytes)} 50001`);
    expect(Buffer.compare(await rig.federation.blobs.get(sha256(bytes)), bytes)).toBe(0);
  });
});
