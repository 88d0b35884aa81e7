import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "@jest/globals";
import { openPrismaStore } from "../../../coordinator/store/prisma.ts";
import { federationStoreContract } from "./contract.ts";

const hook = new URL("../../tools/strip-types-hook.mjs", import.meta.url).href;
const script = new URL("./append-for-ever.ts", import.meta.url).pathname;
const folder = () => mkdtemp(join(tmpdir(), "allulook-store-"));

federationStoreContract("the Prisma store", async () => {
  const dir = await folder();
  const file = join(dir, "federation.db");
  const under = {
    store: await openPrismaStore(file),
    reopen: async () => {
      await under.store.close();
      return openPrismaStore(file);
    },
    dispose: async () => {
      await under.store.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return under;
});

describe("the Prisma store on disk", () => {
  test("kill -9 loses no acknowledged event and keeps their order", async () => {
    const dir = await folder();
    const file = join(dir, "federation.db");
    const child = spawn(process.execPath, ["--no-warnings", "--import", hook, script, file], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let acknowledged = -1;
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => {
      acknowledged = Number(line);
      if (acknowledged >= 60) child.kill("SIGKILL");
    });
    await once(child, "exit");
    expect(child.signalCode).toBe("SIGKILL");
    expect(acknowledged).toBeGreaterThanOrEqual(60);
    const store = await openPrismaStore(file);
    const { snapshot, events } = await store.recover();
    await store.close();
    const first = snapshot === null ? 0 : Number(snapshot) + 1;
    expect(events).toEqual(events.map((_, i) => String(first + i)));
    expect(first + events.length - 1).toBeGreaterThanOrEqual(acknowledged);
    await rm(dir, { recursive: true, force: true });
  });

  test("many transactions leave no file open", async () => {
    const dir = await folder();
    const store = await openPrismaStore(join(dir, "federation.db"));
    const open = async () => (await readdir("/proc/self/fd").catch(() => [])).length;
    await store.snapshot("0");
    const before = await open();
    for (let i = 0; i < 200; i++) await store.snapshot(String(i));
    expect((await open()) - before).toBeLessThan(20);
    expect(await store.recover()).toEqual({ snapshot: "199", events: [] });
    await store.close();
    await rm(dir, { recursive: true, force: true });
  });

  test("a damaged file is STORE_CORRUPT", async () => {
    const dir = await folder();
    const file = join(dir, "federation.db");
    await writeFile(file, "this is no database, but it is long enough to be taken for a header".repeat(100));
    await expect(openPrismaStore(file)).rejects.toMatchObject({ code: "STORE_CORRUPT" });
    await rm(dir, { recursive: true, force: true });
  });
});
