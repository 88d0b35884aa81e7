import { afterEach, expect, test } from "@jest/globals";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { checkClock } from "../../../bin/doctor/checks.ts";
import { openConnectProxy } from "../../fakes/bad-network.ts";

let server: Server | null = null;
const { HTTP_PROXY, http_proxy } = process.env;
afterEach(() => {
  server?.close();
  for (const [name, value] of Object.entries({ HTTP_PROXY, http_proxy })) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

/** A coordinator's clock that says `date`. */
async function clockOf(date: Date): Promise<string> {
  server = createServer((_request, response) => response.writeHead(404, { date: date.toUTCString() }).end());
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each([
  [0, "ok"],
  [-3_600_000, "problem"],
])("a coordinator's clock that is %d ms away, asked through the site's proxy: %s", async (apart, level) => {
  const proxy = await openConnectProxy();
  process.env["http_proxy"] = proxy.url;
  const coordinator = await clockOf(new Date(Date.now() + apart));
  expect(await checkClock(coordinator)).toMatchObject({ check: "clock", level });
  expect(proxy.tunnels).toEqual([coordinator.slice("http://".length)]);
  proxy.close();
});

test("a coordinator that cannot be reached, and a proxy that is none, are problems and no crash", async () => {
  delete process.env["HTTP_PROXY"];
  process.env["http_proxy"] = "";
  expect(await checkClock("http://127.0.0.1:1")).toMatchObject({ check: "clock", level: "problem" });
  process.env["http_proxy"] = "gopher://nowhere";
  expect(await checkClock("http://127.0.0.1:1")).toMatchObject({ check: "clock", level: "problem" });
});
