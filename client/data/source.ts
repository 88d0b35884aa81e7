/**
 * What a dataset's folder holds, read without decoding a picture: annotations.json, COCO's own files, or plain
 * pictures. Names of classes are still the site's own here; `open-dataset.ts` maps them onto the federation's.
 */
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { CodedError, type ErrorCode } from "../../shared/errors.ts";
import { type AnnotationsFile, MAX_JSON_BYTES, parseAnnotations } from "./annotations.ts";
import { findCoco, mergeCoco } from "./coco.ts";
import type { InstanceMask } from "./masks.ts";

export interface SourceObject {
  readonly category: string;
  /** x, y, width, height in pixels of the picture, as written. */
  readonly bbox: readonly [number, number, number, number];
  readonly crowd: boolean;
  readonly mask: InstanceMask | null;
}

export interface SourceImage {
  readonly fileName: string;
  /** Declared size, when the file declares one. */
  readonly width: number | null;
  readonly height: number | null;
  readonly depthFile: string | null;
  readonly segmentationFile: string | null;
  readonly captions: readonly string[] | null;
  readonly scene: string | null;
  readonly site: string | null;
  /** null: no objects are annotated in this dataset. */
  readonly objects: readonly SourceObject[] | null;
}

export interface SourceDepth {
  readonly kind: "metric" | "relative" | "inverse";
  /** Metres (inverse: 1/metres) per raw unit; null when the unit is unknown. */
  readonly metersPerUnit: number | null;
  readonly invalid: readonly number[];
}

export interface Source {
  /** Real path of the folder that picture names start from. */
  readonly root: string;
  readonly layout: "annotations" | "coco" | "pictures";
  /** The file the annotations came from, relative to the dataset's folder. */
  readonly annotationsFile: string | null;
  readonly generated: boolean;
  /** Detection class names in the order of their ids. */
  readonly categories: readonly string[];
  readonly depth: SourceDepth;
  readonly semantic: {
    readonly classes: readonly { readonly id: number; readonly name: string }[];
    readonly ignore: readonly number[];
  } | null;
  readonly scenes: readonly string[];
  readonly images: readonly SourceImage[];
}

const PICTURE_ENDINGS = new Set([".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"]);
const MAX_PICTURES = 2_000_000;

/**
 * Reads the folder `dir`. Errors: DATA_EMPTY without any picture, DATA_INVALID or DATA_PATH naming file and field,
 * DATA_MISSING_FILE when the folder cannot be read.
 */
export async function readSource(dir: string): Promise<Source> {
  let root: string;
  try {
    root = await realpath(dir);
    if (!(await stat(root)).isDirectory()) throw new Error("not a folder");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new CodedError("DATA_MISSING_FILE", `the dataset ${dir} is not a readable folder (${reason})`, { file: dir });
  }
  const text = await readJsonText(root, "annotations.json");
  let source: Source;
  if (text !== null) {
    source = fromAnnotations(parseAnnotations(text, "annotations.json"), {
      root,
      layout: "annotations",
      file: "annotations.json",
    });
  } else {
    const coco = await findCoco(root);
    if (coco !== null) {
      const instances = parseAnnotations((await readJsonText(root, coco.instances)) ?? "", coco.instances);
      const captionsText = coco.captions === null ? null : await readJsonText(root, coco.captions);
      const captions =
        coco.captions === null || captionsText === null ? null : parseAnnotations(captionsText, coco.captions);
      const file = await mergeCoco(instances, captions, root, coco);
      source = fromAnnotations(file, { root, layout: "coco", file: coco.instances });
    } else {
      source = { ...EMPTY, root, images: await plainPictures(root) };
    }
  }
  if (source.images.length === 0)
    throw new CodedError("DATA_EMPTY", `${dir} holds no pictures`, { file: dir, layout: source.layout });
  return source;
}

const EMPTY: Omit<Source, "root" | "images"> = {
  layout: "pictures",
  annotationsFile: null,
  generated: false,
  categories: [],
  depth: { kind: "relative", metersPerUnit: null, invalid: [0] },
  semantic: null,
  scenes: [],
};

async function readJsonText(root: string, file: string): Promise<string | null> {
  const path = join(root, file);
  let size: number;
  try {
    size = (await stat(path)).size;
  } catch {
    return null;
  }
  if (size > MAX_JSON_BYTES)
    throw new CodedError("DATA_INVALID", `${file} has ${size} bytes, more than ${MAX_JSON_BYTES}: split the dataset`, {
      file,
      expected: `at most ${MAX_JSON_BYTES} bytes`,
      got: size,
    });
  return (await readFile(path, "utf8")).replace(/^\uFEFF/, "");
}

function fromAnnotations(
  file: AnnotationsFile,
  from: { root: string; layout: "annotations" | "coco"; file: string },
): Source {
  const fail = (code: ErrorCode, field: string, message: string): never => {
    throw new CodedError(code, `${from.file}: ${field}: ${message}`, { file: from.file, field });
  };
  const categories = new Map<number, string>();
  for (const [i, { id, name }] of (file.categories ?? []).entries()) {
    if (categories.has(id)) fail("DATA_INVALID", `categories[${i}].id`, `${id} is given twice`);
    categories.set(id, name);
  }
  const semanticIds = new Set<number>();
  for (const [i, { id }] of (file.semantic?.classes ?? []).entries()) {
    if (semanticIds.has(id)) fail("DATA_INVALID", `semantic.classes[${i}].id`, `${id} is given twice`);
    semanticIds.add(id);
  }
  const scenes = file.scenes ?? [];
  const sceneSet = new Set(scenes);
  const names = new Map<string, number>();
  const ids = new Map<string | number, number>();
  for (const [i, image] of file.images.entries()) {
    const same = names.get(image.file_name);
    if (same !== undefined)
      fail("DATA_INVALID", `images[${i}].file_name`, `"${image.file_name}" is images[${same}], too`);
    names.set(image.file_name, i);
    if (image.id !== undefined) {
      if (ids.has(image.id))
        fail("DATA_INVALID", `images[${i}].id`, `${image.id} is images[${ids.get(image.id)}], too`);
      ids.set(image.id, i);
    }
    if (typeof image.scene === "string" && !sceneSet.has(image.scene))
      fail("DATA_UNKNOWN_CLASS", `images[${i}].scene`, `"${image.scene}" is not in scenes (${scenes.join(", ")})`);
  }
  const objects: SourceObject[][] = file.images.map(() => []);
  const captions: string[][] = file.images.map((image) => [...(image.captions ?? [])]);
  for (const [i, annotation] of (file.annotations ?? []).entries()) {
    const field = `annotations[${i}]`;
    const index = ids.get(annotation.image_id);
    if (index === undefined) {
      fail("DATA_INVALID", `${field}.image_id`, `no image has the id ${annotation.image_id}`);
      continue;
    }
    if (annotation.caption !== undefined) captions[index]?.push(annotation.caption);
    if (annotation.category_id === undefined && annotation.bbox === undefined) {
      if (annotation.caption === undefined) fail("DATA_INVALID", field, "expected category_id and bbox, or caption");
      continue;
    }
    const category = categories.get(annotation.category_id ?? Number.NaN);
    if (category === undefined || annotation.bbox === undefined) {
      const what = annotation.bbox === undefined ? "bbox" : "category_id";
      fail(
        "DATA_INVALID",
        `${field}.${what}`,
        what === "bbox" ? "missing" : `no such category: ${annotation.category_id}`,
      );
      continue;
    }
    objects[index]?.push({
      category,
      bbox: annotation.bbox,
      crowd: annotation.iscrowd === 1 || annotation.iscrowd === true,
      mask: instanceMask(annotation.segmentation),
    });
  }
  const kind = file.depth?.kind ?? (file.depth?.unit_m == null ? "relative" : "metric");
  return {
    root: from.root,
    layout: from.layout,
    annotationsFile: from.file,
    generated: file.info?.generated === true,
    categories: [...categories].sort(([a], [b]) => a - b).map(([, name]) => name),
    depth: {
      kind,
      metersPerUnit: kind === "relative" ? null : (file.depth?.unit_m ?? null),
      invalid: file.depth?.invalid ?? [0],
    },
    semantic: file.semantic
      ? {
          classes: [...file.semantic.classes].sort((a, b) => a.id - b.id),
          ignore: file.semantic.ignore ?? [],
        }
      : null,
    scenes,
    images: file.images.map((image, i) => ({
      fileName: image.file_name,
      width: image.width ?? null,
      height: image.height ?? null,
      depthFile: image.depth_file_name ?? null,
      segmentationFile: image.segmentation_file_name ?? null,
      captions: (captions[i]?.length ?? 0) > 0 ? (captions[i] ?? null) : null,
      scene: image.scene ?? null,
      site: image.site == null ? null : String(image.site),
      objects: categories.size > 0 ? (objects[i] ?? []) : null,
    })),
  };
}

type WrittenMask = NonNullable<AnnotationsFile["annotations"]>[number]["segmentation"];

function instanceMask(written: WrittenMask): InstanceMask | null {
  if (written == null) return null;
  if ("size" in written)
    return { kind: "runs", height: written.size[0], width: written.size[1], counts: written.counts };
  return written.length === 0 ? null : { kind: "polygons", polygons: written };
}

/** Every picture below `root`, in the order of names; links are not followed. Errors: DATA_INVALID. */
async function plainPictures(root: string): Promise<SourceImage[]> {
  const found: string[] = [];
  const visit = async (folder: string, depth: number): Promise<void> => {
    for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
      if (entry.name.startsWith(".")) continue;
      const name = folder === "" ? entry.name : `${folder}/${entry.name}`;
      // One level too high: masks and depth maps would be taken for pictures.
      if (entry.name === "annotations.json")
        throw new CodedError("DATA_INVALID", `${root} holds a dataset in ${folder}: point to that folder`, {
          file: name,
          expected: "a dataset, or a folder of plain pictures",
          got: name,
        });
      if (entry.isDirectory() && depth < 16) await visit(name, depth + 1);
      else if (entry.isFile() && PICTURE_ENDINGS.has(extname(basename(name)).toLowerCase())) found.push(name);
      if (found.length > MAX_PICTURES)
        throw new CodedError("DATA_INVALID", `more than ${MAX_PICTURES} pictures below one folder`, { file: root });
    }
  };
  await visit("", 0);
  return found.sort().map((fileName) => ({
    fileName,
    width: null,
    height: null,
    depthFile: null,
    segmentationFile: null,
    captions: null,
    scene: null,
    site: null,
    objects: null,
  }));
}
