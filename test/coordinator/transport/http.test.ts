import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { Agent, request } from "undici";
import { Bearers } from "../../../coordinator/transport/bearers.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { heartbeat, never, Rig, rng, sha256 } from "../../fakes/transport-rig.ts";

const dispatcher = new Agent({ keepAliveTimeout: 1 });

describe("the HTTP side", () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await Rig.open({
      actions: { status: async () => ({ phase: "recruiting" }), fail: async () => Promise.reject(new Error("inside")) },
      limits: { joinsPerMinute: 4, failuresPerMinute: 6 },
    });
  });
  afterEach(() => rig.dispose());

  async function ask(method: "GET" | "POST" | "PATCH" | "HEAD", path: string, headers = {}, body?: string) {
    const response = await request(rig.server.url + path, { method, headers, body: body ?? null, dispatcher });
    const text = await response.body.text();
    let json: unknown = null;
    try {
      json = JSON.parse(text);
    } catch {
      json = text;
    }
    return { status: response.statusCode, headers: response.headers, body: json };
  }
  const json = { "content-type": "application/json" };

  test("says who it is, with security headers", async () => {
    const { status, headers, body } = await ask("GET", "/v1/health");
    expect(status).toBe(200);
    expect(body).toEqual({ federation: "test", id: rig.federation.identity.federationId, protocol: 1 });
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["content-security-policy"]).toContain("default-src 'self'");
    expect(headers["x-powered-by"]).toBeUndefined();
  });

  test("answers what nobody serves, and what cannot be parsed, with coded JSON", async () => {
    expect(await ask("GET", "/")).toMatchObject({ status: 404, body: { error: { code: "NOT_FOUND" } } });
    expect(await ask("POST", "/v1/join", json, "{")).toMatchObject({
      status: 400,
      body: { error: { code: "WIRE_INVALID" } },
    });
    expect(await ask("POST", "/v1/join", json, `{"a":"${"x".repeat(20_000)}"}`)).toMatchObject({
      status: 413,
      body: { error: { code: "WIRE_OVERSIZE" } },
    });
    expect(await ask("POST", "/v1/join", json, '{"protocol":2}')).toMatchObject({
      status: 426,
      body: { error: { code: "WIRE_VERSION" } },
    });
  });

  test("limits how often an address may try to join", async () => {
    for (let i = 0; i < 4; i++) await ask("POST", "/v1/join", json, "{}");
    expect(await ask("POST", "/v1/join", json, "{}")).toMatchObject({
      status: 429,
      body: { error: { code: "WIRE_TOO_MANY" } },
    });
  });

  test("wants a token for everything a member does, and limits guessing", async () => {
    const blob = sha256(rng.bytes(3));
    const paths = ["/v1/chain?after=-1", `/v1/blobs/${blob}`, "/v1/manifest/0"];
    for (const path of paths) {
      expect(await ask("GET", path)).toMatchObject({ status: 401, body: { error: { code: "AUTH_REFUSED" } } });
    }
    for (let i = 0; i < 3; i++) await ask("GET", "/v1/chain", { authorization: `Bearer ${"A".repeat(43)}` });
    expect((await ask("GET", "/v1/chain")).status).toBe(429);
  });

  test("lets the operator in with the token of the folder, from this machine only", async () => {
    const authorization = `Bearer ${rig.federation.adminToken}`;
    const headers = { ...json, authorization };
    expect(await ask("POST", "/v1/admin/status", headers, "{}")).toMatchObject({
      status: 200,
      body: { result: { phase: "recruiting" } },
    });
    expect(await ask("POST", "/v1/admin/clients", headers, "{}")).toMatchObject({ status: 200, body: { result: [] } });
    const failed = await ask("POST", "/v1/admin/fail", headers, "{}");
    expect(failed).toMatchObject({ status: 500, body: { error: { code: "COORDINATOR_FAILED" } } });
    expect(JSON.stringify(failed.body)).not.toContain("inside");
    for (const name of ["constructor", "toString", "nothing"]) {
      expect((await ask("POST", `/v1/admin/${name}`, headers, "{}")).status).toBe(404);
    }
    for (const wrong of [
      json,
      { ...json, authorization: `${authorization}0` },
      { ...headers, "x-forwarded-for": "1.2.3.4" },
    ]) {
      expect(await ask("POST", "/v1/admin/status", wrong, "{}")).toMatchObject({
        status: 401,
        body: { error: { code: "AUTH_ADMIN" } },
      });
    }
  });

  test("a taken port is named", async () => {
    const port = Number(new URL(rig.server.url).port);
    const { SocketCoordinatorTransport } = await import("../../../coordinator/transport/server.ts");
    const second = new SocketCoordinatorTransport({
      listen: { host: "127.0.0.1", port, tls: null, behindProxy: false, insecurePlainText: false },
      federation: { name: "test", id: rig.federation.identity.federationId },
      crypto: (await import("../../fakes/transport-rig.ts")).crypto,
      key: rig.federation.key,
      rng,
      members: rig.federation.members,
      enrolment: rig.federation.enrolment,
      blobs: rig.federation.blobs,
      uploads: rig.federation.uploads,
      admin: { token: "", actions: {} },
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    });
    await expect(second.start(rig.events)).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      details: { errno: "EADDRINUSE" },
    });
    await second.stop();
  });
});

describe("tokens", () => {
  test("hold for a quarter of an hour, a few for each client, and not after revocation", () => {
    let now = 0;
    const bearers = new Bearers(rng, () => now);
    const alice = "alice" as ClientName;
    const tokens = Array.from({ length: 5 }, () => bearers.issue(alice).token);
    expect(tokens.map((token) => bearers.client(token))).toEqual([null, alice, alice, alice, alice]);
    expect(bearers.client("")).toBeNull();
    now = 15 * 60_000 - 1;
    expect(bearers.client(tokens[4]!)).toBe(alice);
    now += 1;
    expect(bearers.client(tokens[4]!)).toBeNull();
    const { token } = bearers.issue(alice);
    bearers.revoke(alice);
    expect(bearers.client(token)).toBeNull();
  });

  test("a client whose token ran out asks for another and goes on", async () => {
    let now = 0;
    const rig = await Rig.open({ now: () => now });
    const alice = await rig.connect("alice");
    now = 16 * 60_000;
    const bytes = new Uint8Array(100).fill(1);
    await alice.transport.upload(sha256(Uint8Array.of(1)), sha256(bytes), bytes, never);
    await alice.transport.send(heartbeat);
    expect(alice.seen).toEqual(["connected"]);
    await rig.dispose();
  });
});
