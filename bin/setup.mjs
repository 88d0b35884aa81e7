/**
 * Set-up: everything `npm start` and `npm test` need, done once and said aloud; quiet when there is nothing to do.
 * Plain JavaScript without dependencies, because it runs before anything is installed.
 *
 *   node bin/setup.mjs [--engine] [--no-engine]
 *
 * --engine tries again to install the native TensorFlow engine; --no-engine, or ALLULOOK_SKIP_ENGINE=1, leaves it
 * alone. ALLULOOK_ENGINE_DIR is where engines are kept (default .allulook/engine), to share one among checkouts.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { lockFolder } from "./setup-lock.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const SOURCE_FOLDERS = ["bin", "client", "coordinator", "models", "prisma", "shared", "simulations"];
const OLDEST_NODE = [20, 19];

/** A failure that is told in one line. */
class SetupError extends Error {}

function say(text) {
  process.stderr.write(`${text}\n`);
}

/** Says what is being done, does it, and says how long it took. */
async function step(what, work) {
  const start = performance.now();
  say(`set-up: ${what} …`);
  const result = await work();
  say(`set-up: ${what}: done in ${((performance.now() - start) / 1000).toFixed(1)} s${result ? ` (${result})` : ""}`);
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  throw new SetupError(`Node ${OLDEST_NODE.join(".")} or newer is needed, this is ${process.versions.node}.`);
}

/** The program that runs now, and the lock that lasts as long as it does. */
let running = null;
let lock = null;

/** Runs a program; its output is shown only if it fails. */
function run(program, args, env = {}) {
  return new Promise((resolve, reject) => {
    const shell = process.platform === "win32" && !program.endsWith(".exe");
    const child = spawn(program, args, { cwd: root, env: { ...process.env, ...env }, shell });
    running = child;
    if (child.pid !== undefined) lock.holdFor(child.pid);
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.once("error", (error) => reject(new SetupError(`${program} does not start: ${error.message}`)));
    child.once("close", (status) => {
      running = null;
      if (status === 0) resolve(output);
      else reject(new SetupError(`${[program, ...args].join(" ")} failed (${status}):\n${output.slice(-8000)}`));
    });
  });
}

function sha256(...parts) {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

function stampOf(file) {
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

/** Installs the locked dependencies unless node_modules was installed from this very lock file. */
async function installDependencies() {
  const lock = readFileSync(join(root, "package-lock.json"));
  const wanted = sha256(lock, readFileSync(join(root, "package.json")), process.platform, process.arch);
  const stamp = join(modules, ".allulook-stamp");
  if (stampOf(stamp) === wanted) return;
  await step("installing the dependencies (npm ci)", async () => {
    const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    const npm = process.env.npm_execpath;
    if (npm?.endsWith(".js")) await run(process.execPath, [npm, ...args]);
    else await run("npm", args);
    const missing = Object.keys(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).dependencies).find(
      (name) => !existsSync(join(modules, name, "package.json")),
    );
    if (missing !== undefined) throw new SetupError(`npm ci ended without ${missing}; run it again.`);
    writeFileSync(stamp, wanted);
  });
}

async function generateDatabaseClient() {
  const { generateDatabaseClient: generate } = await import("./generate-database-client.mjs");
  const start = performance.now();
  if (!(await generate())) return;
  say(`set-up: writing the database client: done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

/** Every file below a folder, sorted. */
function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [path] : [];
    });
}

/** Compiles the TypeScript sources into dist/ when one of them has changed. */
async function compile() {
  const sources = SOURCE_FOLDERS.flatMap((folder) => filesBelow(join(root, folder))).filter((file) =>
    /\.(ts|json)$/.test(file),
  );
  const configuration = ["tsconfig.json", "tsconfig.build.json"].map((file) => join(root, file));
  const wanted = sha256(
    ...[...configuration, ...sources].flatMap((file) => [relative(root, file), readFileSync(file)]),
  );
  const dist = join(root, "dist");
  const stamp = join(dist, ".allulook-stamp");
  if (stampOf(stamp) === wanted) return;
  await step("compiling", async () => {
    rmSync(stamp, { force: true });
    await run(process.execPath, [join(modules, "typescript", "bin", "tsc"), "-p", "tsconfig.build.json"]);
    for (const file of filesBelow(dist)) {
      const source = /^(.*)\.js(\.map)?$/.exec(relative(dist, file))?.[1];
      if (source !== undefined && !existsSync(join(root, `${source}.ts`))) rmSync(file);
    }
    writeFileSync(stamp, wanted);
    return `${sources.length} files`;
  });
}

/** Installs the native TensorFlow engine, or finds out why it cannot be. */
async function provisionEngine(force) {
  const engines = process.env.ALLULOOK_ENGINE_DIR || join(root, ".allulook", "engine");
  const packageFolder = join(modules, "@tensorflow", "tfjs-node");
  const known = stampOf(join(engines, "status.json"));
  const file = join(root, "dist", "models", "engine", "node", "provision", "provision.js");
  if (
    !force &&
    known.includes('"schema": 3') &&
    known.includes('"installed": true') &&
    isLinkedTo(join(packageFolder, "lib"), engines)
  )
    return true;
  const { provisionEngine: provision } = await import(pathToFileURL(file).href);
  const start = performance.now();
  const status = await provision({
    root: engines,
    packageFolder,
    headersFolder: join(modules, "node-api-headers"),
    force,
    log: (text) => say(`set-up: engine: ${text} …`),
  });
  if (stampOf(join(engines, "status.json")) === known) return status.installed;
  const took = `${((performance.now() - start) / 1000).toFixed(1)} s`;
  if (status.installed) say(`set-up: engine: TensorFlow ${status.version} is ready after ${took}. ${status.reason}`);
  else {
    say(`set-up: engine: WebAssembly will be used, since ${status.reason}. (${took})`);
    say("        Everything works, training is slower; `npx allulook engine install` tries again.");
  }
  return status.installed;
}

function isLinkedTo(link, folder) {
  if (!existsSync(join(link, "napi-v8", "tfjs_binding.node"))) return false;
  return !lstatSync(link).isSymbolicLink() || existsSync(folder);
}

/** Ends the program that runs now before ourselves: npm, left alone, would go on writing into node_modules. */
function stopOnSignals() {
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ]) {
    // Not once: a group of processes gets a signal twice, and the second would end us with the lock still held.
    process.on(signal, () => {
      const stop = () => {
        lock.release();
        process.exit(status);
      };
      if (running === null) return stop();
      running.once("close", stop);
      running.kill("SIGTERM");
      // npm finishes what it does first; what it leaves half done is done again next time.
      setTimeout(() => running?.kill("SIGKILL"), 2000);
    });
  }
}

async function main() {
  checkNode();
  const flags = new Set(process.argv.slice(2));
  const unknown = [...flags].find((flag) => !["--engine", "--no-engine"].includes(flag));
  if (unknown !== undefined) throw new SetupError(`Unknown option ${unknown}; there are --engine and --no-engine.`);
  lock = await lockFolder(join(root, ".allulook"), "setup.lock", say);
  stopOnSignals();
  try {
    await installDependencies();
    await generateDatabaseClient();
    await compile();
    const skip = flags.has("--no-engine") || process.env.ALLULOOK_SKIP_ENGINE === "1";
    if (flags.has("--engine")) return (await provisionEngine(true)) ? 0 : 1;
    if (!skip) await provisionEngine(false);
    return 0;
  } finally {
    lock.release();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  say(error instanceof SetupError ? `set-up: ${error.message}` : error);
  process.exitCode = 1;
}
