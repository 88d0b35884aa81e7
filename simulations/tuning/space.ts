/** What is searched: the schema of a search in YAML, and the settings of each trial, drawn from its seed. */
import { z } from "zod";
import { CodedError } from "../../shared/errors.ts";
import { HEAD_METRICS, HEADS, type Head } from "../../shared/release/scores.ts";
import { Rng } from "../../shared/rng/rng.ts";

const ends = z
  .tuple([z.number(), z.number()])
  .refine(([low, high]) => low < high, "the first is to be below the second");
const how = { integer: z.boolean().default(false) };

/** A list of values of any kind, or an interval: uniform, or uniform in the logarithm. */
const values = z.union([
  z.array(z.json()).min(1),
  z.strictObject({ range: ends, ...how }),
  z.strictObject({ log: ends.refine(([low]) => low > 0, "a logarithm needs ends above 0"), ...how }),
]);

/** Decide what is compared, or for how long: the same for all trials. */
const FIXED = /^(federation|seed|labels|evaluation|model\.own|schedule\.(rounds|until\w+|every))(\.|$)/;

export const searchFile = z.strictObject({
  /** HEAD.METRIC, such as segmentation.mIoU; default: the one that the first head of the labels is judged by. */
  metric: z
    .string()
    .regex(/^\w+\.\w+$/, "HEAD.METRIC")
    .optional(),
  seed: z.int().min(0).default(7),
  trials: z.int().min(2).max(10_000).default(9),
  /** Of each rung's trials one in `eta` goes on, for `eta` times as many rounds. */
  eta: z.int().min(2).max(16).default(3),
  rounds: z
    .strictObject({ least: z.int().min(1).default(1), most: z.int().min(1).default(9) })
    .prefault({})
    .refine(({ least, most }) => least <= most, "least is to be at most most"),
  /** By the names of fields of federation.yaml, as `--set` takes them. */
  space: z
    .record(
      z
        .string()
        .regex(/^[\w.]+$/, "a field of federation.yaml")
        .refine((field) => !FIXED.test(field), "decides what is compared, so it is the same for all trials"),
      values,
    )
    .refine((space) => Object.keys(space).length > 0, "at least one field"),
});
export type Search = z.infer<typeof searchFile>;

export type Settings = Readonly<Record<string, z.infer<ReturnType<typeof z.json>>>>;

const LOWER_IS_BETTER = new Set(["rmse", "mae", "logRmse", "absRel", "silog", "ece"]);

export interface Objective {
  readonly head: Head;
  readonly metric: string;
  readonly better: "higher" | "lower";
}

/** `head.metric`, checked. Throws CONFIG_INVALID. */
export function objectiveOf(text: string): Objective {
  const [head, metric] = text.split(".") as [string, string];
  const known: readonly string[] = HEADS.includes(head as Head) ? HEAD_METRICS[head as Head] : [];
  if (!known.includes(metric)) {
    const expected = HEADS.map((name) => HEAD_METRICS[name].map((each) => `${name}.${each}`).join(", ")).join(", ");
    throw new CodedError("CONFIG_INVALID", `metric: expected one of ${expected}, got ${text}`, { field: "metric" });
  }
  return { head: head as Head, metric, better: LOWER_IS_BETTER.has(metric) ? "lower" : "higher" };
}

/** Draws before a space is taken to hold no other settings, or none that are allowed. */
const DRAWS = 200;

/**
 * The settings of each trial, no two alike; fewer where the space holds no more. `refusal` says why federation.yaml
 * cannot have some settings: they are drawn again. Throws that reason where all are refused.
 */
export function drawTrials(
  { seed, trials, space }: Pick<Search, "seed" | "trials" | "space">,
  refusal: (settings: Settings) => CodedError | null,
): Settings[] {
  const drawn = new Map<string, Settings>();
  const rng = Rng.of(seed, "tune");
  let refused: CodedError | null = null;
  for (let idle = 0; drawn.size < trials && idle < DRAWS; idle++) {
    const settings = Object.fromEntries(Object.entries(space).map(([field, from]) => [field, draw(rng, from)]));
    const name = JSON.stringify(settings);
    if (drawn.has(name)) continue;
    const reason = refusal(settings);
    if (reason !== null) refused = reason;
    else {
      drawn.set(name, settings);
      idle = -1;
    }
  }
  if (drawn.size === 0 && refused !== null) throw refused;
  return [...drawn.values()];
}

function draw(rng: Rng, from: z.infer<typeof values>): Settings[string] {
  if (Array.isArray(from)) return from[rng.below(from.length)] as Settings[string];
  const logarithmic = "log" in from;
  const [low, high] = logarithmic ? from.log : from.range;
  // Each whole number of the interval is the middle of its own unit.
  const [a, b] = from.integer ? [Math.ceil(low) - 0.5, Math.floor(high) + 0.5] : [low, high];
  const u = rng.uniform();
  const value = logarithmic ? Math.exp(Math.log(a) + u * (Math.log(b) - Math.log(a))) : a + u * (b - a);
  if (from.integer) return Math.min(Math.floor(high), Math.max(Math.ceil(low), Math.round(value)));
  // Four digits are what anybody would copy into a file.
  return Math.min(high, Math.max(low, Number(value.toPrecision(4))));
}

/** One setting as `--set` takes it. */
export function settingText([field, value]: readonly [string, Settings[string]]): string {
  return `${field}=${JSON.stringify(value)}`;
}
