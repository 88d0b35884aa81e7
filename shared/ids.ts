/** Identifiers as schemas and nominal types: a client name can never be passed where a hash is expected. */
import { z } from "zod";

export const clientName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "1 to 63 lower-case letters, digits and hyphens")
  // Records are kept by client: a name that every object has would seem to be in all of them.
  .refine((name) => !(name in {}), "another name than JavaScript's own `constructor`")
  .brand<"ClientName">();
export type ClientName = z.infer<typeof clientName>;

/** SHA-256 as 64 lower-case hexadecimal digits. */
export const sha256Hex = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits")
  .brand<"Sha256">();
export type Sha256 = z.infer<typeof sha256Hex>;

export const purpose = z.enum(["training", "evaluation"]);
export type Purpose = z.infer<typeof purpose>;
