/** What a segmentation is worth that names everywhere the class that is most frequent in the training pictures. */
import { join } from "node:path";
import { readFile } from "node:fs/promises";
import { openDataset } from "../../client/data/open-dataset.ts";
import { segmentationMetrics } from "../../models/metrics/classification.ts";
import { IGNORE_CLASS } from "../../models/preprocess/sample.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import { SETUP_FILE, setupFile } from "../run.ts";

/** @param out folder of a finished run; its samples and their split are read from there. @returns mIoU */
export async function mostFrequentClass(out: string): Promise<number> {
  const path = join(out, SETUP_FILE);
  const { config, clients } = parseConfig(setupFile, JSON.parse(await readFile(path, "utf8")), path);
  const classes = config.labels.segmentation.length;
  const training = new Float64Array(classes);
  const evaluation = new Float64Array(classes);
  for (const { parts, split } of clients) {
    const samples = [];
    for (const { dir, indices } of parts) {
      const dataset = await openDataset(dir, { labels: config.labels });
      for (const index of indices ?? dataset.entries.keys()) samples.push(() => dataset.load(index));
    }
    for (const [of, counts] of [
      [split.train, training],
      [split.evaluation, evaluation],
    ] as const) {
      for (const index of of) {
        for (const name of (await samples[index]?.())?.segmentation ?? []) {
          if (name !== IGNORE_CLASS) counts[name] = (counts[name] ?? 0) + 1;
        }
      }
    }
  }
  const usual = training.indexOf(Math.max(...training));
  const confusion = new Float64Array(classes * classes);
  for (const [truth, count] of evaluation.entries()) confusion[truth * classes + usual] = count;
  return segmentationMetrics(confusion, classes)?.mIoU ?? 0;
}
