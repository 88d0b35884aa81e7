/** Reading files that a dataset names: nothing outside the dataset's folder is ever opened. */
import { open, realpath } from "node:fs/promises";
import { isAbsolute, join, posix, relative, sep } from "node:path";
import { CodedError } from "../../shared/errors.ts";

/** No single picture, depth map or mask may be larger than this many bytes. */
const MAX_FILE_BYTES = 256 * 1024 * 1024;

/**
 * True when a name from annotations.json stays inside the folder by its letters alone: relative, forward slashes,
 * no `..`, no drive, no NUL. Links are looked at by {@link readInside}.
 */
export function isInsideName(name: string): boolean {
  if (name.includes("\0") || name.includes("\\") || isAbsolute(name) || /^[a-zA-Z]:/.test(name)) return false;
  const normal = posix.normalize(name);
  return normal !== "." && normal !== ".." && !normal.startsWith("../") && !normal.endsWith("/");
}

/**
 * The bytes of `name` below `root`, which must be a real path (no links in it).
 * Errors: DATA_PATH when the name or a link leads outside, DATA_MISSING_FILE when it cannot be read or is too large.
 */
export async function readInside(root: string, name: string): Promise<Buffer> {
  const path = await resolveInside(root, name);
  let handle;
  try {
    handle = await open(path, "r");
    const { size } = await handle.stat();
    if (size > MAX_FILE_BYTES)
      throw new CodedError("DATA_MISSING_FILE", `${name} has ${size} bytes, more than the ${MAX_FILE_BYTES} allowed`, {
        file: name,
        expected: `at most ${MAX_FILE_BYTES} bytes`,
        got: size,
      });
    return await handle.readFile();
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw missing(name, error);
  } finally {
    await handle?.close();
  }
}

/** The real path of `name` below `root`. Errors as {@link readInside}. */
async function resolveInside(root: string, name: string): Promise<string> {
  if (!isInsideName(name)) throw outside(name);
  let path: string;
  try {
    path = await realpath(join(root, name));
  } catch (error) {
    throw missing(name, error);
  }
  const inner = relative(root, path);
  if (inner === "" || inner === ".." || inner.startsWith(`..${sep}`) || isAbsolute(inner)) throw outside(name);
  return path;
}

function outside(name: string): CodedError {
  return new CodedError("DATA_PATH", `"${name}" leads out of the dataset's folder`, {
    file: name,
    expected: "a path inside the dataset's folder",
    got: name,
  });
}

function missing(name: string, cause: unknown): CodedError {
  const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
  return new CodedError("DATA_MISSING_FILE", `${name} cannot be read (${reason})`, { file: name, reason }, { cause });
}
