/** `allulook model list`: the models there are, and what each learns, reads and is trained with. */
import type { Command } from "commander";
import { factsOf, MODEL_NAMES, withModelDefaults } from "../../shared/config/models.ts";
import { usualDepthLosses } from "../../shared/config/losses.ts";
import { shippedFor } from "../../shared/config/pretrained.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import { printResult } from "../output.ts";
import { registerMeasure } from "./model-measure.ts";

export function register(program: Command): void {
  const model = program.command("model").description("the models of this version");
  registerMeasure(model);
  model
    .command("list")
    .description("every model: its heads, inputs, losses and optimizer")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook model list")
    .action((options: { json?: boolean }) => {
      const rows = MODEL_NAMES.map(rowOf);
      const lines = rows.map(({ name, heads, modalities, depth, losses, optimizer, size, pretrained }) =>
        [
          name.padEnd(16),
          `learns ${heads.map((head) => (head === "depth" && depth === "relative" ? "relative depth" : head)).join(", ")}`,
          `from ${modalities.join(", ")} of ${size.join(" x ")}`,
          `by ${losses.join(" + ")}, ${optimizer.name} ${optimizer.learningRate}`,
          ...(pretrained.length === 0 ? [] : [`weights ship for ${pretrained.join(", ")}`]),
        ].join("  "),
      );
      printResult(options.json, rows, [...lines, "or a LayersModel of your own: docs/models.md"].join("\n"));
    });
}

const PRESETS = ["nano", "tiny", "small", "base"] as const;

function rowOf(name: (typeof MODEL_NAMES)[number]) {
  const facts = factsOf(name) as NonNullable<ReturnType<typeof factsOf>>;
  const { training, input } = federationConfig.parse(withModelDefaults({ federation: "list", model: { name } }));
  return {
    name,
    heads: facts.heads,
    modalities: facts.modalities,
    depth: facts.depth ?? "any",
    losses: facts.heads.flatMap((head): readonly string[] => training.losses[head] ?? usualDepthLosses(true)),
    optimizer: { name: training.optimizer.name, learningRate: training.optimizer.learningRate },
    size: input.size,
    multiple: facts.multiple,
    pretrained: PRESETS.filter((preset) => shippedFor({ name, preset }) !== undefined),
  };
}
