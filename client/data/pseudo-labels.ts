/**
 * Pseudo-labels: a dataset folder whose depth maps a teacher predicted from the pictures alone, for a student to be
 * trained on (Yang et al. 2024, Depth Anything). Written where the pictures are; nothing leaves the site.
 */
import { mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import sharp, { type Sharp } from "sharp";
import type { Dataset, Sample } from "../../models/preprocess/sample.ts";
import type { Labels } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";

const MAX = 65_535;
const METERS_PER_UNIT = 0.001;

export interface PseudoLabels {
  readonly kind: Labels["depth"]["kind"];
  /** Depth of every pixel as the teacher sees it: metres where metric. */
  readonly depth: (sample: Sample) => Float32Array;
  /** What made them, for annotations.json. */
  readonly teacher: string;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Samples without a picture are left out. Errors: USAGE when the folder is not empty, DATA_ codes of the dataset.
 *
 * @returns how many samples were written
 */
export async function writePseudoLabels(out: string, dataset: Dataset, labels: PseudoLabels): Promise<number> {
  await mkdir(out, { recursive: true });
  if ((await readdir(out)).length > 0) throw new CodedError("USAGE", `${out} is not empty`, { field: "out", got: out });
  const images: object[] = [];
  for (let index = 0; index < dataset.size; index++) {
    const sample = await dataset.load(index);
    if (sample.rgb !== null) images.push({ id: index + 1, ...(await write(out, index, sample, sample.rgb, labels)) });
    labels.onProgress?.(index + 1, dataset.size);
  }
  const file = {
    info: { description: `Depth predicted by ${labels.teacher}`, pseudo: true },
    images,
    depth: { kind: labels.kind, unit_m: labels.kind === "metric" ? METERS_PER_UNIT : null, invalid: [0] },
  };
  // Last, so that a folder cut short is not taken for a dataset.
  await writeFileDurably(join(out, "annotations.json"), `${JSON.stringify(file, null, 1)}\n`);
  return images.length;
}

async function write(
  out: string,
  index: number,
  sample: Sample,
  rgb: Uint8Array,
  labels: PseudoLabels,
): Promise<Record<string, unknown>> {
  const { width, height } = sample;
  const name = `${String(index + 1).padStart(6, "0")}.png`;
  const depth = rawDepth(labels.depth(sample), labels.kind);
  await save(join(out, "rgb", name), sharp(rgb, { raw: { width, height, channels: 3 } }));
  await save(join(out, "depth", name), sharp(depth, { raw: { width, height, channels: 1 } }).toColourspace("grey16"));
  return {
    file_name: `rgb/${name}`,
    width,
    height,
    ...(sample.site !== null && { site: sample.site }),
    depth_file_name: `depth/${name}`,
    ...(sample.captions !== null && { captions: sample.captions }),
  };
}

async function save(path: string, picture: Sharp): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await picture.png().toFile(path);
}

/** Millimetres, or the picture's own range stretched over what 16 bits hold: relative depth has no unit. 0 stays free. */
function rawDepth(values: Float32Array, kind: Labels["depth"]["kind"]): Uint16Array {
  if (kind === "metric") {
    return Uint16Array.from(values, (value) => Math.max(1, Math.min(MAX, Math.round(value / METERS_PER_UNIT))));
  }
  const low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const span = high > low ? high - low : 1;
  return Uint16Array.from(values, (value) => 1 + Math.round(((value - low) / span) * (MAX - 1)));
}
