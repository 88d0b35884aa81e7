/**
 * Reads a user's own model: the YAML that `model.init` of federation.yaml names, the model.json beside it, and the
 * weights where that names some.
 */
import { readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { parse as parseYaml, YAMLParseError } from "yaml";
import { z } from "zod";
import { withModelDefaults } from "../shared/config/models.ts";
import { ownModelFile, type OwnModel } from "../shared/config/own-model.ts";
import { checkTopology, MAX_TOPOLOGY } from "../shared/config/topology.ts";
import { invalidField, parseConfig } from "../shared/config/parse.ts";
import { CodedError } from "../shared/errors.ts";
import { readBaseModel } from "./base-model.ts";

/** model.json with its manifest of weights; generous beside the topology's own limit. */
const MAX_FILE = 4 * MAX_TOPOLOGY;
const MAX_WEIGHTS = 512 * 2 ** 20;

/** What TensorFlow.js writes into model.json, as far as it is read here. */
const modelJson = z.object({
  modelTopology: z.record(z.string(), z.json()),
  weightsManifest: z
    .array(
      z.object({
        paths: z.array(z.string().regex(/^[^/\\]+$/, "a file beside model.json")),
        weights: z.array(z.object({ name: z.string(), shape: z.array(z.int().min(0)), dtype: z.string() }).loose()),
      }),
    )
    .optional(),
});

export interface OwnWeights {
  /** As `tf.io.decodeWeights` takes them. */
  readonly specs: readonly { readonly name: string; readonly shape: readonly number[]; readonly dtype: string }[];
  readonly data: Uint8Array;
}

interface OwnModelFiles {
  readonly name: string;
  readonly own: OwnModel;
  /** By head; what the YAML says. */
  readonly losses: Readonly<Record<string, readonly string[]>>;
}

/** Throws CONFIG_INVALID naming file and field, MODEL_LAYER, MODEL_TOPOLOGY. */
async function readOwnModel(path: string): Promise<OwnModelFiles> {
  const file = parseConfig(ownModelFile, yamlOf(await textOf(path), path), path);
  const { json, folder } = await readModelJson(path, file.model);
  const weights = await weightsOf(json, folder);
  const outputs = Object.entries(file.outputs);
  const own: OwnModel = {
    topology: json.modelTopology,
    inputs: file.inputs,
    outputs: Object.fromEntries(outputs.map(([name, { losses: _losses, ...output }]) => [name, output])),
    weights: weights === null ? null : bytesToHex(sha256(weights.data)),
  };
  checkTopology(own);
  const losses = outputs.flatMap(([, output]) => (output.losses === undefined ? [] : [[output.head, output.losses]]));
  return { name: file.name, own, losses: Object.fromEntries(losses) };
}

/** The weights that belong to the model described at `path`. Throws CONFIG_INVALID when they are not the plan's. */
export async function readOwnWeights(path: string, own: OwnModel): Promise<OwnWeights | null> {
  if (own.weights === null) return null;
  const file = parseConfig(ownModelFile, yamlOf(await textOf(path), path), path);
  const { json, folder } = await readModelJson(path, file.model);
  const weights = await weightsOf(json, folder);
  if (weights === null || bytesToHex(sha256(weights.data)) !== own.weights) {
    throw new CodedError("CONFIG_INVALID", `${path}: the weights have changed since the plan was made`, { file: path });
  }
  return weights;
}

/**
 * The raw content of federation.yaml with everything filled in that the named model decides: a model of one's own
 * itself, its losses and modalities, or the defaults of a model of the table. `dir` is where paths begin.
 */
export async function completeConfig(raw: unknown, dir: string, file: string): Promise<unknown> {
  const config = asObject(raw);
  const model = asObject(config?.["model"]);
  if (config === null || model === null) return withModelDefaults(raw);
  for (const field of ["own", "base", "weights"]) {
    if (model[field] === undefined) continue;
    throw new CodedError("CONFIG_INVALID", `${file}: model.${field}: not written by hand; name the file in init`, {
      file,
      field: `model.${field}`,
    });
  }
  const { init } = model;
  if (typeof init !== "string" || init === "random" || init === "pretrained") return withModelDefaults(raw);
  if (!/\.ya?ml$/.test(init)) return /[/\\]/.test(init) ? withBase(config, model, resolve(dir, init)) : raw;
  const path = resolve(dir, init);
  const { name, own, losses } = await readOwnModel(path);
  if (model["name"] !== undefined && model["name"] !== name) {
    throw new CodedError("CONFIG_INVALID", `${file}: model.name: expected ${name}, as ${path} says, or nothing`, {
      file,
      field: "model.name",
      expected: name,
      got: model["name"],
    });
  }
  const training = asObject(config["training"]) ?? {};
  const modalities = new Set(Object.values(own.inputs).map(({ modality }) => modality));
  return {
    ...config,
    model: { ...model, name, init: path, own },
    input: {
      ...sizeOfInput(own.topology),
      modalities: ["rgb", "depth", "text"].filter((name) => modalities.has(name as "rgb")),
      ...asObject(config["input"]),
    },
    training: { ...training, losses: { ...losses, ...asObject(training["losses"]) } },
  };
}

/** With the weights of a release to begin with: its model, unless the file names the same. */
async function withBase(
  config: Record<string, unknown>,
  model: Record<string, unknown>,
  path: string,
): Promise<unknown> {
  const { card, ref } = await readBaseModel(path);
  const { builder, preset, backbone, fusion } = card;
  const begun = Object.entries({ name: builder, preset, backbone, fusion });
  for (const [field, value] of begun) {
    const said = model[field];
    if (said !== undefined && said !== value)
      throw invalidField(`model.${field}`, `${value ?? "none"}, as ${path} is`, said);
  }
  const given = Object.fromEntries(begun.filter(([, value]) => value !== undefined));
  return withModelDefaults({ ...config, model: { ...model, ...given, init: path, base: ref } });
}

/** The size that the model's first picture or depth input has, unless it is open. */
function sizeOfInput(topology: unknown): { size?: [number, number] } {
  if (topology === null || typeof topology !== "object") return {};
  const shape: unknown = (topology as Record<string, unknown>)["batch_input_shape"];
  if (Array.isArray(shape) && shape.length === 4) {
    const [, height, width] = shape as unknown[];
    if (typeof height === "number" && typeof width === "number") return { size: [height, width] };
  }
  return Object.values(topology).reduce<{ size?: [number, number] }>(
    (found, member) => (found.size === undefined ? sizeOfInput(member) : found),
    {},
  );
}

function asObject(value: unknown): Record<string, unknown> | null {
  return value !== null && typeof value === "object" && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

async function readModelJson(
  path: string,
  model: string,
): Promise<{ json: z.infer<typeof modelJson>; folder: string }> {
  const file = resolve(dirname(path), model);
  let value: unknown;
  try {
    value = JSON.parse(await textOf(file));
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw new CodedError("CONFIG_INVALID", `${file} is not JSON`, { file }, { cause: error });
  }
  return { json: parseConfig(modelJson, value, file), folder: dirname(file) };
}

async function weightsOf(json: z.infer<typeof modelJson>, folder: string): Promise<OwnWeights | null> {
  const groups = json.weightsManifest ?? [];
  const parts: Uint8Array[] = [];
  let size = 0;
  for (const name of groups.flatMap(({ paths }) => paths)) {
    size += (await sizeOf(join(folder, name))) ?? 0;
    if (size > MAX_WEIGHTS) {
      throw new CodedError("MODEL_LARGE", `the weights are larger than ${MAX_WEIGHTS} bytes`, {
        expected: MAX_WEIGHTS,
      });
    }
    parts.push(await bytesOf(join(folder, name)));
  }
  return parts.length === 0
    ? null
    : { specs: groups.flatMap(({ weights }) => weights), data: new Uint8Array(Buffer.concat(parts)) };
}

async function sizeOf(file: string): Promise<number | null> {
  return stat(file).then(
    ({ size }) => size,
    () => null,
  );
}

async function bytesOf(file: string): Promise<Uint8Array> {
  return readFile(file).catch((error: unknown) => {
    throw new CodedError("CONFIG_INVALID", `cannot read ${file}`, { file }, { cause: error });
  });
}

async function textOf(file: string): Promise<string> {
  const size = await sizeOf(file);
  if (size !== null && size > MAX_FILE) {
    throw new CodedError("MODEL_TOPOLOGY", `${file} has ${size} bytes; ${MAX_FILE} are allowed`, { file });
  }
  return new TextDecoder().decode(await bytesOf(file));
}

function yamlOf(text: string, file: string): unknown {
  try {
    return parseYaml(text, { uniqueKeys: true });
  } catch (error) {
    const why = error instanceof YAMLParseError ? error.message : String(error);
    throw new CodedError("CONFIG_INVALID", `${file}: not YAML: ${why}`, { file }, { cause: error });
  }
}
