/** `allulook explain`: what a release's answers rest on, as an interpretability report for those who must judge it. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { explainRelease } from "../../simulations/explanations.ts";
import type { ReportedTest } from "../../simulations/report/explanation-schema.ts";
import { integer, positive } from "../numbers.ts";
import { note, printResult } from "../output.ts";

interface ExplainOptions {
  readonly model: string;
  readonly data: string[];
  readonly out: string;
  readonly pictures: number;
  readonly randomOrders: number;
  readonly seed: number;
  readonly personal?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command("explain")
    .description(
      "interpretability report: what answers rest on, how sure they are, and whether the maps tell the truth",
    )
    .requiredOption("--model <dir>", "release folder with a model/")
    .requiredOption("--data <dirs...>", "dataset folders; pictures are taken evenly from them")
    .requiredOption("--out <dir>", "folder for interpretability.html, explanations.json and the pictures")
    .option("--pictures <n>", "how many pictures are explained", positive, 6)
    .option("--random-orders <n>", "what every map is compared with when it is tested; 0: no test", integer, 3)
    .option("--seed <n>", "seed of the random orders and of the noise behind the steadiness of depth", integer, 7)
    .option("--personal <file>", "a site's personal params, where the federation has some")
    .option("--json", "explanations.json on stdout")
    .addHelpText("after", "\nExample: allulook explain --model run/releases/5 --data ./pictures --out why")
    .action(explainCommand);
}

async function explainCommand(options: ExplainOptions): Promise<void> {
  const { report, html } = await explainRelease({
    ...options,
    out: resolve(options.out),
    onNews: note,
    onPicture: (done, all, id) => note(`picture ${done}/${all}: ${id}`),
  });
  const unavailable = report.unavailable.map(({ code, message }) => `not possible: ${code}: ${message}`);
  printResult(
    options.json,
    report,
    [...report.faithfulness.map(testLine), ...unavailable, `report: ${html}`].join("\n"),
  );
}

function testLine(row: ReportedTest): string {
  const gain = `${row.gain < 0 ? "-" : "+"}${Math.abs(row.gain).toFixed(3)}`;
  const error = row.error === null ? "" : ` ± ${row.error.toFixed(3)}`;
  const name = `${row.head}, ${row.method} of ${row.modality}`;
  return `${name.padEnd(46)} better than random ${row.better} of ${row.maps}; gain ${gain}${error}`;
}
