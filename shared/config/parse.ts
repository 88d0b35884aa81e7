/** Checks a configuration a person wrote: the error names every wrong field, what was expected and what came. */
import type { z } from "zod";
import { CodedError } from "../errors.ts";

/** `value` with every default filled in; throws CONFIG_INVALID. `file` is how the person knows it ("site.yaml"). */
export function parseConfig<S extends z.ZodType>(schema: S, value: unknown, file: string): z.infer<S> {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const field = fieldName(issue.path, issue.code === "unrecognized_keys" ? issue.keys[0] : undefined);
    return { field, message: issue.message, got: shown(issue.input) };
  });
  const lines = problems.map(({ field, message, got }) => `${field}: ${message}${got === null ? "" : `, got ${got}`}`);
  throw new CodedError("CONFIG_INVALID", `${file}: ${lines.join("; ")}`, { file, field: problems[0]?.field, problems });
}

function fieldName(path: readonly PropertyKey[], extra?: string): string {
  const parts = extra === undefined ? path : [...path, extra];
  if (parts.length === 0) return "(the whole file)";
  return parts.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    return text === "" ? String(part) : `${text}.${String(part)}`;
  }, "");
}

/** What came, short enough for one line; null for containers, which would only be noise. */
function shown(input: unknown): string | null {
  if (input === undefined) return "nothing";
  if (input !== null && typeof input === "object") return null;
  const text = JSON.stringify(input) ?? String(input);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Says of a field what only several fields together can get wrong; CONFIG_INVALID. */
export function invalidField(field: string, expected: string, got: unknown): CodedError {
  return new CodedError("CONFIG_INVALID", `${field}: expected ${expected}, got ${String(got)}`, {
    field,
    expected,
    got,
  });
}
