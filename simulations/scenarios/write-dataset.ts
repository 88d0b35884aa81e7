/** Writes samples as a folder in the dataset format, marked as generated. Reading it back gives the same samples. */
import { mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { type Dataset, IGNORE_CLASS, type Sample } from "../../models/preprocess/sample.ts";
import type { Labels } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { METERS_PER_UNIT } from "./sensor.ts";

export interface WriteOptions {
  /** The label space of the samples; depth must be metric or none. */
  readonly labels: Labels;
  readonly description: string;
  /** How it was generated: the generator's name and options. */
  readonly generator: Readonly<Record<string, unknown>>;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Pictures go to their ids, depth below `depth/`, masks below `masks/`; annotations.json is written last, so that a
 * folder cut short is not taken for a dataset. Errors: USAGE when the folder is not empty or depth is not in metres.
 */
export async function writeDataset(dir: string, dataset: Dataset, options: WriteOptions): Promise<void> {
  const { labels } = options;
  if (labels.depth.kind !== "metric" && labels.depth.kind !== "none")
    throw new CodedError("USAGE", `generated depth is metric, not ${labels.depth.kind}`, {
      field: "labels.depth.kind",
    });
  await mkdir(dir, { recursive: true });
  if ((await readdir(dir)).length > 0) throw new CodedError("USAGE", `${dir} is not empty`, { field: "out", got: dir });
  const images: Record<string, unknown>[] = [];
  const annotations: Record<string, unknown>[] = [];
  for (let index = 0; index < dataset.size; index++) {
    const sample = await dataset.load(index);
    images.push({ id: index + 1, ...(await writeSample(dir, sample, labels)) });
    for (const box of sample.boxes ?? [])
      annotations.push({
        id: annotations.length + 1,
        image_id: index + 1,
        category_id: box.classIndex + 1,
        bbox: [box.x, box.y, box.width, box.height],
        area: box.width * box.height,
        iscrowd: box.crowd ? 1 : 0,
      });
    options.onProgress?.(index + 1, dataset.size);
  }
  const file = {
    info: { description: options.description, generated: true, generator: options.generator },
    images,
    annotations,
    categories: labels.detection.map((name, index) => ({ id: index + 1, name })),
    depth: { kind: "metric", unit_m: METERS_PER_UNIT, invalid: [0] },
    ...(labels.segmentation.length > 0 && {
      semantic: { classes: labels.segmentation.map((name, id) => ({ id, name })), ignore: [IGNORE_CLASS] },
    }),
    scenes: labels.scene,
  };
  await writeFileDurably(join(dir, "annotations.json"), `${JSON.stringify(file, null, 1)}\n`);
}

async function writeSample(dir: string, sample: Sample, labels: Labels): Promise<Record<string, unknown>> {
  const { width, height, id } = sample;
  const name = id.endsWith(".png") ? id : `${id}.png`;
  if (sample.rgb === null) throw new CodedError("USAGE", `${id} has no picture`, { file: id });
  const save = async (path: string, pixels: Uint8Array | Uint16Array, channels: 1 | 3): Promise<string> => {
    const full = join(dir, path);
    await mkdir(dirname(full), { recursive: true });
    const space = channels === 3 ? "srgb" : pixels instanceof Uint16Array ? "grey16" : "b-w";
    await sharp(pixels, { raw: { width, height, channels } }).toColourspace(space).png().toFile(full);
    return path;
  };
  const depth = sample.depth;
  return {
    file_name: await save(name, sample.rgb, 3),
    width,
    height,
    ...(sample.site !== null && { site: sample.site }),
    ...(depth !== null && { depth_file_name: await save(`depth/${name}`, toRaw(depth.values, depth.valid), 1) }),
    ...(sample.segmentation !== null && {
      segmentation_file_name: await save(`masks/${name}`, sample.segmentation, 1),
    }),
    ...(sample.captions !== null && { captions: sample.captions }),
    ...(sample.scene !== null && { scene: labels.scene[sample.scene] }),
  };
}

/** Millimetres, 0 where there is no reading. */
function toRaw(meters: Float32Array, valid: Uint8Array): Uint16Array {
  return Uint16Array.from(meters, (value, i) =>
    valid[i] === 0 ? 0 : Math.max(1, Math.min(65_535, Math.round(value / METERS_PER_UNIT))),
  );
}
