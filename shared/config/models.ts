/**
 * The table of models, as far as a configuration needs it: what each reads and learns, and the loss, optimizer and
 * size that it has unless federation.yaml says otherwise. `models/registry.ts` has a builder for every row.
 */
import type { Head } from "../release/scores.ts";

interface ModelFacts {
  readonly heads: readonly Head[];
  readonly modalities: readonly ("rgb" | "depth" | "text")[];
  /** Sides of the model's maps are multiples of this; pictures are padded to them. */
  readonly multiple: number;
  /** The only kind of depth that its losses can learn, where there is one. */
  readonly depth?: "relative";
  /** Fields of federation.yaml's `input` and `training`. */
  readonly defaults: { readonly input?: object; readonly training?: object };
}

const RGB = { modalities: ["rgb"] } as const;

/** With and without a network for the edges beside it. */
const DEPTH_2D = {
  heads: ["depth"],
  modalities: ["rgb"],
  multiple: 4,
  defaults: {
    input: { size: [32, 32], ...RGB },
    training: { optimizer: { name: "adam", learningRate: 0.01 }, losses: { depth: ["l2"], weights: "fixed" } },
  },
} as const;

const MODEL_FACTS = {
  allulook4: {
    heads: ["detection", "segmentation", "depth", "scene"],
    modalities: ["rgb", "depth", "text"],
    multiple: 32,
    defaults: {},
  },
  dpt: {
    heads: ["depth"],
    modalities: ["rgb"],
    multiple: 32,
    depth: "relative",
    defaults: {
      input: RGB,
      training: {
        optimizer: { name: "adam", learningRate: 0.001 },
        losses: { depth: ["scaleAndShiftInvariant"], weights: "fixed" },
      },
    },
  },
  "depth-sense": {
    heads: ["depth"],
    modalities: ["rgb"],
    multiple: 32,
    depth: "relative",
    defaults: {
      input: RGB,
      training: {
        optimizer: { name: "adam", learningRate: 0.002 },
        losses: { depth: ["ranking", "ssim", "smoothness", "edgeGuided"], weights: "fixed" },
      },
    },
  },
  depthnet: {
    heads: ["depth"],
    modalities: ["rgb"],
    multiple: 128,
    defaults: {
      input: RGB,
      training: {
        optimizer: { name: "rmsprop", learningRate: 0.001 },
        losses: { depth: ["l1"], weights: "fixed" },
      },
    },
  },
  "depth-2d": DEPTH_2D,
  "depth-2d-edges": DEPTH_2D,
} as const satisfies Record<string, ModelFacts>;

export type ModelName = keyof typeof MODEL_FACTS;
export const MODEL_NAMES = Object.keys(MODEL_FACTS) as ModelName[];

/** Whether a model of the table has this name. */
export function isModelName(name: string): name is ModelName {
  return Object.hasOwn(MODEL_FACTS, name);
}

/** The row of a model of the table; null for a model of one's own. */
export function factsOf(name: string): ModelFacts | null {
  return isModelName(name) ? MODEL_FACTS[name] : null;
}

/** Raw content of federation.yaml with what the named model has unless the file says otherwise. */
export function withModelDefaults(raw: unknown): unknown {
  if (!isObject(raw) || !isObject(raw["model"])) return raw;
  const { name } = raw["model"];
  const facts = typeof name === "string" ? factsOf(name) : null;
  return facts === null ? raw : { ...raw, ...filled(facts.defaults, raw) };
}

/** `given` over `defaults`; lists and scalars are taken whole, objects field by field. */
function filled(defaults: object, given: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(defaults).map(([field, value]) => {
    const said = given[field];
    if (said === undefined) return [field, value];
    return [field, isObject(value) && isObject(said) ? { ...said, ...filled(value, said) } : said];
  });
  return Object.fromEntries(entries);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** What people read: a model of one's own has no preset. */
export function modelTitle({ name, preset }: { readonly name: string; readonly preset: string }): string {
  return isModelName(name) ? `${name} ${preset}` : name;
}
