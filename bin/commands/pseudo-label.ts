/** `allulook pseudo-label`: depth maps by a teacher for pictures that have none, as a dataset that a student learns from. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { openDataset } from "../../client/data/open-dataset.ts";
import { writePseudoLabels } from "../../client/data/pseudo-labels.ts";
import { loadRelease } from "../../client/model-cache/load-model-folder.ts";
import { openRelease } from "../../client/model-cache/open-release.ts";
import { predict } from "../../models/allulook4/predict.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import { CodedError } from "../../shared/errors.ts";
import { printResult } from "../output.ts";

interface PseudoLabelOptions {
  readonly model: string;
  readonly data: string;
  readonly out: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command("pseudo-label")
    .description("let a released teacher estimate depth for pictures without, to train a student on")
    .requiredOption("--model <dir>", "release folder of the teacher, with a model/")
    .requiredOption("--data <dir>", "dataset folder, or a folder of plain pictures; depth in it is not looked at")
    .requiredOption("--out <dir>", "folder for the new dataset")
    .option("--json", "one JSON document on stdout")
    .addHelpText(
      "after",
      `
Example: allulook pseudo-label --model teacher/releases/1 --data ./pictures --out labelled
         allulook train --model dpt --preset nano --data labelled --out student`,
    )
    .action(pseudoLabel);
}

async function pseudoLabel(options: PseudoLabelOptions): Promise<void> {
  const loaded = await loadRelease(resolve(options.model));
  const { config, manifest } = loaded;
  const { kind } = config.labels.depth;
  if (kind === "none") throw new CodedError("USAGE", `${options.model} estimates no depth`, { field: "model" });
  // Of the folder only the pictures are wanted: no label of it has to be known.
  const labels = { detection: [], segmentation: [], scene: [], depth: { kind: "none" as const } };
  const dataset = await openDataset(resolve(options.data), { labels, onProblem: () => {} });
  await loadEngine();
  const built = await openRelease(loaded);
  try {
    const out = resolve(options.out);
    const written = await writePseudoLabels(out, dataset, {
      kind,
      depth: (sample) => predict(built, config, { ...sample, depth: null }).depth as Float32Array,
      teacher: `${config.model.name} ${manifest === null ? "" : manifest.paramsHash}`.trim(),
    });
    const summary = { written, skipped: dataset.size - written, kind, folder: out };
    printResult(options.json, summary, `${written} pictures with ${kind} depth: ${out}`);
  } finally {
    built.dispose();
  }
}
