/** A base: the weights of another release that a federation begins with (shared/release/base.ts), as the plan names it. */
import { z } from "zod";
import { sha256Hex } from "../ids.ts";

export const baseRef = z.strictObject({
  sha256: sha256Hex,
  bytes: z
    .int()
    .min(1)
    .max(2 ** 30),
});
export type BaseRef = z.infer<typeof baseRef>;
