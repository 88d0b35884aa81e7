/** A lock among processes of one machine: a file that names its holder, so that a dead holder's lock is taken over. */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 200;

/** No set-up takes this long; an older lock was left behind and its holder's number belongs to somebody else now. */
const STALE_MS = 2 * 3_600_000;

/**
 * Waits for the lock `folder`/`name` and takes it.
 *
 * @param say gets one line if there is somebody to wait for
 * @returns `release` gives it back; `holdFor(pid)` makes it last, beyond our own death, until that process has ended
 */
export async function lockFolder(folder, name, say) {
  mkdirSync(folder, { recursive: true });
  const lock = join(folder, name);
  const mine = `${lock}.${process.pid}`;
  writeFileSync(mine, String(process.pid));
  let said = false;
  try {
    while (!take(mine, lock)) {
      if (removeIfDead(lock)) continue;
      if (!said) say("set-up: waiting for another set-up of this folder …");
      said = true;
      await sleep(POLL_MS);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  return {
    release: () => rmSync(lock, { force: true }),
    holdFor: (pid) => writeFileSync(lock, `${process.pid} ${pid}`),
  };
}

/** A hard link is made by one process only, and with its content at once. */
function take(mine, lock) {
  try {
    linkSync(mine, lock);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
}

/** Moves a dead holder's lock away; the move is checked, since another waiter may do the same just now. */
function removeIfDead(lock) {
  const holder = readHolder(lock);
  if (holder === null) return true;
  if (holder.pids.some(isAlive) && holder.ageMs < STALE_MS) return false;
  const aside = `${lock}.dead.${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch {
    return true;
  }
  if (readHolder(aside)?.inode !== holder.inode) {
    // Somebody took the lock between our look and our move: give it back.
    take(aside, lock);
  }
  rmSync(aside, { force: true });
  return true;
}

function readHolder(lock) {
  try {
    const { ino, mtimeMs } = statSync(lock);
    const pids = readFileSync(lock, "utf8").split(" ").map(Number);
    return { pids, inode: ino, ageMs: Date.now() - mtimeMs };
  } catch {
    return null;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
