/**
 * Chooses and starts the TensorFlow.js backend of this process: the native TensorFlow library where set-up could
 * provision it, WebAssembly otherwise, plain JavaScript as the last resort. Says which one, and why.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import util from "node:util";
import { CodedError } from "../../../shared/errors.ts";
import * as tf from "../tf.ts";
import { registerWasmKernels } from "../wasm-kernels/register.ts";

/** From the fastest to the slowest. */
export const BACKENDS = ["tensorflow", "wasm", "cpu"] as const;
export type Backend = (typeof BACKENDS)[number];

export interface EngineInfo {
  readonly backend: Backend;
  /** Why this backend and not a faster one, in a sentence for people. */
  readonly reason: string;
  /** What computes, with its version: "TensorFlow 2.18.1", "TensorFlow.js WASM 4.22.0". */
  readonly version: string;
  /** Threads one operation may use. Results are equal to the bit only for equal settings. */
  readonly threads: number;
}

export interface EngineOptions {
  /** Where to start in {@link BACKENDS}; what is not available falls through to the next. */
  readonly prefer?: Backend;
  /** Threads per operation; by default TF_NUM_INTRAOP_THREADS, else 1. Fixed by the first load of the process. */
  readonly threads?: number;
}

const require = createRequire(import.meta.url);

/**
 * Sets what the TensorFlow library reads from the environment when it is loaded. `loadEngine` calls it; a parent of
 * worker threads calls it itself before starting them, since a worker's own `process.env` never reaches the library.
 *
 * @returns the number of threads per operation that is now set
 */
export function setEngineEnvironment(threads?: number): number {
  const env = process.env;
  if (threads !== undefined) env["TF_NUM_INTRAOP_THREADS"] = String(threads);
  env["TF_NUM_INTRAOP_THREADS"] ??= "1";
  env["TF_NUM_INTEROP_THREADS"] ??= "1";
  env["TF_CPP_MIN_LOG_LEVEL"] ??= "2";
  return Number(env["TF_NUM_INTRAOP_THREADS"]) || 1;
}

/**
 * Starts the engine and makes it the backend of every tensor from here on. Calling it again is cheap and returns the
 * same facts; asking then for another backend switches to it.
 *
 * The environment variable ALLULOOK_ENGINE=tensorflow|wasm|cpu overrides `prefer` and allows no other backend.
 *
 * @throws CodedError ENGINE_UNAVAILABLE when the backend forced by ALLULOOK_ENGINE does not start
 */
export async function loadEngine(options: EngineOptions = {}): Promise<EngineInfo> {
  const forced = process.env["ALLULOOK_ENGINE"] || undefined;
  if (forced !== undefined && !isBackend(forced)) {
    throw new CodedError("CONFIG_INVALID", `ALLULOOK_ENGINE: expected one of ${BACKENDS.join(", ")}, got "${forced}"`);
  }
  const threads = setEngineEnvironment(options.threads);
  const first = forced ?? options.prefer ?? "tensorflow";
  const reasons: string[] = [];
  if (forced !== undefined) reasons.push(`ALLULOOK_ENGINE asks for ${forced}.`);
  else if (first !== "tensorflow") reasons.push(`The command asks for ${first}.`);

  for (const backend of BACKENDS.slice(BACKENDS.indexOf(first))) {
    try {
      const version = await START[backend]();
      if (!(await tf.setBackend(backend))) throw new Error(`backend ${backend} does not initialise`);
      await tf.ready();
      if (reasons.length === 0) reasons.push("The native TensorFlow library is installed.");
      return { backend, reason: reasons.join(" "), version, threads: backend === "tensorflow" ? threads : 1 };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (forced !== undefined) {
        throw new CodedError(
          "ENGINE_UNAVAILABLE",
          `The ${backend} engine does not start: ${message}`,
          { backend },
          { cause: error },
        );
      }
      reasons.push(`No ${backend}: ${message.replace(/\.$/, "")}.`);
    }
  }
  throw new CodedError("ENGINE_UNAVAILABLE", reasons.join(" "));
}

function isBackend(name: string): name is Backend {
  return (BACKENDS as readonly string[]).includes(name);
}

/** Loads what a backend needs and registers it; returns its version. */
const START: Record<Backend, () => Promise<string>> = {
  async tensorflow() {
    const folder = dirname(require.resolve("@tensorflow/tfjs-node/package.json"));
    if (!existsSync(join(folder, "lib", "napi-v8", "tfjs_binding.node"))) throw new Error(provisioningFailure(folder));
    restoreUtil();
    await import("@tensorflow/tfjs-node");
    tf.enableProdMode();
    const backend = tf.findBackend("tensorflow") as unknown as { binding: { TF_Version: string } };
    return `TensorFlow ${backend.binding.TF_Version}`;
  },
  async wasm() {
    tf.enableProdMode();
    const before = SIGNALS.map((name) => process.listeners(name as "uncaughtException"));
    const wasm = await import("@tensorflow/tfjs-backend-wasm");
    if (!(await tf.setBackend("wasm"))) throw new Error("WebAssembly does not start");
    registerWasmKernels();
    // The WebAssembly loader installs process-wide handlers that abort; errors are for us to report.
    SIGNALS.forEach((name, i) => {
      for (const listener of process.listeners(name as "uncaughtException")) {
        if (!before[i]?.includes(listener)) process.removeListener(name, listener);
      }
    });
    return `TensorFlow.js WASM ${wasm.version_wasm}`;
  },
  async cpu() {
    tf.enableProdMode();
    return `TensorFlow.js ${tf.version["tfjs-core"]}`;
  },
};

const SIGNALS = ["uncaughtException", "unhandledRejection"] as const;

/** tfjs-node calls functions that Node 23 removed from `util` and Node 22 warns about. */
function restoreUtil(): void {
  Object.assign(util, {
    isNullOrUndefined: (value: unknown) => value === null || value === undefined,
    isArray: Array.isArray,
  });
}

/** What set-up wrote down when it could not provision the library. */
function provisioningFailure(folder: string): string {
  const checkout = join(folder, "..", "..", "..");
  const root = process.env["ALLULOOK_ENGINE_DIR"] || join(checkout, ".allulook", "engine");
  const file = join(root, "status.json");
  if (!existsSync(file)) return "its library is not installed yet (`allulook engine install`)";
  const status = JSON.parse(readFileSync(file, "utf8")) as { reason?: string };
  return status.reason ?? "its library is not installed";
}
