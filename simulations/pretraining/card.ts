/** The model card that lies beside the weights (Mitchell et al. 2019, in short). */
import { HEAD_SCORE, HEADS, type Metrics } from "../../shared/release/scores.ts";
import { modelTitle } from "../../shared/config/models.ts";
import { PRETRAINING_LABELS } from "./labels.ts";
import type { PretrainingReport } from "./pretrain.ts";

/** Beside the score that a head is judged by. */
const MORE = { segmentation: "pixelAccuracy", detection: "AP50", depth: "absRel", scene: "auroc" } as const;

export function cardText(report: PretrainingReport): string {
  const { preset, seed, recipe, engine, params, metrics, bytes, sha256 } = report;
  const { detection, segmentation, scene } = PRETRAINING_LABELS;
  const rows = HEADS.flatMap((head) =>
    [HEAD_SCORE[head], MORE[head]].map(
      (name) => `| ${head} ${name} | ${written(metrics.fp32, head, name)} | ${written(metrics.int8, head, name)} |`,
    ),
  );
  return `# ${modelTitle({ name: "allulook4", preset })}, pretrained

Weights for federations to begin with. They are no product: they know generated pictures alone.

- Made by \`allulook pretrain --preset ${preset} --seed ${seed}\`: ${recipe.steps} steps of ${recipe.batchSize} pictures at 128 x 128, Adam
  ${recipe.learningRate}, ${engine.version}, ${engine.threads} thread. Another engine or thread setting gives other bits and about the same scores.
- Data: ${recipe.pictures} generated rooms, streets and surfaces, with textures, colours and exposures at random; no photograph.
- ${params} params, int8 with scales by channel; ${bytes} bytes with model.json.
- SHA-256 of the SHA-256s of model.json and weights.bin, with a blank between: \`${sha256}\`

| on ${recipe.evaluation} other generated pictures | fp32 | int8 |
| --- | --- | --- |
${rows.join("\n")}

## Classes

- segmentation: ${segmentation.join(", ")}
- detection: ${detection.join(", ")}
- scene: ${scene.join(", ")}
- depth: metric

A federation takes over every tensor of the same name and shape, and the last layers of classes with the same names; see
docs/models.md, which also says what this buys on real pictures.

## Limits

Nothing here was trained or judged on people, patients or real streets. Generated people have four skin colours and one
build. Whoever federates from these weights judges the result on data of their own.
`;
}

function written(metrics: Metrics, head: string, name: string): string {
  const value = metrics[head]?.[name] ?? null;
  return value === null ? "-" : value.toFixed(3);
}
