/** `allulook compress`: the model of a release in another number format, with what that costs each head. */
import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { type Command, Option } from "commander";
import { loadRelease } from "../../client/model-cache/load-model-folder.ts";
import { settleFallbacks } from "../../coordinator/release/settle.ts";
import { CodedError } from "../../shared/errors.ts";
import { writeWholeFolder } from "../../shared/node/whole-folder.ts";
import { dtypesOf, type Dtype, type Fallback } from "../../shared/quantize/dtype.ts";
import { deriveModel, encodeModel } from "../../shared/quantize/model.ts";
import { MODEL_WEIGHTS_PATH } from "../../shared/release/model-card.ts";
import { dropsBetween, HEADS, NO_DROPS, scoreOf, type Metrics } from "../../shared/release/scores.ts";
import { evaluateModel } from "../evaluation/release.ts";
import { number } from "../numbers.ts";
import { note, printResult } from "../output.ts";

interface CompressOptions {
  readonly model: string;
  readonly dtype: Dtype;
  readonly data?: string[];
  readonly maxDrop: number;
  readonly out: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command("compress")
    .description("write a release's model in another number format, and measure what that costs each head")
    .requiredOption("--model <dir>", "release folder with a model/; one in fp32 loses least")
    .addOption(new Option("--dtype <format>", "number format").choices(["int8", "fp16", "fp32"]).default("int8"))
    .option("--data <dir...>", "datasets to score on; tensors stay in fp16 or fp32 where a head would lose too much")
    .option("--max-drop <x>", "what mIoU, mAP, delta 1.25 and accuracy may lose, in [0, 1]", number, 0.01)
    .requiredOption("--out <dir>", "folder for the model, which evaluate and predict take")
    .option("--json", "one JSON document on stdout")
    .addHelpText(
      "after",
      "\nExample: allulook compress --model run/releases/5 --dtype int8 --data ./pictures --out small",
    )
    .action(compress);
}

async function compress(options: CompressOptions): Promise<void> {
  const { dtype, maxDrop, data } = options;
  const out = resolve(options.out);
  if ((await stat(out).catch(() => null)) !== null)
    throw new CodedError("USAGE", `${out} exists; give another --out`, { field: "out" });
  const loaded = await loadRelease(resolve(options.model));
  const { layout, params, files } = loaded;
  const measure = async (of: Float32Array): Promise<Metrics> =>
    (await evaluateModel({ ...loaded, params: of }, { data: data ?? [] })).metrics as Metrics;
  let fallbacks: readonly Fallback[] = [];
  let reference: Metrics = {};
  let compressed: Metrics = {};
  if (data !== undefined) {
    reference = await measure(params);
    compressed = await measure(deriveModel(params, layout, dtype, []));
    const evaluation = { reference, quantized: compressed };
    const scored = { layout, params, dtype, fallbacks, maxDrop, evaluation };
    ({ fallbacks } = await settleFallbacks(scored, async (of) => {
      if (of === params) return reference;
      note("a head loses too much: more tensors are stored exactly");
      return (compressed = await measure(of));
    }));
  }
  const { bytes } = encodeModel(layout, params, dtype, fallbacks);
  const written = new Map([...files, [MODEL_WEIGHTS_PATH, bytes] as const]);
  await writeWholeFolder(out, new Map([...written].map(([path, content]) => [basename(path), content])));
  const drops = data === undefined ? NO_DROPS : dropsBetween(reference, compressed);
  const value = {
    dtype,
    fallbacks,
    sizeBytes: [...written.values()].reduce((sum, content) => sum + content.length, 0),
    fp32SizeBytes: 4 * layout.length,
    metrics: { before: reference, after: compressed },
    accuracyDrop: drops,
  };
  const kept = dtypesOf(layout, dtype, fallbacks).filter((stored) => stored !== dtype).length;
  const lines = [
    `${out}: ${(value.sizeBytes / 1e6).toFixed(2)} MB against ${(value.fp32SizeBytes / 1e6).toFixed(2)} MB of weights in fp32; ${kept} of ${layout.tensors.length} tensors more exact than ${dtype}`,
    ...HEADS.filter((head) => drops[head] !== null).map(
      (head) =>
        `${head}: ${percent(scoreOf(reference, head))} before, ${percent(scoreOf(compressed, head))} after, ${percent(drops[head])} lost`,
    ),
    ...(data === undefined ? ["not scored: give --data to see what it costs"] : []),
  ];
  printResult(options.json, value, lines.join("\n"));
}

function percent(value: number | null): string {
  return value === null ? "-" : `${(100 * value).toFixed(2)} %`;
}
