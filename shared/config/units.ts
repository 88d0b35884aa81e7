/** Durations ("10m") and sizes ("2MB/s") as people write them in YAML; inside they are milliseconds and bytes. */
import { z } from "zod";

const MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** "90s", "10m", "6h" -> milliseconds; at most 366 days. Numbers are milliseconds already. */
export const duration = z
  .union([
    z
      .int()
      .min(1)
      .max(366 * MS.d),
    z.string(),
  ])
  .transform((text, context): number => {
    if (typeof text === "number") return text;
    const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text);
    const ms = match === null ? Number.NaN : Number(match[1]) * MS[match[2] as keyof typeof MS];
    if (ms >= 1 && ms <= 366 * MS.d) return ms;
    context.addIssue({ code: "custom", message: `expected a duration such as 90s, 10m or 6h` });
    return z.NEVER;
  });

const BYTES = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9 } as const;

/** "2MB/s" -> bytes a second. */
export const bandwidth = z.union([z.int().min(1), z.string()]).transform((text, context): number => {
  if (typeof text === "number") return text;
  const match = /^(\d+(?:\.\d+)?)\s*(B|KB|MB|GB)\/s$/.exec(text);
  const bytes = match === null ? Number.NaN : Number(match[1]) * BYTES[match[2] as keyof typeof BYTES];
  if (bytes >= 1) return bytes;
  context.addIssue({ code: "custom", message: `expected a bandwidth such as 500KB/s or 2MB/s` });
  return z.NEVER;
});
