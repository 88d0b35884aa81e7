/** Gets TensorFlow's libraries and the headers the addon includes, from a wheel or from the official archive. */
import { mkdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { CodedError } from "../../../../shared/errors.ts";
import { lastErrorLine, runCommand } from "./command.ts";
import { downloadArchive, downloadWheel } from "./download.ts";
import type { PlatformSources } from "./sources.ts";
import { extractZip } from "./zip.ts";

/** Of the wheel's 60,000 headers, the folders from which the addon's sources include 14. */
const HEADER_FOLDERS = ["tensorflow/c/", "tensorflow/core/platform/", "tsl/platform/", "xla/tsl/c/"];
const TOOL_TIMEOUT_MS = 5 * 60_000;

/** Where a library was put. */
export interface Library {
  readonly version: string;
  readonly libraries: readonly string[];
  readonly libraryFolder: string;
  readonly includeFolder: string;
}

/**
 * Downloads the wheel and takes the libraries (into `engine`/deps/lib, without their debugging symbols) and headers
 * (into `work`/include) out of it.
 *
 * @throws CodedError ENGINE_PROVISION, ENGINE_ARCHIVE
 */
export async function libraryFromWheel(
  source: PlatformSources["wheel"],
  python: string,
  engine: string,
  work: string,
  log: (text: string) => void,
): Promise<Library> {
  log(`downloading ${source.package.requirement} (${source.package.megabytes} MB) with ${python} -m pip`);
  const wheel = await downloadWheel(python, source.package, work);
  log("unpacking the library");
  const libraryFolder = join(engine, "deps", "lib");
  const includeFolder = join(work, "include");
  const libraries = new Set(source.libraries.map((name) => `tensorflow/${name}`));
  const headers = HEADER_FOLDERS.map((folder) => `tensorflow/include/${folder}`);
  await extractZip(wheel, work, (name) => {
    if (libraries.has(name)) return join("libraries", basename(name));
    const header = name.endsWith(".h") && headers.some((folder) => name.startsWith(folder));
    return header ? name.slice("tensorflow/".length) : null;
  });
  await rm(wheel);
  await mkdir(libraryFolder, { recursive: true });
  for (const name of source.libraries) {
    const target = join(libraryFolder, name);
    await rename(join(work, "libraries", name), target);
    // A quarter of the library is debugging symbols. On macOS stripping would break its signature.
    if (process.platform === "linux") {
      await runCommand("strip", ["--strip-unneeded", target], { timeoutMs: TOOL_TIMEOUT_MS });
    }
  }
  return { version: source.version, libraries: source.libraries, libraryFolder, includeFolder };
}

/**
 * The same from the official archive, with the machine's `tar`.
 *
 * @throws CodedError ENGINE_PROVISION, ENGINE_ARCHIVE
 */
export async function libraryFromArchive(
  source: PlatformSources["official"],
  engine: string,
  work: string,
  log: (text: string) => void,
): Promise<Library> {
  log(`downloading ${source.archive.url}`);
  const archive = await downloadArchive(source.archive, work);
  log("unpacking the library");
  const deps = join(engine, "deps");
  await rm(deps, { recursive: true, force: true });
  await mkdir(deps, { recursive: true });
  const result = await runCommand("tar", ["-xzf", archive, "-C", deps], { timeoutMs: TOOL_TIMEOUT_MS });
  if (result.status !== 0) {
    throw new CodedError("ENGINE_PROVISION", `tar cannot unpack ${basename(archive)}: ${lastErrorLine(result.output)}`);
  }
  return {
    version: source.version,
    libraries: source.libraries,
    libraryFolder: join(deps, "lib"),
    includeFolder: join(deps, "include"),
  };
}
