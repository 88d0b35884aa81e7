/** What `allulook doctor` looks at. Every check ends with a finding; none throws. */
import { existsSync } from "node:fs";
import { mkdtemp, rm, stat, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { request } from "undici";
import { openRoute } from "../../client/transport/route.ts";
import { openPrismaStore } from "../../coordinator/store/prisma.ts";
import { measureEngine } from "../../models/engine/measure.ts";
import { loadEngine } from "../../models/engine/node/load.ts";

/** How a check ended: "warning" works but worse than it could, "problem" does not work. */
type Level = "ok" | "warning" | "problem";

export interface Finding {
  readonly check: "node" | "engine" | "database" | "disk" | "port" | "clock";
  readonly level: Level;
  /** What is so, in a sentence. */
  readonly found: string;
  /** What the person can do about it; null when nothing needs doing. */
  readonly remedy: string | null;
}

export interface DoctorOptions {
  /** Folder whose disk is looked at. */
  readonly folder: string;
  /** TCP port that a coordinator would listen on. */
  readonly port: number;
  /** A coordinator's address, whose clock is compared with ours. */
  readonly coordinator: string | null;
}

const OLDEST_NODE = [20, 19] as const;
/** Below this a client of the smallest preset waits more than it works. */
const SLOW_GFLOPS = 8;
const SCARCE_BYTES = 5e9;
const TOO_FEW_BYTES = 5e8;
/** Signatures and invitations carry times; clocks further apart than this refuse each other's. */
const CLOCK_TOLERANCE_MS = 60_000;
/** No machine that runs this software was set up earlier: the clock has lost its battery. */
const EARLIEST = Date.parse("2026-01-01T00:00:00Z");

/** Runs all checks, one after the other, because the engine's speed is measured. */
export async function examine(options: DoctorOptions): Promise<Finding[]> {
  return [
    checkNode(),
    await checkEngine(),
    await checkDatabase(),
    await checkDisk(options.folder),
    await checkPort(options.port),
    await checkClock(options.coordinator),
  ];
}

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const found = `Node ${process.versions.node} on ${process.platform} ${process.arch}.`;
  const fits = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  if (fits) return ok("node", found);
  return { check: "node", level: "problem", found, remedy: `Install Node ${OLDEST_NODE.join(".")} or newer.` };
}

async function checkEngine(): Promise<Finding> {
  try {
    const info = await loadEngine();
    const speeds = await measureEngine(0.3);
    const gflops = speeds.find(({ operation }) => operation.endsWith("with gradient"))?.gflops ?? 0;
    const found = `${info.version} (${info.backend}), ${gflops.toFixed(0)} GFLOP/s in training. ${info.reason}`;
    if (info.backend !== "tensorflow") {
      const remedy =
        "Training works, but slowly. Install Python 3 with pip (and g++ or clang++ if there is none), then run " +
        "`allulook engine install`.";
      return { check: "engine", level: "warning", found, remedy };
    }
    if (gflops >= SLOW_GFLOPS) return ok("engine", found);
    const remedy = "Something else may be using the processor; see `allulook engine bench`.";
    return { check: "engine", level: "warning", found, remedy };
  } catch (error) {
    return problem("engine", error, "Run `npm run setup` again; without an engine nothing can be trained.");
  }
}

async function checkDatabase(): Promise<Finding> {
  const folder = await mkdtemp(join(tmpdir(), "allulook-doctor-"));
  try {
    const store = await openPrismaStore(join(folder, "state.db"));
    await store.close();
    return ok("database", "The embedded database opens, migrates and closes.");
  } catch (error) {
    return problem("database", error, "Run `npm run setup` again; if that does not help, delete node_modules first.");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function checkDisk(folder: string): Promise<Finding> {
  try {
    let place = resolve(folder);
    while (!existsSync(place)) place = resolve(place, "..");
    if (!(await stat(place)).isDirectory()) throw new Error(`${place} is not a folder`);
    const { bavail, bsize } = await statfs(place);
    const free = bavail * bsize;
    const found = `${(free / 1e9).toFixed(1)} GB free at ${place}.`;
    if (free >= SCARCE_BYTES) return ok("disk", found);
    const remedy = "Make room: a federation keeps its versions, uploads and releases in its folder.";
    return { check: "disk", level: free < TOO_FEW_BYTES ? "problem" : "warning", found, remedy };
  } catch (error) {
    return problem("disk", error, "Name a folder with --folder.");
  }
}

function checkPort(port: number): Promise<Finding> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      const found = `Port ${port} cannot be listened on (${error.code ?? error.message}).`;
      const remedy =
        error.code === "EADDRINUSE"
          ? "A coordinator may be running already; else set listen.port in federation.yaml. Clients need no port."
          : "Choose a port above 1023 with listen.port in federation.yaml. Clients need no port.";
      done({ check: "port", level: "warning", found, remedy });
    });
    server.listen(port, "127.0.0.1", () => {
      server.close(() => done(ok("port", `Port ${port} is free for a coordinator; clients only connect outwards.`)));
    });
  });
}

/** @param coordinator its address; null: our own clock alone is looked at. */
export async function checkClock(coordinator: string | null): Promise<Finding> {
  const now = Date.now();
  if (now < EARLIEST) {
    const found = `The clock says ${new Date(now).toISOString()}, which is in the past.`;
    const remedy = "Set the clock (NTP): certificates and invitations carry times.";
    return { check: "clock", level: "problem", found, remedy };
  }
  if (coordinator === null) {
    return ok("clock", `The clock says ${new Date(now).toISOString()}; --coordinator URL compares it with theirs.`);
  }
  try {
    const sent = Date.now();
    const theirs = await timeAt(new URL(coordinator));
    // The header has whole seconds, rounded down: half a second more on average.
    const apart = Math.round((theirs + 500 - (sent + Date.now()) / 2) / 1000);
    const found = `The clock is ${Math.abs(apart)} s ${apart > 0 ? "behind" : "ahead of"} the coordinator's.`;
    if (Math.abs(apart) * 1000 <= CLOCK_TOLERANCE_MS) return ok("clock", found);
    return { check: "clock", level: "problem", found, remedy: "Set both clocks (NTP): signatures carry times." };
  } catch (error) {
    return problem("clock", error, "Check the coordinator's address and the way there (proxy, firewall).");
  }
}

/** What time it is there, asked by the way that clients take: through the site's proxy, if it has one. */
async function timeAt(url: URL): Promise<number> {
  const { dispatcher, agent } = openRoute(url, {});
  try {
    const { headers, body } = await request(url, { method: "HEAD", dispatcher, signal: AbortSignal.timeout(10_000) });
    await body.dump();
    const time = Date.parse(String(headers["date"]));
    if (Number.isNaN(time)) throw new Error(`${url.href} tells no time`);
    return time;
  } finally {
    await dispatcher.destroy();
    agent?.destroy();
  }
}

function ok(check: Finding["check"], found: string): Finding {
  return { check, level: "ok", found, remedy: null };
}

function problem(check: Finding["check"], error: unknown, remedy: string): Finding {
  const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : "";
  const message = error instanceof Error ? error.message : String(error);
  return { check, level: "problem", found: `${message}${cause}`, remedy };
}
