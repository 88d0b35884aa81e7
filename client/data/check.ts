/**
 * `data check`: decodes every file of a dataset, tells what is in it, what is wrong where, and what each head of the
 * model can learn from it. Memory holds counts only.
 */
import { IGNORE_CLASS, type Sample } from "../../models/preprocess/sample.ts";
import type { Labels } from "../../shared/config/federation.ts";
import { CodedError, isCoded } from "../../shared/errors.ts";
import { headReports } from "./check-heads.ts";
import { labelsOf } from "./labels.ts";
import { datasetOf, type DataProblem } from "./open-dataset.ts";
import type { ClassCount, DataReport } from "./data-report.ts";
import { readSource, type Source } from "./source.ts";

const MAX_PROBLEMS = 1000;
/** Metric depth beyond this, or below this all over, is a wrong unit. */
const PLAUSIBLE_METERS = [0.01, 500] as const;

export interface CheckOptions {
  /** The federation's label space; null: the dataset's own. */
  readonly labels: Labels | null;
  readonly map?: Readonly<Record<string, string>>;
  readonly onProgress?: (done: number, total: number) => void;
}

type Counts = Omit<DataReport, "ok" | "heads">;
type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Errors of the data are in the report; this throws only what is not about the data. */
export async function checkDataset(dir: string, options: CheckOptions): Promise<DataReport> {
  const problems: DataProblem[] = [];
  let moreProblems = 0;
  let errors = 0;
  const note = (problem: DataProblem): void => {
    if (problem.severity === "error") errors++;
    if (problems.length < MAX_PROBLEMS) problems.push(problem);
    else moreProblems++;
  };
  let source: Source | null = null;
  try {
    source = await readSource(dir);
  } catch (error) {
    note(asProblem(error));
  }
  const labels = options.labels ?? (source === null ? NO_LABELS : labelsOf(source));
  const counts = emptyCounts(dir, source, labels, options.labels === null, problems);
  if (source !== null) {
    for (const warning of lookAt(source)) note(warning);
    const map = options.map === undefined ? {} : { map: options.map };
    const dataset = datasetOf(source, { labels, ...map, onProblem: note });
    const tally = new Tally(counts, source);
    for (let index = 0; index < dataset.size; index++) {
      try {
        const sample = await dataset.load(index);
        for (const warning of tally.add(sample)) note(warning);
      } catch (error) {
        note(asProblem(error));
      }
      options.onProgress?.(index + 1, dataset.size);
    }
    for (const warning of tally.finish()) note(warning);
  }
  return { ...counts, moreProblems, ok: errors === 0, heads: headReports(counts) };
}

const NO_LABELS: Labels = { detection: [], segmentation: [], scene: [], depth: { kind: "none" } };

function emptyCounts(
  dir: string,
  source: Source | null,
  labels: Labels,
  inferredLabels: boolean,
  problems: readonly DataProblem[],
): Writable<Counts> {
  const classes = (names: readonly string[]): ClassCount[] => names.map((name) => ({ name, count: 0, pictures: 0 }));
  return {
    folder: dir,
    layout: source?.layout ?? null,
    generated: source?.generated ?? false,
    pictures: source?.images.length ?? 0,
    readable: 0,
    sizes: null,
    sites: {},
    modalities: { rgb: 0, depth: 0, text: 0 },
    depth: null,
    labels,
    inferredLabels,
    detection: { labelled: 0, classes: classes(labels.detection) },
    segmentation: { labelled: 0, ignoredPixels: 0, classes: classes(labels.segmentation) },
    scene: { labelled: 0, classes: classes(labels.scene) },
    problems,
    moreProblems: 0,
  };
}

/** What can be said before anything is decoded. */
function lookAt(source: Source): DataProblem[] {
  const found: DataProblem[] = [];
  const hasDepth = source.images.some((image) => image.depthFile !== null);
  if (hasDepth && source.depth.metersPerUnit === null && source.depth.kind !== "relative")
    found.push(warning("DATA_DEPTH", source.annotationsFile, "depth.unit_m is not given: values keep their own unit"));
  const masks = source.images.some((image) => image.segmentationFile !== null);
  if (masks && source.semantic === null)
    found.push(
      warning(
        "DATA_SEGMENTATION",
        source.annotationsFile,
        "masks are named, but semantic.classes is missing: not used",
      ),
    );
  if (source.semantic !== null && !masks)
    found.push(
      warning("DATA_SEGMENTATION", source.annotationsFile, "semantic.classes is given, but no picture names a mask"),
    );
  return found;
}

/** Adds up what the samples hold. */
class Tally {
  private readonly counts: Writable<Counts>;
  private readonly source: Source;
  private readonly byName: ReadonlyMap<string, Source["images"][number]>;
  private depthPixels = 0;
  private depthReadings = 0;

  constructor(counts: Writable<Counts>, source: Source) {
    this.counts = counts;
    this.source = source;
    this.byName = new Map(source.images.map((image) => [image.fileName, image]));
  }

  add(sample: Sample): DataProblem[] {
    const { counts } = this;
    const warnings: DataProblem[] = [];
    counts.readable++;
    const [w, h] = [sample.width, sample.height];
    const sizes = counts.sizes ?? { width: [w, w], height: [h, h] };
    counts.sizes = {
      width: [Math.min(sizes.width[0], w), Math.max(sizes.width[1], w)],
      height: [Math.min(sizes.height[0], h), Math.max(sizes.height[1], h)],
    };
    const site = sample.site ?? "";
    counts.sites = { ...counts.sites, [site]: (counts.sites[site] ?? 0) + 1 };
    counts.modalities = {
      rgb: counts.modalities.rgb + Number(sample.rgb !== null),
      depth: counts.modalities.depth + Number(sample.depth !== null),
      text: counts.modalities.text + Number(sample.captions !== null),
    };
    if (sample.depth !== null) warnings.push(...this.addDepth(sample, sample.depth));
    if (sample.boxes !== null) warnings.push(...this.addBoxes(sample, sample.boxes));
    if (sample.segmentation !== null) this.addMask(sample.segmentation);
    if (sample.scene !== null) {
      counts.scene.labelled++;
      count(counts.scene.classes, sample.scene, 1);
    }
    return warnings;
  }

  private addDepth(sample: Sample, depth: NonNullable<Sample["depth"]>): DataProblem[] {
    let readings = 0;
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < depth.values.length; i++) {
      if (depth.valid[i] === 0) continue;
      readings++;
      const value = depth.values[i] as number;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    this.depthPixels += depth.values.length;
    this.depthReadings += readings;
    const { kind, metersPerUnit } = this.source.depth;
    const before = this.counts.depth?.range ?? null;
    const range: [number, number] = [Math.min(low, before?.[0] ?? low), Math.max(high, before?.[1] ?? high)];
    this.counts.depth = {
      kind,
      metersPerUnit,
      readings: this.depthPixels === 0 ? 0 : this.depthReadings / this.depthPixels,
      range: readings > 0 ? range : before,
    };
    const file = this.byName.get(sample.id)?.depthFile ?? sample.id;
    if (readings === 0) return [warning("DATA_DEPTH", file, `${file}: no reading at all`)];
    return high === low ? [warning("DATA_DEPTH", file, `${file}: the same value (${low}) everywhere`)] : [];
  }

  private addBoxes(sample: Sample, boxes: NonNullable<Sample["boxes"]>): DataProblem[] {
    const { detection } = this.counts;
    detection.labelled++;
    const seen = new Set<number>();
    for (const box of boxes) {
      count(detection.classes, box.classIndex, seen.has(box.classIndex) ? 0 : 1, 1);
      seen.add(box.classIndex);
    }
    const objects = this.byName.get(sample.id)?.objects ?? [];
    const beyond = objects.filter(
      ({ bbox: [x, y, w, h] }) => x < -1 || y < -1 || x + w > sample.width + 1 || y + h > sample.height + 1,
    );
    if (beyond.length === 0) return [];
    const text = `${sample.id}: ${beyond.length} of ${objects.length} boxes reach beyond the picture and are cut`;
    return [warning("DATA_INVALID", sample.id, text)];
  }

  private addMask(mask: Uint8Array): void {
    const { segmentation } = this.counts;
    const pixels = new Uint32Array(256);
    for (const value of mask) pixels[value] = (pixels[value] as number) + 1;
    segmentation.labelled++;
    segmentation.ignoredPixels += pixels[IGNORE_CLASS] as number;
    for (const index of segmentation.classes.keys()) {
      const found = pixels[index] as number;
      if (found > 0) count(segmentation.classes, index, 1, found);
    }
  }

  finish(): DataProblem[] {
    const { depth } = this.counts;
    if (depth === null || this.counts.labels.depth.kind !== "metric" || depth.range === null) return [];
    const [low, high] = depth.range;
    if (low >= PLAUSIBLE_METERS[0] / 10 && high <= PLAUSIBLE_METERS[1] && high >= PLAUSIBLE_METERS[0]) return [];
    const text = `depth lies between ${low} and ${high} m: is depth.unit_m (${depth.metersPerUnit}) right?`;
    return [warning("DATA_DEPTH", this.source.annotationsFile, text)];
  }
}

function count(classes: ClassCount[], index: number, pictures: number, by = 1): void {
  const entry = classes[index];
  if (entry === undefined) return;
  entry.count += by;
  entry.pictures += pictures;
}

function warning(code: DataProblem["code"], file: string | null, message: string): DataProblem {
  return { severity: "warning", code, file, message, details: {} };
}

function asProblem(error: unknown): DataProblem {
  if (!isCoded(error)) throw error;
  return problemOf(error);
}

function problemOf(error: CodedError): DataProblem {
  const file = typeof error.details["file"] === "string" ? error.details["file"] : null;
  return { severity: "error", code: error.code, file, message: error.message, details: error.details };
}
