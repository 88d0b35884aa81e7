/**
 * A dataset folder as samples in the federation's label space. Opening reads names and labels only; a picture, depth
 * map or mask is decoded by `load` and held by nobody afterwards, so memory does not grow with the dataset.
 */
import { type Box, type Dataset, IGNORE_CLASS, type Sample } from "../../models/preprocess/sample.ts";
import type { Labels } from "../../shared/config/federation.ts";
import { CodedError, type ErrorCode, isCoded } from "../../shared/errors.ts";
import { decodeDepth, depthRule, type DepthRule, resizeNearest, toDepthMap } from "./depth.ts";
import { BACKGROUND, type ClassOf, classLookup, hasInstanceMasks } from "./labels.ts";
import { paintMask } from "./masks.ts";
import { readInside } from "./paths.ts";
import { decodePicture } from "./picture.ts";
import { decodePngPlane, readPng } from "./png.ts";
import { readSource, type Source, type SourceImage, type SourceObject } from "./source.ts";

export interface DataProblem {
  /** An error keeps a sample or label from being used; a warning is something to know. */
  readonly severity: "error" | "warning";
  readonly code: ErrorCode;
  /** File in the dataset, or null for the dataset as a whole. */
  readonly file: string | null;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface OpenOptions {
  readonly labels: Labels;
  /** The site's class names -> the federation's (site.yaml, labels.map). `ignore` as target leaves a class out. */
  readonly map?: Readonly<Record<string, string>>;
  /**
   * With it, unknown class names and useless depth are reported and that label or modality is left out; without it an
   * unknown class name is thrown. Warnings go here only.
   */
  readonly onProblem?: (problem: DataProblem) => void;
}

/**
 * Opens the folder `dir`. Errors: DATA_EMPTY, DATA_INVALID, DATA_PATH, DATA_UNKNOWN_CLASS, DATA_MISSING_FILE.
 * `load` raises DATA_PICTURE, DATA_DEPTH, DATA_SEGMENTATION, DATA_PATH or DATA_MISSING_FILE, each naming the file.
 */
export async function openDataset(dir: string, options: OpenOptions): Promise<Dataset> {
  return datasetOf(await readSource(dir), options);
}

/** As {@link openDataset}, for a folder that was read before. */
export function datasetOf(source: Source, options: OpenOptions): Dataset {
  const { labels } = options;
  const file = source.annotationsFile ?? "";
  const tolerant = (classOf: ClassOf): ClassOf => {
    const { onProblem } = options;
    const told = new Set<string>();
    return (name, where) => {
      try {
        return classOf(name, where);
      } catch (error) {
        if (onProblem === undefined || !isCoded(error)) throw error;
        if (!told.has(name)) onProblem(problemOf(error));
        told.add(name);
        return null;
      }
    };
  };
  const lookup = (head: "detection" | "segmentation" | "scene"): ClassOf =>
    tolerant(classLookup(head, labels, options.map ?? {}));

  const detection = labels.detection.length > 0 ? lookup("detection") : null;
  const scene = labels.scene.length > 0 ? lookup("scene") : null;
  const objects = source.images.map((image) => (detection === null ? null : boxesOf(image, detection, options)));
  const entries = source.images.map((image) => ({
    id: image.fileName,
    site: image.site,
    scene: scene === null || image.scene === null ? null : scene(image.scene, image.fileName),
  }));
  const segment = segmenter(source, labels, lookup("segmentation"), file);
  const rule = depthRule(source.depth, labels.depth.kind);
  const firstDepth = source.images.find((image) => image.depthFile !== null)?.depthFile;
  if (!rule.usable && firstDepth != null)
    options.onProblem?.({
      severity: "warning",
      code: "DATA_DEPTH",
      file: null,
      message: `depth is not used: ${rule.why}`,
      details: { kind: source.depth.kind, expected: labels.depth.kind },
    });

  return {
    size: source.images.length,
    entries,
    async load(index) {
      const image = source.images[index];
      const entry = entries[index];
      if (image === undefined || entry === undefined)
        throw new RangeError(`sample ${index} of a dataset of ${source.images.length}`);
      return loadSample(source, image, entry, objects[index] ?? null, segment, rule);
    },
  };
}

async function loadSample(
  source: Source,
  image: SourceImage,
  entry: Dataset["entries"][number],
  objects: readonly Box[] | null,
  segment: Segmenter | null,
  rule: DepthRule,
): Promise<Sample> {
  const { width, height, rgb } = await decodePicture(await readInside(source.root, image.fileName), image.fileName);
  if ((image.width !== null && image.width !== width) || (image.height !== null && image.height !== height)) {
    const expected = `${image.width} x ${image.height}`;
    throw new CodedError(
      "DATA_PICTURE",
      `${image.fileName}: ${expected} by annotations.json, ${width} x ${height} in truth`,
      {
        file: image.fileName,
        expected,
        got: `${width} x ${height}`,
      },
    );
  }
  let depth = null;
  if (image.depthFile !== null && rule.usable) {
    const raw = await decodeDepth(await readInside(source.root, image.depthFile), image.depthFile);
    depth = toDepthMap(resizeNearest(raw, width, height), source.depth.invalid, rule);
  }
  return {
    id: image.fileName,
    site: image.site,
    width,
    height,
    rgb,
    depth,
    captions: image.captions,
    boxes: objects === null ? null : clipBoxes(objects, width, height),
    segmentation: segment === null ? null : await segment(image, width, height),
    scene: entry.scene,
  };
}

function boxesOf(image: SourceImage, classOf: ClassOf, options: OpenOptions): Box[] | null {
  if (image.objects === null) return null;
  const boxes: Box[] = [];
  for (const object of image.objects) {
    const classIndex = classOf(object.category, image.fileName);
    if (classIndex === null) continue;
    const [x, y, width, height] = object.bbox;
    if (width > 0 && height > 0) boxes.push({ classIndex, x, y, width, height, crowd: object.crowd });
    else
      options.onProblem?.({
        severity: "warning",
        code: "DATA_INVALID",
        file: image.fileName,
        message: `${image.fileName}: a box of "${object.category}" has no area (${width} x ${height}) and is left out`,
        details: { class: object.category, got: object.bbox },
      });
  }
  return boxes;
}

/** What of each box lies in the picture; boxes wholly outside vanish. */
function clipBoxes(boxes: readonly Box[], width: number, height: number): Box[] {
  const clipped: Box[] = [];
  for (const box of boxes) {
    const x = Math.max(0, box.x);
    const y = Math.max(0, box.y);
    const right = Math.min(width, box.x + box.width);
    const bottom = Math.min(height, box.y + box.height);
    if (right > x && bottom > y) clipped.push({ ...box, x, y, width: right - x, height: bottom - y });
  }
  return clipped;
}

type Segmenter = (image: SourceImage, width: number, height: number) => Promise<Uint8Array | null>;

/** From semantic masks where classes are declared, else from instance masks; null when the head has nothing to learn. */
function segmenter(source: Source, labels: Labels, classOf: ClassOf, file: string): Segmenter | null {
  if (labels.segmentation.length === 0) return null;
  if (source.semantic !== null) {
    const table = new Int16Array(256).fill(-1);
    for (const { id, name } of source.semantic.classes)
      if (!source.semantic.ignore.includes(id)) table[id] = classOf(name, file) ?? IGNORE_CLASS;
    for (const id of source.semantic.ignore) table[id] = IGNORE_CLASS;
    return async (image, width, height) => {
      const name = image.segmentationFile;
      return name === null ? null : readMask(await readInside(source.root, name), name, table, width, height);
    };
  }
  if (!hasInstanceMasks(source)) return null;
  const background = labels.segmentation.indexOf(BACKGROUND);
  const classes = new Map<string, number>();
  for (const image of source.images)
    for (const { category, mask } of image.objects ?? [])
      if (mask !== null && !classes.has(category))
        classes.set(category, classOf(category, image.fileName) ?? IGNORE_CLASS);
  return async (image, width, height) => {
    if (image.objects === null) return null;
    const values = new Uint8Array(width * height).fill(background < 0 ? IGNORE_CLASS : background);
    for (const { category, mask } of paintOrder(image.objects))
      if (mask !== null) paintMask(mask, values, width, height, classes.get(category) ?? IGNORE_CLASS, image.fileName);
    return values;
  };
}

/** Crowds first, then larger before smaller: what is small usually lies in front. */
function paintOrder(objects: readonly SourceObject[]): SourceObject[] {
  const area = ({ bbox }: SourceObject): number => bbox[2] * bbox[3];
  return [...objects].sort((a, b) => Number(b.crowd) - Number(a.crowd) || area(b) - area(a));
}

function readMask(bytes: Buffer, file: string, table: Int16Array, width: number, height: number): Uint8Array {
  const png = readPng(bytes, file, "DATA_SEGMENTATION");
  const fail = (why: string, expected: string): CodedError =>
    new CodedError("DATA_SEGMENTATION", `${file}: ${why}`, { file, expected, got: why });
  if (png.bitDepth > 8) throw fail(`${png.bitDepth} bits a pixel`, "8-bit gray PNG");
  if (png.width !== width || png.height !== height)
    throw fail(`${png.width} x ${png.height}, its picture is ${width} x ${height}`, `${width} x ${height}`);
  const { values } = decodePngPlane(png, file, "DATA_SEGMENTATION");
  const classes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const index = table[values[i] ?? 0] ?? -1;
    if (index < 0)
      throw fail(`class id ${values[i]} is neither in semantic.classes nor ignored`, "a declared class id");
    classes[i] = index;
  }
  return classes;
}

function problemOf(error: CodedError): DataProblem {
  const file = typeof error.details["file"] === "string" ? error.details["file"] : null;
  return { severity: "error", code: error.code, file, message: error.message, details: error.details };
}
