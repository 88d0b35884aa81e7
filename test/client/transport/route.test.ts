import { readFile } from "node:fs/promises";
import { afterEach, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { Throttle } from "../../../client/transport/bandwidth.ts";
import { proxyFor } from "../../../client/transport/route.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { openConnectProxy } from "../../fakes/bad-network.ts";
import { heartbeat, never, Rig, sha256, until } from "../../fakes/transport-rig.ts";

let rig: Rig | null = null;
afterEach(async () => {
  await rig?.dispose();
  rig = null;
});

const file = (name: string) => new URL(`../../fakes/tls/${name}`, import.meta.url).pathname;

async function sendAndUpload(client: Awaited<ReturnType<Rig["connect"]>>): Promise<void> {
  await client.transport.send(heartbeat);
  const bytes = new Uint8Array(200_000).fill(7);
  await client.transport.upload(sha256(Uint8Array.of(1)), sha256(bytes), bytes, never);
}

describe("proxies", () => {
  test("control and weights go through an HTTP proxy given as an option", async () => {
    const proxy = await openConnectProxy();
    rig = await Rig.open();
    const alice = await rig.connect("alice", { proxy: proxy.url });
    await sendAndUpload(alice);
    const target = new URL(rig.server.url).host;
    expect(proxy.tunnels.length).toBeGreaterThanOrEqual(2);
    expect(new Set(proxy.tunnels)).toEqual(new Set([target]));
    proxy.close();
  });

  test.each(["", "address-"])("TLS goes through the proxy unbroken (%scert.pem)", async (names) => {
    const proxy = await openConnectProxy();
    const [cert, key] = [file(`${names}cert.pem`), file(`${names}key.pem`)];
    rig = await Rig.open({ listen: { tls: { cert, key } } });
    const ca = await readFile(cert, "utf8");
    await sendAndUpload(await rig.connect("alice", { proxy: proxy.url, ca }));
    expect(proxy.tunnels.length).toBeGreaterThanOrEqual(2);
    proxy.close();
  });

  test("the environment names them as curl and others read it", () => {
    const pick = (url: string, environment: Record<string, string>) => proxyFor(new URL(url), {}, environment)?.host;
    const both = { HTTPS_PROXY: "http://s:1", HTTP_PROXY: "http://p:2" };
    expect(pick("https://fl.example.org", both)).toBe("s:1");
    expect(pick("http://fl.example.org", both)).toBe("p:2");
    expect(pick("https://fl.example.org", { http_proxy: "http://p:2" })).toBeUndefined();
    expect(pick("https://fl.example.org", { https_proxy: "proxy.local:3128" })).toBe("proxy.local:3128");
    expect(pick("https://fl.example.org", { ALL_PROXY: "http://a:3" })).toBe("a:3");
    for (const [noProxy, direct] of [
      ["example.org", true],
      [".example.org", true],
      ["*.example.org", true],
      ["fl.example.org:443", true],
      ["fl.example.org:80", false],
      ["ample.org", false],
      ["other.org, fl.example.org", true],
      ["*", true],
      ["", false],
    ] as const) {
      expect([noProxy, pick("https://fl.example.org", { ...both, NO_PROXY: noProxy }) === undefined]).toEqual([
        noProxy,
        direct,
      ]);
    }
    expect(proxyFor(new URL("https://x"), { proxy: "" }, both)).toBeNull();
    expect(() => proxyFor(new URL("https://x"), { proxy: "socks5://x:1" }, {})).toThrow("proxy: expected http://");
  });
});

describe("TLS", () => {
  test("a coordinator's own certificate is trusted through the option, and not without it", async () => {
    rig = await Rig.open({ listen: { tls: { cert: file("cert.pem"), key: file("key.pem") } } });
    expect(rig.server.url).toMatch(/^https:/);
    const ca = await readFile(file("cert.pem"), "utf8");
    await sendAndUpload(await rig.connect("alice", { ca }));
    const careful = rig.client(await rig.enrol("bob"));
    careful.open();
    await until(() => careful.seen.some((line) => line.startsWith("disconnected cannot connect")));
    expect(rig.seen).not.toContain("connected bob");
  });

  test("files that are missing or no certificate are named", async () => {
    for (const [tls, field] of [
      [{ cert: "/nowhere.pem", key: file("key.pem") }, "listen.tls.cert"],
      [{ cert: file("cert.pem"), key: file("cert.pem") }, "listen.tls"],
    ] as const) {
      await expect(Rig.open({ listen: { tls } })).rejects.toMatchObject({
        code: "CONFIG_INVALID",
        message: expect.stringContaining(field),
      });
    }
  });

  test("plain text beyond loopback needs a word from the operator", async () => {
    await expect(Rig.open({ listen: { host: "0.0.0.0" } })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      details: { field: "listen.tls" },
    });
    rig = await Rig.open({ listen: { host: "0.0.0.0", insecurePlainText: true } });
  });
});

describe("the bandwidth cap", () => {
  test("never lets more than rate x time + a quarter of a second pass, whatever the pieces", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1_000, max: 10_000_000 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 1 << 20 }), fc.integer({ min: 0, max: 500 })), {
          minLength: 1,
          maxLength: 60,
        }),
        (rate, steps) => {
          let now = 1_000_000;
          const throttle = new Throttle(rate, () => now);
          const start = now;
          let passed = 0;
          for (const [bytes, idleMs] of steps) {
            now += idleMs;
            now += throttle.take(bytes);
            passed += bytes;
            expect(passed).toBeLessThanOrEqual((rate * (now - start)) / 1000 + rate * 0.25 + 1);
          }
        },
      ),
    );
  });

  test("uses the whole rate when there is always something to send", () => {
    let now = 0;
    const throttle = new Throttle(1_000_000, () => now);
    for (let i = 0; i < 400; i++) now += throttle.take(throttle.pieceBytes(1 << 20));
    expect((400 * 250_000) / (now / 1000)).toBeGreaterThan(990_000);
  });

  test("without a cap nothing waits", () => {
    const throttle = new Throttle(null);
    expect(throttle.take(1e12)).toBe(0);
    expect(throttle.pieceBytes(1 << 20)).toBe(1 << 20);
  });

  test("holds for real transfers in both directions", async () => {
    rig = await Rig.open();
    const rate = 4_000_000;
    const alice = await rig.connect("alice", { bandwidth: { up: rate, down: rate } });
    const bytes = new Uint8Array(3_000_000).fill(3);
    const hash: Sha256 = sha256(bytes);
    const keyframe = { sha256: hash, bytes: bytes.length };
    rig.events.chain = async () => [
      {
        federation: hash,
        version: 0,
        parentHash: null,
        paramsHash: hash,
        configHash: hash,
        update: null,
        keyframe,
        fallbacks: [],
        signature: "",
      },
    ];
    // Slower is the machine's business; faster would break the cap.
    const atLeastSeconds = bytes.length / rate - 0.26;
    for (const transfer of [
      () => alice.transport.upload(sha256(Uint8Array.of(1)), hash, bytes, never),
      () => alice.transport.download(keyframe, never),
    ]) {
      const begun = performance.now();
      await transfer();
      expect((performance.now() - begun) / 1000).toBeGreaterThan(atLeastSeconds);
    }
  });
});
