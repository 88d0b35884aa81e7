/**
 * The parts of Allulook4 that can be swapped, by the names that `model.backbone` and `model.fusion` of federation.yaml
 * use. Another part is one new file and one line here; docs/models.md has an example of each.
 */
import { CodedError } from "../../shared/errors.ts";
import { twoBranch } from "./backbones/two-branch.ts";
import { gatedAttention } from "./fusions/gated-attention.ts";
import type { Backbone, Fusion } from "./part-types.ts";

export const BACKBONES: Record<string, Backbone> = {
  "two-branch": twoBranch,
};

export const FUSIONS: Record<string, Fusion> = {
  "gated-attention": gatedAttention,
};

/** Where federation.yaml names none. */
const USUAL_PARTS = { backbone: "two-branch", fusion: "gated-attention" } as const;

/** Throws MODEL_PART when the table has none of this name. */
export function partOf<T>(table: Readonly<Record<string, T>>, field: "backbone" | "fusion", name?: string): T {
  const wanted = name ?? USUAL_PARTS[field];
  const part = Object.hasOwn(table, wanted) ? table[wanted] : undefined;
  if (part !== undefined) return part;
  throw new CodedError("MODEL_PART", `model.${field}: expected ${Object.keys(table).join(" or ")}, got ${wanted}`, {
    field: `model.${field}`,
    expected: Object.keys(table),
    got: wanted,
  });
}
