/** `explanations.json`: every number of the interpretability report. */
import { z } from "zod";
import { METHODS } from "../../models/explain/explain.ts";
import { MODALITIES } from "../../models/explain/points.ts";
import { HEADS, metrics } from "../../shared/release/scores.ts";

const head = z.enum(HEADS);
const modality = z.enum(MODALITIES);
const method = z.enum(METHODS);

const test = z.strictObject({
  head,
  modality,
  method,
  maps: z.int().min(1),
  better: z.int().min(0),
  deletion: z.number(),
  insertion: z.number(),
  randomDeletion: z.number(),
  randomInsertion: z.number(),
  /** (insertion - deletion) of the map, less that of random orders; null error: one map. */
  gain: z.number(),
  error: z.number().nullable(),
});
export type ReportedTest = z.infer<typeof test>;

const explanation = z.strictObject({
  head,
  label: z.string(),
  score: z.number(),
  /** Where nothing is known; null without gradients, as the two behind it. */
  absentScore: z.number().nullable(),
  contributions: z.partialRecord(modality, z.number()).nullable(),
  gap: z.number().nullable(),
  box: z.strictObject({ x: z.number(), y: z.number(), width: z.number(), height: z.number() }).nullable(),
  /** By method, in the order of the picture's words. */
  words: z.partialRecord(method, z.array(z.number())),
  files: z.array(z.string()),
});
export type ReportedExplanation = z.infer<typeof explanation>;

const picture = z.strictObject({
  id: z.string(),
  site: z.string().nullable(),
  words: z.array(z.string()),
  /** Rank correlation of how much depth moves and how wrong it is; null without truth. */
  spreadTellsError: z.number().nullable(),
  explanations: z.array(explanation),
});
export type ReportedPicture = z.infer<typeof picture>;

export const explanationReport = z.strictObject({
  schema: z.literal(1),
  engine: z.string(),
  seed: z.int(),
  model: z.strictObject({
    name: z.string(),
    preset: z.string(),
    params: z.int(),
    modalities: z.array(z.string()),
    size: z.tuple([z.int(), z.int()]),
    heads: z.array(head),
    classes: z.partialRecord(head, z.array(z.string())),
  }),
  /** Null for a bare model folder. */
  release: z
    .strictObject({
      name: z.string(),
      version: z.int(),
      round: z.int(),
      paramsHash: z.string(),
      manifestHash: z.string(),
      signedBy: z.string(),
      counts: z.strictObject({ survivors: z.int(), examples: z.int() }),
      metrics,
      evaluation: z.string(),
    })
    .nullable(),
  data: z.strictObject({ folders: z.array(z.string()), size: z.int(), generated: z.boolean() }),
  methods: z.array(method),
  unavailable: z.array(z.strictObject({ code: z.string(), message: z.string() })),
  randomOrders: z.int(),
  faithfulness: z.array(test),
  pictures: z.array(picture),
});
export type ExplanationReport = z.infer<typeof explanationReport>;
