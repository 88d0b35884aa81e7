/** One process per folder: two clients of one name, or two coordinators of one federation, would break the records. */
import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { CodedError, type ErrorCode } from "../errors.ts";

/** Takes the lock and returns its release; throws `code` while another process that still lives holds it. */
export async function lockFolder(path: string, code: ErrorCode): Promise<() => Promise<void>> {
  await mkdir(dirname(path), { recursive: true });
  const mine = `${process.pid} ${await startOf(process.pid)}\n`;
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  await writeFile(temporary, mine, { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        // A hard link appears with its content or not at all.
        await link(temporary, path);
        return async () => {
          const held = await readFile(path, "utf8").catch(() => null);
          if (held === mine) await rm(path, { force: true });
        };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const held = await readFile(path, "utf8").catch(() => null);
      if (held === null) continue;
      const pid = Number(held.split(" ")[0]);
      if (held === mine || ((await alive(pid)) && held === `${pid} ${await startOf(pid)}\n`)) {
        throw new CodedError(code, `process ${pid} uses this folder (${path})`, { pid, file: path });
      }
      // Of two processes that find the same stale lock, one moves it away; whoever moves a fresh one puts it back.
      const stale = `${path}.${randomBytes(6).toString("hex")}.stale`;
      await rename(path, stale).catch(() => undefined);
      const moved = await readFile(stale, "utf8").catch(() => null);
      if (moved !== null && moved !== held) await link(stale, path).catch(() => undefined);
      await rm(stale, { force: true });
    }
    throw new CodedError(code, `other processes are starting on this folder (${path})`, { file: path });
  } finally {
    await rm(temporary, { force: true });
  }
}

async function alive(pid: number): Promise<boolean> {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** When the process started, in clock ticks since boot, and the boot it belongs to; "-" where there is no /proc. */
async function startOf(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    // Fields after the command name, which may hold spaces and parentheses; the start time is the 22nd of all.
    return `${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}@${boot}`;
  } catch {
    return "-";
  }
}
