/**
 * `allulook model measure`: the table of every model and size in docs/models.md. Rows that the file has already are
 * kept, so that an interrupted run goes on.
 */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { z } from "zod";
import { CodedError } from "../../shared/errors.ts";
import { readTextIfAny, writeFileDurably } from "../../shared/node/files.ts";
import { runAlone } from "../../simulations/bench/alone.ts";
import { MODEL_BENCHMARKS } from "../../simulations/bench/model-suite.ts";
import { mostFrequentClass } from "../../simulations/bench/baseline.ts";
import { positive } from "../numbers.ts";
import { note, printResult } from "../output.ts";

interface MeasureOptions {
  readonly labelled: string;
  readonly depth: string;
  readonly steps: number;
  readonly only?: string[];
  readonly out: string;
  readonly json?: boolean;
}

const cost = z.object({
  params: z.number(),
  fp32MB: z.number(),
  size: z.number(),
  forwardGFLOP: z.number(),
  msTrainingStep: z.number(),
  msInference: z.number(),
  trainingGFLOPs: z.number(),
  inferenceGFLOPs: z.number(),
  trainingShare: z.number(),
  inferenceShare: z.number(),
  peakRssMB: z.number(),
});
const quality = z.object({ metric: z.enum(["mIoU", "AbsRel"]), value: z.number(), trivial: z.number() });
type Quality = z.infer<typeof quality>;
const row = z.object({ cost: cost.optional(), quality: quality.optional() });
type Row = z.infer<typeof row>;
const table = z.object({ steps: z.number(), rows: z.record(z.string(), row) });

export function registerMeasure(model: Command): void {
  model
    .command("measure")
    .description("measure every model and size on this machine: cost, speed, memory, and quality after a few steps")
    .requiredOption("--labelled <dir>", "pictures with segmentation, for models that learn it")
    .requiredOption("--depth <dir>", "pictures with depth, for models that learn depth alone")
    .option("--steps <n>", "training steps of 8 pictures before the quality is measured", positive, 100)
    .option("--only <names...>", "these rows, such as allulook4-nano")
    .requiredOption("--out <file>", "the rows as JSON; those that it holds are not measured again")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook model measure --labelled ./pipe --depth ./kitchen --out models.json")
    .action(measure);
}

async function measure(options: MeasureOptions): Promise<void> {
  const unknown = options.only?.find((name) => !MODEL_BENCHMARKS.some((one) => one.name === name));
  if (unknown !== undefined) throw new CodedError("USAGE", `--only: there is no row ${unknown}`, { field: "only" });
  const before = await readTable(options.out);
  const rows: Record<string, Row> = before?.steps === options.steps ? { ...before.rows } : {};
  const chosen = MODEL_BENCHMARKS.filter(({ name }) => options.only?.includes(name) ?? true);
  const add = async (name: string, part: Row): Promise<void> => {
    note(`${name}: ${JSON.stringify(part)}`);
    rows[name] = { ...rows[name], ...part };
    await writeFileDurably(options.out, `${JSON.stringify({ steps: options.steps, rows }, null, 2)}\n`);
  };
  for (const { name } of chosen) {
    if (rows[name]?.cost === undefined) await add(name, { cost: cost.parse(runAlone(name)) });
  }
  for (const { name, model, preset } of chosen) {
    if (rows[name]?.quality === undefined) await add(name, { quality: await qualityOf(model, preset, options) });
  }
  printResult(options.json, { steps: options.steps, rows }, markdown(rows));
}

async function readTable(path: string): Promise<z.infer<typeof table> | null> {
  const text = await readTextIfAny(path);
  if (text === null) return null;
  try {
    return table.parse(JSON.parse(text));
  } catch (error) {
    throw new CodedError("USAGE", `--out: ${path} holds something else`, { field: "out" }, { cause: error });
  }
}

const trained = z.object({
  rounds: z.array(
    z.object({
      metrics: z
        .object({
          segmentation: z.object({ mIoU: z.number() }).nullish(),
          depth: z.object({ absRel: z.number(), baselineAbsRel: z.number() }).nullish(),
        })
        .nullable(),
    }),
  ),
});

/** Trains as `allulook train` does, in a process of its own, and scores what was held out. */
async function qualityOf(model: string, preset: string, options: MeasureOptions): Promise<Quality> {
  const scenes = model === "allulook4";
  const data = resolve(scenes ? options.labelled : options.depth);
  const out = await mkdtemp(join(tmpdir(), "allulook-measure-"));
  try {
    const program = fileURLToPath(new URL("../../../bin/allulook", import.meta.url));
    const words = [
      "train",
      "--model",
      model,
      "--preset",
      preset,
      "--data",
      data,
      "--local-steps",
      String(options.steps),
    ];
    const run = spawnSync(process.execPath, [program, ...words, "--threads", "1", "--out", out, "--json"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: 1 << 26,
    });
    if (run.status !== 0) throw new CodedError("TRAINING_FAILED", `${model} ${preset}: ${run.stderr.slice(-2_000)}`);
    const metrics = trained.parse(JSON.parse(run.stdout)).rounds.at(-1)?.metrics;
    if (scenes) {
      const value = metrics?.segmentation?.mIoU;
      if (value === undefined)
        throw new CodedError("DATA_INVALID", `${data} has no segmentation`, { field: "labelled" });
      return { metric: "mIoU", value, trivial: await mostFrequentClass(out) };
    }
    const depth = metrics?.depth;
    if (depth === null || depth === undefined)
      throw new CodedError("DATA_INVALID", `${data} has no depth`, { field: "depth" });
    return { metric: "AbsRel", value: depth.absRel, trivial: depth.baselineAbsRel };
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

function markdown(rows: Readonly<Record<string, Row>>): string {
  const head = [
    "model",
    "size",
    "params",
    "fp32 MB",
    "GFLOP forward",
    "ms a training step of 8",
    "GFLOP/s (share of peak)",
    "ms inference of 1",
    "GFLOP/s of 8 (share)",
    "peak RSS MB",
    "quality",
    "trivial",
  ];
  const lines = Object.entries(rows).map(([name, { cost: of, quality: learned }]) => [
    `\`${name}\``,
    ...(of === undefined ? Array.from({ length: 9 }, () => "") : costCells(of)),
    learned === undefined ? "" : `${learned.metric} ${learned.value.toFixed(3)}`,
    learned?.trivial.toFixed(3) ?? "",
  ]);
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function costCells(of: z.infer<typeof cost>): string[] {
  return [
    String(of.size),
    `${(of.params / 1e6).toFixed(2)} M`,
    of.fp32MB.toFixed(1),
    of.forwardGFLOP.toPrecision(2),
    of.msTrainingStep.toFixed(0),
    `${of.trainingGFLOPs.toFixed(0)} (${percent(of.trainingShare)})`,
    of.msInference.toFixed(0),
    `${of.inferenceGFLOPs.toFixed(0)} (${percent(of.inferenceShare)})`,
    of.peakRssMB.toFixed(0),
  ];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
