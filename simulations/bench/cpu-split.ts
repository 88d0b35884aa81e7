/**
 * Where the CPU time of a benchmark goes: by the sampling profiler of this thread, each sample counted for the innermost
 * function that a rule names, and for the party whose code is innermost around it. Other threads are counted as one.
 */
import { readFileSync } from "node:fs";
import { Session, type Profiler } from "node:inspector/promises";

/** What a sample is counted for, by its innermost frame that matches; `url` and `name` are parts of the frame's. */
export interface Rule {
  readonly what: string;
  readonly url: string;
  readonly name?: RegExp;
}

const SAMPLE_US = 1_000;

/** Seconds of CPU until this is done, by "party what", "threads" and "in all". */
export async function splitCpu<T>(
  rules: readonly Rule[],
  parties: Readonly<Record<string, string>>,
  work: () => Promise<T>,
): Promise<{ result: T; split: Map<string, number> }> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: SAMPLE_US });
  await session.post("Profiler.start");
  const all = process.cpuUsage();
  const own = threadSeconds();
  const result = await work();
  const { user, system } = process.cpuUsage(all);
  const here = threadSeconds() - own;
  const { profile } = await session.post("Profiler.stop");
  session.disconnect();
  const samples = shares(profile, rules, parties);
  const sampled = [...samples.values()].reduce((a, b) => a + b, 0);
  const byTime = [...samples].toSorted(([, a], [, b]) => b - a);
  const split = new Map(byTime.map(([what, count]) => [what, (count / sampled) * here]));
  const total = (user + system) / 1e6;
  split.set("threads", total - here);
  return { result, split: split.set("in all", total) };
}

/** Samples by "party what"; time in which nothing ran is left out. */
export function shares(
  { nodes, samples = [], timeDeltas = [] }: Profiler.Profile,
  rules: readonly Rule[],
  parties: Readonly<Record<string, string>>,
): Map<string, number> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const names = new Map<number, string | null>();
  const nameOf = (id: number): string | null => {
    const known = names.get(id);
    if (known !== undefined) return known;
    let what: string | null = null;
    let party: string | null = null;
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const { functionName, url } = (byId.get(at) as Profiler.ProfileNode).callFrame;
      if (functionName === "(idle)") break;
      if (functionName === "(garbage collector)") what = "garbage collection";
      const rule = rules.find(({ url: part, name }) => url.includes(part) && (name?.test(functionName) ?? true));
      what ??= rule?.what ?? null;
      party ??= Object.entries(parties).find(([, part]) => url.includes(part))?.[0] ?? null;
    }
    const idle = byId.get(id)?.callFrame.functionName === "(idle)";
    const name = idle ? null : what === "garbage collection" ? what : `${party ?? "both"} ${what ?? "rest"}`;
    names.set(id, name);
    return name;
  };
  const split = new Map<string, number>();
  for (const [i, id] of samples.entries()) {
    const name = nameOf(id);
    if (name !== null) split.set(name, (split.get(name) ?? 0) + (timeDeltas[i] ?? 0));
  }
  return split;
}

/** CPU seconds of this process's first thread so far: fields 14 and 15 of proc(5) stat, in hundredths. */
function threadSeconds(): number {
  const stat = readFileSync(`/proc/self/task/${process.pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
