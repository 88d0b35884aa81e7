/**
 * Machines for a deployment: network namespaces joined by veth pairs, where root and iproute2 allow it; else folders on
 * one machine. The hub reaches each host over a line of its own; hosts have no way to each other nor to anything else.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { closeSync, createWriteStream, openSync } from "node:fs";
import { promisify } from "node:util";
import { COMMAND } from "./small-federation.ts";

const execute = promisify(execFile);

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Machine {
  /** null: this machine's own network. */
  readonly #namespace: string | null;
  readonly #env: Record<string, string>;
  /** The hub's address as this machine sees it. */
  readonly hub: string;

  constructor(namespace: string | null, hub: string, env: Record<string, string> = {}) {
    this.#namespace = namespace;
    this.#env = env;
    this.hub = hub;
  }

  with(env: Record<string, string>): Machine {
    return new Machine(this.#namespace, this.hub, { ...this.#env, ...env });
  }

  /** Runs `allulook WORDS` to its end. */
  async allulook(...words: string[]): Promise<Finished> {
    const [file, args] = this.#line(process.execPath, [COMMAND, ...words]);
    try {
      const { stdout, stderr } = await execute(file, args, { env: this.#environment(), maxBuffer: 1 << 26 });
      return { code: 0, stdout, stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: unknown; stdout: string; stderr: string };
      if (typeof code !== "number") throw error;
      return { code, stdout, stderr };
    }
  }

  /** The one JSON document of a command that must succeed. */
  async json<T>(...words: string[]): Promise<T> {
    const { code, stdout, stderr } = await this.allulook(...words, "--json");
    if (code !== 0) throw new Error(`allulook ${words.join(" ")} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** Starts `allulook WORDS`; what it says goes to `log`. */
  start(log: string, ...words: string[]): ChildProcess {
    return this.run(log, process.execPath, [COMMAND, ...words]);
  }

  run(log: string, program: string, words: readonly string[]): ChildProcess {
    const [file, args] = this.#line(program, words);
    closeSync(openSync(log, "a"));
    const child = spawn(file, args, { env: this.#environment(), stdio: ["ignore", "pipe", "pipe"] });
    const out = createWriteStream(log, { flags: "a" });
    child.stdout.pipe(out, { end: false });
    child.stderr.pipe(out, { end: false });
    return child;
  }

  #line(program: string, words: readonly string[]): [string, string[]] {
    if (this.#namespace === null) return [program, [...words]];
    return ["ip", ["netns", "exec", this.#namespace, program, ...words]];
  }

  #environment(): NodeJS.ProcessEnv {
    const { HTTPS_PROXY: _a, HTTP_PROXY: _b, https_proxy: _c, http_proxy: _d, ...env } = process.env;
    return { ...env, ...this.#env };
  }
}

export interface Machines {
  readonly separate: boolean;
  readonly hub: Machine;
  readonly hosts: readonly Machine[];
  /** Every address at which a host may know the hub. */
  readonly addresses: readonly string[];
  remove(): Promise<void>;
}

/** One hub and `hosts` hosts. */
export async function machines(hosts: number): Promise<Machines> {
  const mark = `allu${process.pid}`;
  const made: string[] = [];
  const remove = async () => {
    for (const name of made.splice(0)) await execute("ip", ["netns", "del", name]).catch(() => undefined);
  };
  try {
    const add = async (name: string) => {
      await execute("ip", ["netns", "add", name]);
      made.push(name);
      await execute("ip", ["-n", name, "link", "set", "lo", "up"]);
      return name;
    };
    const hub = await add(`${mark}h`);
    const list: Machine[] = [];
    const addresses: string[] = [];
    for (let i = 1; i <= hosts; i++) {
      const name = await add(`${mark}s${i}`);
      const [here, there] = [`10.77.${i}.1`, `10.77.${i}.2`];
      const device = `v${process.pid % 10_000}x${i}`;
      await execute("ip", ["link", "add", device, "netns", hub, "type", "veth", "peer", "name", "net0", "netns", name]);
      await execute("ip", ["-n", hub, "addr", "add", `${here}/30`, "dev", device]);
      await execute("ip", ["-n", name, "addr", "add", `${there}/30`, "dev", "net0"]);
      await execute("ip", ["-n", hub, "link", "set", device, "up"]);
      await execute("ip", ["-n", name, "link", "set", "net0", "up"]);
      list.push(new Machine(name, here));
      addresses.push(here);
    }
    return { separate: true, hub: new Machine(hub, "127.0.0.1"), hosts: list, addresses, remove };
  } catch (error) {
    await remove();
    const why =
      String((error as Error).message)
        .split("\n")
        .at(-2) ?? "";
    process.stderr.write(`No network namespaces here (${why}): separate folders on one machine instead.\n`);
    const here = new Machine(null, "127.0.0.1");
    return {
      separate: false,
      hub: here,
      hosts: Array.from({ length: hosts }, () => here),
      addresses: [here.hub],
      remove,
    };
  }
}
