/**
 * A user's own LayersModel: its topology, and what its inputs and outputs mean. It travels in the training plan, so
 * that a site approves exactly this model; a site builds it from layers that TensorFlow.js brings along, and nothing
 * of it is executed. Kept pure: the model itself is built by `models/own`.
 */
import { z } from "zod";
import { HEAD_METRICS, HEAD_SCORE, HEADS, type Head } from "../release/scores.ts";

const layerName = z.string().min(1).max(128);

const input = z.strictObject({
  /** What the input is fed with; `presence`: three numbers, 1 where rgb, depth and text are there. */
  modality: z.enum(["rgb", "depth", "text", "presence"]),
  /** Of rgb: [0, 1], [-1, 1], [0, 255], or about zero mean and unit deviation. */
  values: z.enum(["unit", "signed", "bytes", "normalised"]).default("unit"),
});

/** How a head's output is to be read; the first is the default. */
const READINGS = {
  segmentation: ["logits", "probabilities"],
  scene: ["logits", "probabilities"],
  depth: ["normalised", "metres"],
  detection: ["encoded"],
} as const satisfies Record<Head, readonly string[]>;

const output = z.strictObject({
  head: z.enum(HEADS),
  gives: z.enum(["logits", "probabilities", "normalised", "metres", "encoded"]).optional(),
  /** Metrics to report, besides the one that the head is judged by; all unless given. */
  metrics: z.array(z.string()).optional(),
});

function checkOutput({ head, gives, metrics }: z.infer<typeof output>, context: z.RefinementCtx): void {
  const readings: readonly string[] = READINGS[head];
  if (gives !== undefined && !readings.includes(gives)) {
    context.addIssue({ code: "custom", path: ["gives"], message: `expected ${readings.join(" or ")} for ${head}` });
  }
  const known: readonly string[] = HEAD_METRICS[head];
  if (metrics?.some((name) => !known.includes(name)) === true) {
    context.addIssue({ code: "custom", path: ["metrics"], message: `expected some of ${known.join(", ")}` });
  }
}

/** As it stands in the plan. */
export const ownModel = z
  .strictObject({
    /** `modelTopology` of a LayersModel's model.json. */
    topology: z.record(z.string(), z.json()),
    /** By the names of the model's input layers. */
    inputs: z.record(layerName, input),
    /** By the names of the layers that the model puts out. */
    outputs: z.record(layerName, output.superRefine(checkOutput)),
    /** SHA-256 of the weights that version 0 has; null: they come from the federation's seed. */
    weights: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .nullable(),
  })
  .superRefine(({ inputs, outputs }, context) => {
    const modalities = Object.values(inputs).map(({ modality }) => modality);
    if (!modalities.includes("rgb") && !modalities.includes("depth")) {
      context.addIssue({ code: "custom", path: ["inputs"], message: "at least one input takes rgb or depth" });
    }
    const heads = Object.values(outputs).map(({ head }) => head);
    if (heads.length === 0 || new Set(heads).size < heads.length) {
      context.addIssue({ code: "custom", path: ["outputs"], message: "at least one output, each of another head" });
    }
  });
export type OwnModel = z.infer<typeof ownModel>;

/** The YAML file beside model.json that `model.init` of federation.yaml names. */
export const ownModelFile = z.strictObject({
  /** What sites allow in site.yaml (policy.models). */
  name: z
    .string()
    .max(64)
    .regex(/^[a-z0-9][a-z0-9-]*$/, "lower-case letters, digits and hyphens"),
  /** model.json as `model.save` writes it; relative to this file. */
  model: z.string().min(1),
  inputs: ownModel.shape.inputs,
  outputs: z.record(
    layerName,
    // What the losses may be is said by `training.losses` of federation.yaml, which they become.
    output.extend({ losses: z.array(z.string()).min(1).optional() }).superRefine(checkOutput),
  ),
});

/** How this output is to be read. */
export function readingOf({ head, gives }: OwnModel["outputs"][string]): NonNullable<typeof gives> {
  return gives ?? READINGS[head][0];
}

/** The heads that the model has. */
export function headsOf({ outputs }: OwnModel): Set<Head> {
  return new Set(Object.values(outputs).map(({ head }) => head));
}

/** The metrics that the model's YAML asks for; everything for other models. */
export function chosenMetrics<T extends Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>>(
  own: OwnModel | undefined,
  measured: T,
): T {
  if (own === undefined) return measured;
  const chosen = new Map(Object.values(own.outputs).map(({ head, metrics }) => [head as string, metrics]));
  const entries = Object.entries(measured).map(([head, values]) => {
    const names = chosen.get(head);
    if (names === undefined || values === undefined) return [head, values];
    const kept = (name: string) =>
      names.includes(name) || name === HEAD_SCORE[head as Head] || name.startsWith("baseline");
    return [head, Object.fromEntries(Object.entries(values).filter(([name]) => kept(name)))];
  });
  return Object.fromEntries(entries) as T;
}
