/** `allulook data check` looks a dataset through; `allulook data generate` writes one of generated rooms. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { parse as parseYaml, YAMLParseError } from "yaml";
import type { z } from "zod";
import { checkDataset } from "../../client/data/check.ts";
import { reportText } from "../../client/data/check-text.ts";
import { loadPlan } from "../../client/plan/approvals.ts";
import { sitePaths } from "../../client/site-folder.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import { siteConfig } from "../../shared/config/site.ts";
import { CodedError } from "../../shared/errors.ts";
import { ROOM_LABELS } from "../../simulations/scenarios/labels.ts";
import { generateRooms } from "../../simulations/scenarios/rooms.ts";
import { type Scenario, SCENARIOS } from "../../simulations/scenarios/scenario.ts";
import { writeDataset } from "../../simulations/scenarios/write-dataset.ts";
import { note, printResult } from "../output.ts";

export function register(program: Command): void {
  const data = program.command("data").description("look datasets through, or generate one");
  data
    .command("check")
    .description("what is in the data, what is wrong with it, what each head can learn from it")
    .argument("<dir>", "folder with annotations.json, COCO files or plain pictures")
    .option("--federation <file>", "federation.yaml whose labels the data must fit")
    .option("--site <file>", "site.yaml whose labels.map is applied; the labels are those of its training plan")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExit code: 0 no errors, 1 errors in the data, 2 wrong usage.")
    .addHelpText("after", "\nExample: allulook data check ./data --site ./hospital-a/site.yaml")
    .action(check);
  data
    .command("generate")
    .description("write a dataset of generated RGB-D rooms with text, marked as generated")
    .requiredOption("--out <dir>", "empty or new folder")
    .option("--sites <n>", "sites, each with its own style", wholeNumber, 4)
    .option("--per-site <n>", "pictures a site", wholeNumber, 50)
    .option("--size <pixels>", "height and width: 128, or 96x128", pictureSize, [128, 128] as [number, number])
    .option("--seed <n>", "the same seed gives the same pictures", wholeNumber, 7)
    .option("--skew <share>", "how unlike the sites are: 0 (alike) to 1", share, 1)
    .addOption(
      new Option("--scenario <name>", "what decides: night: depth, makeshift: the caption; rooms: everything")
        .choices(SCENARIOS)
        .default("rooms"),
    )
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook data generate --out rooms --sites 4 --per-site 100 --seed 7")
    .action(generate);
}

async function check(dir: string, options: { federation?: string; site?: string; json?: boolean }): Promise<void> {
  const federation = options.federation === undefined ? null : await readConfig(federationConfig, options.federation);
  const site = options.site === undefined ? null : await readConfig(siteConfig, options.site);
  const plan = options.site === undefined ? null : await loadPlan(sitePaths(dirname(resolve(options.site))).plan);
  const labels = federation?.labels ?? plan?.plan.labels ?? null;
  if (site !== null && labels === null)
    note("no training plan has come yet, so class names are not compared with the federation's: allulook plan show");
  const report = await checkDataset(dir, {
    labels,
    // Mapped onto labels that are not known, a name would seem wrong.
    ...(labels !== null && { map: site?.labels.map ?? {} }),
    ...progress("checked"),
  });
  printResult(options.json, report, reportText(report));
  if (!report.ok) process.exitCode = 1;
}

interface GenerateOptions {
  readonly out: string;
  readonly sites: number;
  readonly perSite: number;
  readonly size: [number, number];
  readonly seed: number;
  readonly skew: number;
  readonly scenario: Scenario;
  readonly json?: boolean;
}

async function generate(options: GenerateOptions): Promise<void> {
  const { out, sites, perSite, size, seed, skew, scenario } = options;
  const rooms = generateRooms({ sites, perSite, size, seed, skew, scenario });
  await writeDataset(out, rooms.all, {
    labels: ROOM_LABELS,
    description: "Generated RGB-D rooms with text; no real place and no real person",
    generator: { name: "rooms", scenario, sites, perSite, size, seed, skew },
    ...progress("written"),
  });
  const result = { out, generated: true, pictures: rooms.all.size, sites, size, seed, skew, scenario };
  printResult(options.json, result, `${rooms.all.size} generated pictures of ${sites} sites in ${out}`);
}

async function readConfig<S extends z.ZodType>(schema: S, file: string): Promise<z.infer<S>> {
  let value: unknown;
  try {
    value = parseYaml(await readFile(file, "utf8"));
  } catch (error) {
    const reason =
      error instanceof YAMLParseError ? error.message : ((error as NodeJS.ErrnoException).code ?? String(error));
    throw new CodedError("CONFIG_INVALID", `${file}: ${reason}`, { file, reason }, { cause: error });
  }
  return parseConfig(schema, value, file);
}

/** A counting line, on a terminal only. */
function progress(word: string): { onProgress?: (done: number, total: number) => void } {
  if (!process.stderr.isTTY) return {};
  return {
    onProgress: (done, total) => {
      if (done === total) process.stderr.write(`\r\u001B[K`);
      else if (done % 16 === 0) process.stderr.write(`\r${word}: ${done} of ${total}`);
    },
  };
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("expected a whole number");
  return Number(text);
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value <= 1))
    throw new InvalidArgumentError("expected a number from 0 to 1");
  return value;
}

function pictureSize(text: string): [number, number] {
  const found = /^(\d{1,5})(?:x(\d{1,5}))?$/.exec(text);
  if (found === null) throw new InvalidArgumentError("expected pixels, as 128 or 96x128 (height x width)");
  return [Number(found[1]), Number(found[2] ?? found[1])];
}
