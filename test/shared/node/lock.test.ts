import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockFolder } from "../../../shared/node/lock.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lock-"));
  path = join(folder, "state", "lock");
});
afterEach(() => rm(folder, { recursive: true }));

describe("the lock of a folder", () => {
  test("is held by one, and free again afterwards", async () => {
    const unlock = await lockFolder(path, "SITE_LOCKED");
    await expect(lockFolder(path, "SITE_LOCKED")).rejects.toMatchObject({
      code: "SITE_LOCKED",
      details: { pid: process.pid },
    });
    await unlock();
    await (
      await lockFolder(path, "COORDINATOR_RUNNING")
    )();
    expect(await readdir(join(folder, "state"))).toEqual([]);
  });

  test("of many at once exactly one gets it", async () => {
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(path, "SITE_LOCKED")));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  test("what a dead process left is taken over, and one whose number another process got since", async () => {
    const child = spawn(process.execPath, ["-e", "0"]);
    await once(child, "exit");
    for (const stale of [`${child.pid} 123@boot\n`, `${process.pid} 1@another-boot\n`, "rubbish", ""]) {
      await (
        await lockFolder(path, "SITE_LOCKED")
      )();
      await writeFile(path, stale);
      const unlock = await lockFolder(path, "SITE_LOCKED");
      expect(await readFile(path, "utf8")).toMatch(new RegExp(`^${process.pid} `));
      await unlock();
    }
  });

  test("a lock that another process took since is not removed", async () => {
    const unlock = await lockFolder(path, "SITE_LOCKED");
    await writeFile(path, "1 other\n");
    await unlock();
    expect(await readFile(path, "utf8")).toBe("1 other\n");
  });
});
