/**
 * Schema of annotations.json: COCO JSON (cocodataset.org/#format-data) plus the optional keys for RGB-D and text of
 * docs/dataset-format.md. Keys that other tools add are left alone.
 */
import { z } from "zod";
import { CodedError } from "../../shared/errors.ts";
import { isInsideName } from "./paths.ts";

/** V8 strings end at 512 MiB; beyond it the file must be split into several datasets. */
export const MAX_JSON_BYTES = 480 * 1024 * 1024;
/** Longest side of a picture in pixels. */
const MAX_SIDE = 32_768;

const fileName = z
  .string()
  .min(1)
  .max(1024)
  .refine(isInsideName, { params: { code: "DATA_PATH" }, message: "expected a path inside the dataset's folder" });
export const side = z.int().min(1).max(MAX_SIDE);
const label = z.string().min(1).max(256);
export const imageId = z.union([z.int(), z.string().max(256)]);
export const coordinate = z.number().min(-1e6).max(1e6);
const isCoordinate = (value: unknown): boolean => typeof value === "number" && Math.abs(value) <= 1e6;

const image = z.object({
  id: imageId.optional(),
  file_name: fileName,
  width: side.nullish(),
  height: side.nullish(),
  depth_file_name: fileName.nullish(),
  segmentation_file_name: fileName.nullish(),
  captions: z.array(z.string().max(10_000)).max(256).nullish(),
  scene: label.nullish(),
  site: z.union([z.string().min(1).max(256), z.int()]).nullish(),
});

// Millions of numbers in large files: looked at in place, where a schema of arrays would copy each.
const counts = z.custom<readonly number[]>(
  (value) => Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0),
  "expected whole numbers from 0",
);
export const polygons = z.custom<readonly (readonly number[])[]>(
  (value) => Array.isArray(value) && value.every((polygon) => Array.isArray(polygon) && polygon.every(isCoordinate)),
  "expected lists of numbers x, y, x, y, …, or run lengths with size and counts",
);
export const runLengths = z.object({ size: z.tuple([side, side]), counts: z.union([z.string(), counts]) });

const annotation = z.object({
  image_id: imageId,
  category_id: z.int().optional(),
  bbox: z.tuple([coordinate, coordinate, coordinate.min(0), coordinate.min(0)]).optional(),
  iscrowd: z.union([z.literal(0), z.literal(1), z.boolean()]).optional(),
  segmentation: z.union([polygons, runLengths]).nullish(),
  caption: z.string().max(10_000).optional(),
});

const annotationsFile = z.object({
  info: z.looseObject({ generated: z.boolean().optional() }).nullish(),
  images: z.array(image).max(2_000_000),
  categories: z
    .array(z.object({ id: z.int(), name: label }))
    .max(10_000)
    .nullish(),
  annotations: z.array(annotation).max(20_000_000).nullish(),
  depth: z
    .object({
      kind: z.enum(["metric", "relative", "inverse"]).optional(),
      unit_m: z.number().positive().min(1e-9).max(1e6).nullish(),
      invalid: z.array(z.int().min(0).max(65_535)).max(1024).optional(),
    })
    .refine((d) => !(d.kind === "metric" && (d.unit_m === null || d.unit_m === undefined)), {
      path: ["unit_m"],
      message: "metric depth needs metres per unit (0.001 for millimetres)",
    })
    .nullish(),
  semantic: z
    .object({
      classes: z.array(z.object({ id: z.int().min(0).max(255), name: label })).max(256),
      ignore: z.array(z.int().min(0).max(255)).max(256).optional(),
    })
    .nullish(),
  scenes: z.array(label).max(10_000).nullish(),
});

export type AnnotationsFile = z.infer<typeof annotationsFile>;

/**
 * annotations.json (or a COCO file) from its text.
 * Errors: DATA_INVALID (DATA_PATH when the only fault is a path) naming the file and field, what was expected and what came.
 */
export function parseAnnotations(text: string, file: string): AnnotationsFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const hint = /[:[,]\s*-?(NaN|Infinity)\b/.test(text) ? " (NaN and Infinity are not JSON: write null)" : "";
    const reason = error instanceof Error ? error.message : String(error);
    throw new CodedError("DATA_INVALID", `${file} is not JSON: ${reason}${hint}`, { file, reason }, { cause: error });
  }
  const result = annotationsFile.safeParse(json);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => {
    const field = fieldName(issue.path);
    const got = shown(at(json, issue.path));
    return { field, message: `${field}: ${issue.message}, got ${got}`, got, path: isPathIssue(issue) };
  });
  const first = issues.slice(0, 5).map((issue) => issue.message);
  const more = issues.length > 5 ? ` (and ${issues.length - 5} more)` : "";
  const code = issues.every((issue) => issue.path) ? "DATA_PATH" : "DATA_INVALID";
  throw new CodedError(code, `${file}: ${first.join("; ")}${more}`, {
    file,
    field: issues[0]?.field,
    got: issues[0]?.got,
    issues: issues.slice(0, 50).map((issue) => issue.message),
  });
}

function isPathIssue(issue: z.core.$ZodIssue): boolean {
  return issue.code === "custom" && issue.params?.["code"] === "DATA_PATH";
}

/** `images[3].file_name`. */
function fieldName(path: readonly PropertyKey[]): string {
  const name = path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("");
  return name === "" ? "the file" : name.replace(/^\./, "");
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value;
  for (const key of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = (found as Record<PropertyKey, unknown>)[key];
  }
  return found;
}

function shown(value: unknown): string {
  const text = value === undefined ? "nothing" : (JSON.stringify(value) ?? typeof value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
