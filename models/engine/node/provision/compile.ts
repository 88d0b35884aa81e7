/**
 * Compiles the addon of `@tensorflow/tfjs-node` from the sources in its own npm package against a TensorFlow library,
 * with the machine's C++ compiler, or with Zig's out of the Python package index where there is none.
 */
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CodedError } from "../../../../shared/errors.ts";
import { lastErrorLine, runCommand } from "./command.ts";
import { downloadWheel, findPip } from "./download.ts";
import type { Wheel } from "./sources.ts";
import { extractZip } from "./zip.ts";

export interface Compiler {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface CompileInput {
  /** Folder of the npm package `@tensorflow/tfjs-node`. */
  readonly packageFolder: string;
  /** Folder of the npm package `node-api-headers`. */
  readonly headersFolder: string;
  /** Folder with `tensorflow/c/c_api.h` below it. */
  readonly includeFolder: string;
  /** Folder with the libraries. */
  readonly libraryFolder: string;
  readonly libraries: readonly string[];
  /** The addon to write: `<engine>/lib/napi-v8/tfjs_binding.node`, with the libraries in `<engine>/deps/lib`. */
  readonly output: string;
}

/**
 * The names of attributes that the addon keeps. One set for the whole process is no set for several training threads:
 * insertions at the same time break it, and the process with it. Each thread gets its own.
 */
const SHARED_NAMES = "static std::set<std::string> ATTR_NAME_SET;";
const NAMES_OF_A_THREAD = "static thread_local std::set<std::string> ATTR_NAME_SET;";

/**
 * A signal that is handled in a thread while the library computes there breaks the heap (seen with AVX-512: a few
 * hundred signals are enough). So a thread that loads the addon, and those that the library then starts, leave signals
 * to the other threads of the process: Node's handlers only write to a pipe, whichever thread they run in.
 */
const START = "static napi_value InitTFNodeJSBinding(napi_env env, napi_value exports) {";
const START_WITHOUT_SIGNALS = `${START}\n  LeaveSignalsToOtherThreads();`;
const LEAVE_SIGNALS = `#ifdef _WIN32
static void LeaveSignalsToOtherThreads() {}
#else
#include <pthread.h>
#include <signal.h>
static void LeaveSignalsToOtherThreads() {
  sigset_t signals;
  sigfillset(&signals);
  const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
  for (int fault : faults) sigdelset(&signals, fault);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}
#endif
`;

const COMPILE_TIMEOUT_MS = 10 * 60_000;

/** The machine's own C++ compiler, if it has one. CXX of the environment comes first. */
export async function findCompiler(): Promise<Compiler | null> {
  for (const program of [process.env["CXX"], "g++", "clang++", "c++"]) {
    if (program === undefined || program === "") continue;
    const probe = await runCommand(program, ["--version"], { timeoutMs: 30_000 });
    if (probe.status === 0) return { name: program, program, args: [], env: {} };
  }
  return null;
}

/**
 * Fetches Zig's C++ compiler into `folder` (about 415 MB while it is needed).
 *
 * @throws CodedError ENGINE_PROVISION when there is no pip or it cannot get the package
 */
export async function fetchZig(wheel: Wheel, folder: string): Promise<Compiler> {
  const pip = await findPip();
  if ("missing" in pip) throw new CodedError("ENGINE_PROVISION", "there is no C++ compiler (g++ or clang++)");
  await mkdir(folder, { recursive: true });
  const archive = await downloadWheel(pip.python, wheel, folder);
  await extractZip(archive, folder, (name) => (name.startsWith("ziglang/") ? name : null));
  await rm(archive);
  const program = join(folder, "ziglang", "zig");
  await chmod(program, 0o755);
  const cache = join(folder, "cache");
  return {
    name: wheel.requirement,
    program,
    args: ["c++"],
    env: { ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: cache },
  };
}

/**
 * Compiles and links the addon.
 *
 * @throws CodedError ENGINE_PROVISION with the compiler's message
 */
export async function compileAddon(compiler: Compiler, input: CompileInput): Promise<void> {
  const macos = process.platform === "darwin";
  await mkdir(dirname(input.output), { recursive: true });
  const args = [...compiler.args, "-O2", "-std=c++17", "-fPIC", "-shared", "-DNAPI_VERSION=8"];
  args.push(`-I${join(input.headersFolder, "include")}`, `-I${input.packageFolder}`, `-I${input.includeFolder}`);
  const binding = join(input.packageFolder, "binding");
  const sources: string[] = [];
  for (const [name, mend] of [
    ["tfjs_backend.cc", withNamesPerThread],
    ["tfjs_binding.cc", withoutSignals],
  ] as const) {
    const source = `${input.output}.${name}`;
    await writeFile(source, mend(await readFile(join(binding, name), "utf8")));
    sources.push(source);
  }
  args.push(`-I${binding}`, ...sources, "-o", input.output);
  if (macos) {
    args.push("-undefined", "dynamic_lookup", "-Wl,-rpath,@loader_path/../../deps/lib");
    for (const library of input.libraries) args.push(join(input.libraryFolder, library));
  } else {
    args.push(`-L${input.libraryFolder}`, "-Wl,-rpath,$ORIGIN/../../deps/lib");
    for (const library of input.libraries) args.push(`-l:${library}`);
  }
  const result = await runCommand(compiler.program, args, { timeoutMs: COMPILE_TIMEOUT_MS, env: compiler.env });
  for (const source of sources) await rm(source, { force: true });
  if (result.status !== 0) {
    const message = result.found ? lastErrorLine(result.output) : "not found";
    throw new CodedError("ENGINE_PROVISION", `${compiler.name} cannot compile the addon: ${message}`);
  }
}

/** tfjs_backend.cc with a set of names for each thread. Throws ENGINE_PROVISION for a source that is another. */
export function withNamesPerThread(source: string): string {
  return mended(source, SHARED_NAMES, NAMES_OF_A_THREAD);
}

/** tfjs_binding.cc whose threads leave signals to others. Throws ENGINE_PROVISION for a source that is another. */
export function withoutSignals(source: string): string {
  return LEAVE_SIGNALS + mended(source, START, START_WITHOUT_SIGNALS);
}

function mended(source: string, known: string, better: string): string {
  if (!source.includes(known))
    throw new CodedError("ENGINE_PROVISION", "the addon's source is not the one that is known here");
  return source.replace(known, better);
}
