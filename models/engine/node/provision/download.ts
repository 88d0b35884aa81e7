/**
 * Fetches the pinned files: wheels with the person's own pip, so that its index, proxy and certificates count, and
 * TensorFlow's official archive over HTTPS. Nothing is used before its SHA-256 is checked.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { EnvHttpProxyAgent, fetch } from "undici";
import { CodedError } from "../../../../shared/errors.ts";
import { lastErrorLine, runCommand } from "./command.ts";
import type { Archive, Wheel } from "./sources.ts";

const DOWNLOAD_TIMEOUT_MS = 20 * 60_000;
const CONNECT_TIMEOUT_MS = 5_000;

/** Finds a Python that has pip; otherwise says in words what is missing. */
export async function findPip(): Promise<{ python: string } | { missing: string }> {
  let missing = "there is no Python (python3) to fetch it with";
  for (const python of ["python3", "python"]) {
    const probe = await runCommand(python, ["-m", "pip", "--version"], { timeoutMs: 30_000 });
    if (probe.status === 0) return { python };
    if (probe.found) missing = `${python} has no pip to fetch it with`;
  }
  return { missing };
}

/**
 * Downloads one wheel into `folder`.
 *
 * @returns its path
 * @throws CodedError ENGINE_PROVISION when pip cannot get it, ENGINE_ARCHIVE when its hash is not the pinned one
 */
export async function downloadWheel(python: string, wheel: Wheel, folder: string): Promise<string> {
  const args = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar", "off"];
  args.push("--disable-pip-version-check", "--retries", "1", "--dest", folder);
  args.push("--platform", wheel.platform, "--python-version", "3.11", wheel.requirement);
  const result = await runCommand(python, args, { timeoutMs: DOWNLOAD_TIMEOUT_MS });
  const name = (await readdir(folder)).find((file) => file.endsWith(".whl"));
  if (result.status !== 0 || name === undefined) {
    throw new CodedError("ENGINE_PROVISION", `pip cannot get ${wheel.requirement}: ${lastErrorLine(result.output)}`);
  }
  const path = join(folder, name);
  await checkHash(path, wheel.sha256);
  return path;
}

/**
 * Downloads an archive over HTTPS into `folder`.
 *
 * @returns its path
 * @throws CodedError ENGINE_PROVISION when its host is out of reach, ENGINE_ARCHIVE when its hash is not the pinned one
 */
export async function downloadArchive(archive: Archive, folder: string): Promise<string> {
  const path = join(folder, basename(new URL(archive.url).pathname));
  const { host } = new URL(archive.url);
  const dispatcher = new EnvHttpProxyAgent();
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), CONNECT_TIMEOUT_MS);
  try {
    const response = await fetch(archive.url, { signal: abort.signal, dispatcher });
    clearTimeout(timer);
    if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(path));
  } catch (error) {
    const cause = abort.signal.aborted ? "no answer" : causeOf(error);
    throw new CodedError("ENGINE_PROVISION", `${host} is out of reach (${cause})`, {}, { cause: error });
  } finally {
    clearTimeout(timer);
    await dispatcher.destroy();
  }
  await checkHash(path, archive.sha256);
  return path;
}

/** SHA-256 of a file as lower-case hexadecimal. */
async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

async function checkHash(path: string, expected: string): Promise<void> {
  const got = await sha256OfFile(path);
  if (got === expected) return;
  await rm(path);
  throw new CodedError("ENGINE_ARCHIVE", `${basename(path)} has SHA-256 ${got}, expected ${expected}`, {
    expected,
    got,
  });
}

function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return "code" in cause && typeof cause.code === "string" ? cause.code : cause.message;
}
