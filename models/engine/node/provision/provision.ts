/**
 * Installs the native TensorFlow engine: library, addon, a trial run, then one rename and one link, so that an
 * interrupted set-up leaves nothing half done. The engine lives in its own folder, which survives `npm ci`.
 *
 * Never throws for a reason that lies in the machine or its network: WebAssembly does the work then, and the returned
 * status says why.
 */
import { existsSync } from "node:fs";
import { lstat, mkdir, readdir, realpath, rename, rm, statfs, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { CodedError } from "../../../../shared/errors.ts";
import { lastErrorLine, runCommand } from "./command.ts";
import { compileAddon, fetchZig, findCompiler, type Compiler, type CompileInput } from "./compile.ts";
import { findPip } from "./download.ts";
import { libraryFromArchive, libraryFromWheel, type Library } from "./library.ts";
import { SOURCES, type PlatformSources } from "./sources.ts";
import { readStatus, toolsOnPath, writeStatus, type EngineStatus } from "./status.ts";

export interface ProvisionOptions {
  /** Folder that keeps engines and status.json, on the file system of the checkout. */
  readonly root: string;
  /** Folder of the npm package `@tensorflow/tfjs-node`, which gets a link to the engine. */
  readonly packageFolder: string;
  /** Folder of the npm package `node-api-headers`. */
  readonly headersFolder: string;
  /** Build again even if there is an engine, or a remembered failure. */
  readonly force?: boolean;
  readonly log: (text: string) => void;
  /** Other sources than {@link SOURCES}, for tests. */
  readonly sources?: PlatformSources;
}

const ADDON = join("lib", "napi-v8", "tfjs_binding.node");
const NEEDED_BYTES = 1.6e9;

/** Makes sure the engine is installed and linked if it can be; returns what is so now and why. */
export async function provisionEngine(options: ProvisionOptions): Promise<EngineStatus> {
  await mkdir(options.root, { recursive: true });
  const known = await readStatus(options.root);
  const tools = toolsOnPath();
  if (known !== null && options.force !== true) {
    if (known.installed && (await relink(options, known))) return known;
    if (!known.installed && known.tools.join() === tools.join()) return known;
  }
  const start = performance.now();
  const finish = async (facts: Omit<EngineStatus, "schema" | "tools" | "seconds">): Promise<EngineStatus> => {
    const seconds = Math.round((performance.now() - start) / 100) / 10;
    const status: EngineStatus = { schema: 3, ...facts, tools, seconds };
    await writeStatus(options.root, status);
    return status;
  };
  const own = join(options.packageFolder, ADDON);
  if (known === null && existsSync(own) && !(await isLink(join(options.packageFolder, "lib")))) {
    const version = await tryAddon(own).catch(() => null);
    if (version !== null) {
      return finish({
        installed: true,
        folder: null,
        version,
        reason: "It came with the npm package's own installer.",
      });
    }
  }
  try {
    const { folder, version, reason } = await build(options);
    await link(options, folder);
    return await finish({ installed: true, folder, version, reason });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return finish({ installed: false, folder: null, version: null, reason });
  }
}

/** True when the installed engine is, or has just been, linked into the npm package. */
async function relink(options: ProvisionOptions, status: EngineStatus): Promise<boolean> {
  if (status.folder === null) return existsSync(join(options.packageFolder, ADDON));
  if (!existsSync(join(options.root, status.folder, ADDON))) return false;
  await link(options, status.folder);
  return true;
}

async function link(options: ProvisionOptions, folder: string): Promise<void> {
  const place = join(options.packageFolder, "lib");
  const target = join(options.root, folder, "lib");
  if (existsSync(place) && (await realpath(place)) === (await realpath(target))) return;
  const temporary = join(options.packageFolder, `lib.${process.pid}`);
  await rm(temporary, { force: true });
  await symlink(relative(await realpath(options.packageFolder), await realpath(target)), temporary, "dir");
  if (!(await isLink(place))) await rm(place, { recursive: true, force: true });
  await rename(temporary, place);
}

async function isLink(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null))?.isSymbolicLink() ?? false;
}

async function build(options: ProvisionOptions): Promise<{ folder: string; version: string; reason: string }> {
  const platform = `${process.platform}-${process.arch}`;
  const sources = options.sources ?? SOURCES[platform];
  if (sources === undefined) throw refusal(`there is no TensorFlow library for ${platform}`);
  if (process.platform === "linux" && isMusl()) throw refusal("this Linux uses musl, TensorFlow needs glibc");
  const { bavail, bsize } = await statfs(options.root);
  if (bavail * bsize < NEEDED_BYTES) {
    throw refusal(`it needs ${NEEDED_BYTES / 1e9} GB of disk while it is installed, ${options.root} has less`);
  }
  for (const name of await readdir(options.root)) {
    if (name.startsWith("work-")) await rm(join(options.root, name), { recursive: true, force: true });
  }
  const work = join(options.root, `work-${process.pid}`);
  const engine = join(work, "engine");
  await mkdir(engine, { recursive: true });
  try {
    const pip = await findPip();
    const compiler = await findCompiler();
    if (compiler === null && ("missing" in pip || sources.zig === undefined)) {
      const also = "missing" in pip ? `, and ${pip.missing.replace(" to fetch it with", " to fetch one with")}` : "";
      throw refusal(`there is no C++ compiler (g++ or clang++)${also}`);
    }
    const { library, origin } = await getLibrary(sources, pip, engine, work, options.log);
    const used = await compile(compiler, sources, work, options.log, {
      packageFolder: options.packageFolder,
      headersFolder: options.headersFolder,
      ...library,
      output: join(engine, ADDON),
    });
    options.log("trying the engine");
    const version = await tryAddon(join(engine, ADDON));
    const folder = `tensorflow-${version}-${platform}`;
    const place = join(options.root, folder);
    if (existsSync(place)) await rename(place, join(work, "replaced"));
    await rename(engine, place);
    return { folder, version, reason: `Library from ${origin}, addon compiled with ${used}.` };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function getLibrary(
  sources: PlatformSources,
  pip: Awaited<ReturnType<typeof findPip>>,
  engine: string,
  work: string,
  log: (text: string) => void,
): Promise<{ library: Library; origin: string }> {
  const reasons: string[] = [];
  if ("missing" in pip) reasons.push(pip.missing);
  else {
    try {
      const library = await libraryFromWheel(sources.wheel, pip.python, engine, work, log);
      return { library, origin: sources.wheel.package.requirement };
    } catch (error) {
      reasons.push(messageOf(error));
      log(messageOf(error));
    }
  }
  try {
    const library = await libraryFromArchive(sources.official, engine, work, log);
    return { library, origin: sources.official.archive.url };
  } catch (error) {
    reasons.push(messageOf(error));
    throw refusal(reasons.join("; "));
  }
}

/** Compiles with the machine's compiler, and with Zig's where that is missing or fails. Returns the one that did. */
async function compile(
  own: Compiler | null,
  sources: PlatformSources,
  work: string,
  log: (text: string) => void,
  input: CompileInput,
): Promise<string> {
  if (own !== null) {
    log(`compiling the addon with ${own.name}`);
    try {
      await compileAddon(own, input);
      return own.name;
    } catch (error) {
      if (sources.zig === undefined) throw error;
      log(messageOf(error));
    }
  }
  const wheel = sources.zig;
  if (wheel === undefined) throw refusal("there is no C++ compiler (g++ or clang++)");
  log(
    `no usable C++ compiler here: downloading ${wheel.requirement} (${wheel.megabytes} MB); compiling takes a minute`,
  );
  const zig = await fetchZig(wheel, join(work, "zig"));
  await compileAddon(zig, input);
  return zig.name;
}

/** Multiplies two matrices with the addon, in a process of its own, since a wrong library would take ours with it. */
const TRIAL = `
const b = require(process.argv[1]);
const t = b.createTensor([2, 2], b.TF_FLOAT, new Float32Array([1, 2, 3, 4]));
const flag = (name) => ({ name, type: b.TF_ATTR_BOOL, value: false });
const attrs = [flag("transpose_a"), flag("transpose_b"), { name: "T", type: b.TF_ATTR_TYPE, value: b.TF_FLOAT }];
const out = b.tensorDataSync(b.executeOp("MatMul", attrs, [t, t], 1)[0].id);
if (out.join() !== "7,10,15,22") throw new Error("wrong product " + out.join());
console.log("version=" + b.TF_Version);
`;

/**
 * Tries an addon and returns TensorFlow's version.
 *
 * @throws CodedError ENGINE_PROVISION with what the trial said
 */
async function tryAddon(addon: string): Promise<string> {
  const env = { TF_CPP_MIN_LOG_LEVEL: "2" };
  const trial = await runCommand(process.execPath, ["-e", TRIAL, addon], {
    timeoutMs: 120_000,
    env,
    cwd: dirname(addon),
  });
  const version = /^version=(.+)$/m.exec(trial.output)?.[1];
  if (trial.status === 0 && version !== undefined) return version;
  const cause = trial.status === null ? "it crashed (does the processor have AVX?)" : lastErrorLine(trial.output);
  throw refusal(`the library does not run on this machine: ${cause}`);
}

function isMusl(): boolean {
  const report = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  return report.header.glibcVersionRuntime === undefined;
}

function refusal(reason: string): CodedError {
  return new CodedError("ENGINE_PROVISION", reason);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
