/** The benchmarks of every model in every size, by name. */
import { MODEL_NAMES, type ModelName } from "../../shared/config/models.ts";
import type { Benchmark } from "./suite.ts";

export interface ModelBenchmark extends Benchmark {
  readonly model: ModelName;
  readonly preset: string;
}

export const MODEL_BENCHMARKS: readonly ModelBenchmark[] = MODEL_NAMES.flatMap((model) =>
  ["nano", "tiny", "small", "base"].map((preset) => ({
    name: `${model}-${preset}`,
    model,
    preset,
    what: "a training step of 8 pictures, inference, and what it learns in a few steps",
    run: async () => (await import("./models.ts")).measureModel(model, preset),
  })),
);
