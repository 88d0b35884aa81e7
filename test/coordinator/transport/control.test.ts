import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { io, type Socket } from "socket.io-client";
import type { ClientName } from "../../../shared/ids.ts";
import type { SigningKey } from "../../../shared/secagg/crypto-port.ts";
import { toBase64 } from "../../../shared/secagg/encoding.ts";
import { handshakeBytes, NONCE_BYTES, type Challenge, type Hello } from "../../../shared/wire/handshake.ts";
import { CONTROL_PATH } from "../../../shared/wire/http.ts";
import { MAX_MESSAGE_BYTES, PROTOCOL_VERSION } from "../../../shared/wire/messages.ts";
import { Relay } from "../../fakes/bad-network.ts";
import { crypto, heartbeat, hex, Rig, rng, until } from "../../fakes/transport-rig.ts";

/** A client that says exactly what a test wants. */
class RawClient {
  readonly socket: Socket;
  readonly heading: Hello;
  readonly errors: { code: string; message: string }[] = [];
  challenge: Challenge | null = null;
  answer: ((body: unknown) => void) | null = null;
  welcomed = false;
  closed = false;

  constructor(rig: Rig, heading: Partial<Hello> & { client: ClientName }) {
    this.heading = {
      protocol: PROTOCOL_VERSION,
      federation: rig.federation.identity.federationId,
      nonce: toBase64(rng.bytes(NONCE_BYTES)),
      ...heading,
    };
    this.socket = io(rig.server.url, {
      path: CONTROL_PATH,
      transports: ["websocket"],
      reconnection: false,
      forceNew: true,
      auth: this.heading,
    });
    this.socket.on("challenge", (challenge: Challenge, answer: (body: unknown) => void) => {
      this.challenge = challenge;
      this.answer = answer;
    });
    this.socket.on("welcome", () => {
      this.welcomed = true;
    });
    this.socket.on("refused", (error: { code: string; message: string }) => void this.errors.push(error));
    this.socket.on("connect_error", (error: Error & { data?: { code: string; message: string } }) => {
      this.errors.push(error.data ?? { code: "", message: error.message });
    });
    this.socket.on("disconnect", () => {
      this.closed = true;
    });
  }

  async refusal(): Promise<string | undefined> {
    await until(() => this.errors.length > 0);
    expect(this.welcomed).toBe(false);
    return this.errors[0]?.code;
  }

  proof(rig: Rig, key: SigningKey): string {
    const keyHex = hex(rig.federation.key.publicKey);
    return toBase64(key.sign(handshakeBytes("client", this.heading, this.challenge!.nonce, keyHex)));
  }

  async prove(rig: Rig, key: SigningKey): Promise<this> {
    await until(() => this.answer !== null);
    this.answer!({ proof: this.proof(rig, key) });
    await until(() => this.welcomed);
    return this;
  }
}

describe("the handshake", () => {
  let rig: Rig;
  let raws: RawClient[];
  beforeEach(async () => {
    rig = await Rig.open();
    raws = [];
  });
  afterEach(async () => {
    for (const raw of raws) raw.socket.disconnect();
    await rig.dispose();
  });
  const raw = (heading: Partial<Hello> & { client: ClientName }) => {
    const client = new RawClient(rig, heading);
    raws.push(client);
    return client;
  };

  test("lets the holder of the enrolled key in", async () => {
    const { name, key } = await rig.enrol("alice");
    await raw({ client: name }).prove(rig, key);
    await until(() => rig.seen.includes("connected alice"));
  });

  test("refuses another protocol version, another federation, unknown and unsigned clients by code", async () => {
    const { name } = await rig.enrol("alice");
    expect(await raw({ client: name, protocol: PROTOCOL_VERSION + 1 }).refusal()).toBe("WIRE_VERSION");
    expect(await raw({ client: name, federation: hex(rng.bytes(32)) }).refusal()).toBe("AUTH_UNKNOWN_CLIENT");
    expect(await raw({ client: "mallory" as ClientName }).refusal()).toBe("AUTH_UNKNOWN_CLIENT");
    expect(await raw({ client: name, nonce: "short" }).refusal()).toBe("WIRE_INVALID");
    expect(await raw({ client: "../../etc" as ClientName }).refusal()).toBe("WIRE_INVALID");
    const member = rig.federation.members.get("alice")!;
    await rig.federation.members.update({ ...member, certificate: null });
    expect(await raw({ client: name }).refusal()).toBe("AUTH_PENDING");
    expect(rig.seen).toEqual([]);
  });

  test("refuses a wrong key, a proof for another challenge, and no proof at all", async () => {
    const { name } = await rig.enrol("alice");
    const stranger = crypto.signingKey(rng.bytes(32));
    for (const answer of [
      (client: RawClient) => ({ proof: client.proof(rig, stranger) }),
      () => ({ proof: toBase64(new Uint8Array(64)) }),
      () => ({}),
      () => null,
      () => "proof",
    ]) {
      const client = raw({ client: name });
      await until(() => client.answer !== null);
      client.answer!(answer(client));
      expect(await client.refusal()).toBe("AUTH_REFUSED");
      await until(() => client.closed);
    }
    expect(rig.seen).toEqual([]);
  });

  test("refuses a recorded handshake played again, and the coordinator's own proof sent back", async () => {
    const { name, key } = await rig.enrol("alice");
    const honest = raw({ client: name });
    await honest.prove(rig, key);
    const recorded = honest.proof(rig, key);
    const replay = raw({ client: name, nonce: honest.heading.nonce });
    await until(() => replay.answer !== null);
    expect(replay.challenge?.nonce).not.toBe(honest.challenge?.nonce);
    replay.answer!({ proof: recorded });
    expect(await replay.refusal()).toBe("AUTH_REFUSED");
    const mirror = raw({ client: name });
    await until(() => mirror.answer !== null);
    mirror.answer!({ proof: mirror.challenge!.proof });
    expect(await mirror.refusal()).toBe("AUTH_REFUSED");
    expect(rig.seen.filter((line) => line === "connected alice")).toHaveLength(1);
  });

  test("looks at nothing that is sent before the proof", async () => {
    const { name } = await rig.enrol("alice");
    const eager = raw({ client: name });
    let answered = false;
    eager.socket.emit("message", heartbeat, () => void (answered = true));
    eager.socket.emit("token", () => void (answered = true));
    await until(() => eager.answer !== null);
    eager.answer!({ proof: "" });
    await eager.refusal();
    expect(answered).toBe(false);
    expect(rig.seen).toEqual([]);
  });

  test("a client gives no proof to a coordinator that does not hold the pinned key", async () => {
    const member = await rig.enrol("alice");
    const alice = rig.client(member, { coordinatorKey: hex(crypto.signingKey(rng.bytes(32)).publicKey) });
    alice.open();
    await until(() => alice.seen.some((line) => line.includes("AUTH_REFUSED")));
    expect(alice.seen).not.toContain("connected");
    expect(rig.seen).toEqual([]);
  });

  test("an address with too many failures waits", async () => {
    await rig.dispose();
    rig = await Rig.open({ limits: { joinsPerMinute: 100, failuresPerMinute: 3 } });
    const { name } = await rig.enrol("alice");
    for (let i = 0; i < 3; i++) {
      expect(await raw({ client: "mallory" as ClientName }).refusal()).toBe("AUTH_UNKNOWN_CLIENT");
    }
    expect(await raw({ client: name }).refusal()).toBe("WIRE_TOO_MANY");
  });
});

describe("control connections", () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await Rig.open();
  });
  afterEach(() => rig.dispose());

  test("a second connection replaces the first, and what the first sends is not heard", async () => {
    const member = await rig.enrol("alice");
    const first = await new RawClient(rig, { client: member.name }).prove(rig, member.key);
    const second = await new RawClient(rig, { client: member.name }).prove(rig, member.key);
    await until(() => first.closed);
    expect(first.errors).toEqual([{ code: "DISCONNECTED", message: "replaced by another connection" }]);
    expect(rig.seen).toEqual(["connected alice", "connected alice"]);
    expect(await second.socket.timeout(5_000).emitWithAck("message", heartbeat)).toEqual({ ok: true });
    second.socket.disconnect();
    await until(() => rig.seen.at(-1) === "disconnected alice");
    expect(rig.seen.filter((line) => line.startsWith("disconnected"))).toHaveLength(1);
  });

  test("messages that break the schema are refused by field; the connection stays", async () => {
    const member = await rig.enrol("alice");
    const client = await new RawClient(rig, { client: member.name }).prove(rig, member.key);
    for (const body of [
      null,
      7,
      {},
      { type: "dance" },
      { ...heartbeat, extra: 1 },
      { type: "ready", configHash: "x" },
    ]) {
      const answer: unknown = await client.socket.timeout(5_000).emitWithAck("message", body);
      expect(answer).toMatchObject({ error: { code: "WIRE_INVALID" } });
    }
    expect(await client.socket.timeout(5_000).emitWithAck("message", heartbeat)).toEqual({ ok: true });
    client.socket.disconnect();
  });

  test("an oversize message is refused at the sender, an oversize frame ends the connection, the server lives on", async () => {
    const alice = await rig.connect("alice");
    const decline = { type: "decline", sid: hex(rng.bytes(32)), reason: { code: "X", message: "" } } as const;
    const large = { ...decline, reason: { code: "X", message: "x".repeat(MAX_MESSAGE_BYTES + 65_536) } };
    await expect(alice.transport.send(large)).rejects.toMatchObject({ code: "WIRE_OVERSIZE" });
    rig.server.send("alice" as ClientName, { type: "stopped", reason: large.reason.message });
    expect(rig.log.some((line) => line.startsWith("error cannot send") && line.includes("WIRE_OVERSIZE"))).toBe(true);
    const member = await rig.enrol("bob");
    const bob = await new RawClient(rig, { client: member.name }).prove(rig, member.key);
    bob.socket.emit("message", large, () => undefined);
    await until(() => bob.closed);
    await alice.transport.send(heartbeat);
    expect(rig.seen).not.toContain("bob decline");
  });

  test("a refusal inside reaches the sender with its code, and nothing of an unforeseen error does", async () => {
    const { CodedError } = await import("../../../shared/errors.ts");
    const alice = await rig.connect("alice");
    rig.events.message = async () => {
      throw new CodedError("SECAGG_STEP", "not now");
    };
    await expect(alice.transport.send(heartbeat)).rejects.toMatchObject({ code: "SECAGG_STEP", message: "not now" });
    rig.events.message = async () => {
      throw new TypeError("secret path /root/x");
    };
    const failed = await alice.transport.send(heartbeat).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: "COORDINATOR_FAILED" });
    expect(String(failed)).not.toContain("secret");
  });

  test("an acknowledgement comes only after the message is durable", async () => {
    const alice = await rig.connect("alice");
    let durable: () => void = () => undefined;
    rig.events.message = () => new Promise((resolve) => void (durable = resolve));
    let acknowledged = false;
    const sent = alice.transport.send(heartbeat).then(() => void (acknowledged = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(acknowledged).toBe(false);
    durable();
    await sent;
  });

  test("a client that takes nothing is disconnected instead of buffered for", async () => {
    const member = await rig.enrol("alice");
    const deaf = await new RawClient(rig, { client: member.name }).prove(rig, member.key);
    // Received, never acknowledged.
    deaf.socket.on("message", () => undefined);
    const message = { type: "stopped", reason: "x".repeat(7 << 20) } as const;
    for (let i = 0; i < 6; i++) rig.server.send(member.name, message);
    await until(() => deaf.closed);
    await until(() => rig.seen.includes("disconnected alice"));
  });

  test("a lost connection rejects what is under way, and the client comes back by itself", async () => {
    const relay = await Relay.open(rig.server.url);
    const alice = await rig.connect("alice", { url: relay.url });
    rig.events.message = () => new Promise(() => undefined);
    const sent = expect(alice.transport.send(heartbeat)).rejects.toMatchObject({ code: "DISCONNECTED" });
    await until(() => relay.passed.up > 0);
    relay.cutAll();
    await sent;
    await expect(alice.transport.send(heartbeat)).rejects.toMatchObject({ code: "DISCONNECTED" });
    await until(() => alice.seen.filter((line) => line === "connected").length === 2);
    rig.events.message = async () => undefined;
    await alice.transport.send(heartbeat);
    relay.close();
  });

  test("clients come back after the coordinator was stopped and started", async () => {
    const [alice, bob] = [await rig.connect("alice"), await rig.connect("bob")];
    await rig.stop();
    await until(() => [alice, bob].every((client) => client.seen.at(-1)?.startsWith("disconnected") === true));
    await rig.start();
    await until(() => [alice, bob].every((client) => client.seen.at(-1) === "connected"));
    await Promise.all([alice.transport.send(heartbeat), bob.transport.send(heartbeat)]);
    expect(alice.seen.filter((line) => line === "connected")).toHaveLength(2);
  });

  test("a client that cannot use web sockets talks over long polling", async () => {
    const member = await rig.enrol("alice");
    const socket = io(rig.server.url, {
      path: CONTROL_PATH,
      transports: ["polling"],
      reconnection: false,
      forceNew: true,
      auth: {
        protocol: PROTOCOL_VERSION,
        federation: rig.federation.identity.federationId,
        client: member.name,
        nonce: toBase64(rng.bytes(NONCE_BYTES)),
      },
    });
    let challenged = false;
    socket.on("challenge", () => void (challenged = true));
    await until(() => challenged);
    socket.disconnect();
  });
});
