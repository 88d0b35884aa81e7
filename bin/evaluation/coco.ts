/**
 * COCO detections against COCO ground truth, with the numbers and the quirks of pycocotools: pictures by rising id, the
 * area of an object as its annotation says, that of a detection from its box where the first result has one, else from
 * its mask; an annotation's own `ignore` key has no say, crowds are the ignore regions.
 */
import { cocoMask, type CocoResult, type CocoTruth } from "../../client/data/coco-results.ts";
import { boxOverlap, type Rectangle } from "../../models/metrics/coco/match.ts";
import { maskArea, maskBox, maskOverlap, type RunLengths } from "../../models/metrics/coco/run-lengths.ts";
import { CocoScorer } from "../../models/metrics/coco/score.ts";
import { CodedError } from "../../shared/errors.ts";

export interface CocoComparison {
  readonly scorer: CocoScorer;
  /** In the order of the scorer's classes. */
  readonly classNames: readonly string[];
  /** Categories of detections that the ground truth does not have: left out, as pycocotools does. */
  readonly unknownCategories: readonly number[];
}

export interface CocoFiles {
  readonly predictions: { readonly path: string; readonly results: readonly CocoResult[] };
  readonly truth: { readonly path: string; readonly content: CocoTruth };
}

/** @throws CodedError DATA_INVALID, DATA_SEGMENTATION, naming the file and what is wrong */
export function compareCoco({ predictions, truth }: CocoFiles, type: "bbox" | "segm"): CocoComparison {
  const { images, annotations } = truth.content;
  const categories = [...new Map(truth.content.categories.map((one) => [one.id, one])).values()].toSorted(
    (a, b) => a.id - b.id,
  );
  const classes = new Map(categories.map(({ id }, index) => [id, index]));
  const sizes = new Map(images.map((image) => [image.id, image]));
  const stranger = predictions.results.find(({ image_id }) => !sizes.has(image_id));
  if (stranger !== undefined) {
    throw new CodedError(
      "DATA_INVALID",
      `${predictions.path}: there is no image ${stranger.image_id} in ${truth.path}`,
      {
        file: predictions.path,
        image: stranger.image_id,
      },
    );
  }
  // pycocotools looks at the first result alone to tell where areas come from.
  const boxesGiven = predictions.results[0]?.bbox !== undefined;
  const unknown = new Set<number>();
  const found = new Map<string, CocoResult[]>();
  for (const result of predictions.results) {
    if (classes.has(result.category_id)) push(found, key(result), result);
    else unknown.add(result.category_id);
  }
  const objects = new Map<string, CocoTruth["annotations"][number][]>();
  for (const annotation of annotations) push(objects, key(annotation), annotation);

  const scorer = new CocoScorer(categories.length);
  for (const [id, size] of [...sizes].toSorted(([a], [b]) => byId(a, b))) {
    for (const [category, classIndex] of classes) {
      const at = key({ image_id: id, category_id: category });
      const detected = (found.get(at) ?? []).map((result) => ({
        score: result.score,
        ...detection(result, type, boxesGiven, size, predictions.path),
      }));
      const wanted = (objects.get(at) ?? []).map((object) => objectRegion(object, type, size, truth.path));
      scorer.addRegions(
        classIndex,
        detected.map(({ score }) => score),
        detected.map(({ area }) => area),
        wanted,
        (d, g) => overlapOf(detected[d] as Region, wanted[g] as Region & { crowd: boolean }),
      );
    }
  }
  const classNames = categories.map(({ id, name }) => name ?? String(id));
  return { scorer, classNames, unknownCategories: [...unknown].toSorted((a, b) => a - b) };
}

type Size = CocoTruth["images"][number];

interface Region {
  readonly area: number;
  readonly box: Rectangle;
  /** Null where boxes are compared. */
  readonly mask: RunLengths | null;
}

function overlapOf(found: Region, object: Region & { readonly crowd: boolean }): number {
  const boxes = boxOverlap(found.box, object.box, object.crowd);
  if (found.mask === null || object.mask === null || boxes === 0) return boxes;
  return maskOverlap(found.mask, object.mask, object.crowd);
}

function detection(result: CocoResult, type: "bbox" | "segm", boxesGiven: boolean, size: Size, file: string): Region {
  const { bbox, segmentation } = result;
  if (boxesGiven && bbox === undefined) {
    throw new CodedError("DATA_INVALID", `${file}: a detection in image ${size.id} has no bbox, others have`, {
      file,
      image: size.id,
    });
  }
  if (type === "bbox" && bbox !== undefined) return boxRegion(bbox);
  const mask = cocoMask(segmentation ?? rectangle(bbox as Box), size, `${file}, image ${size.id}`);
  const area = boxesGiven ? boxRegion(bbox as Box).area : maskArea(mask);
  return { area, box: maskBox(mask), mask: type === "segm" ? mask : null };
}

function objectRegion(
  object: CocoTruth["annotations"][number],
  type: "bbox" | "segm",
  size: Size,
  file: string,
): Region & { crowd: boolean } {
  const crowd = object.iscrowd === 1 || object.iscrowd === true;
  if (type === "bbox") {
    if (object.bbox === undefined) throw missing("bbox", file, size);
    const region = boxRegion(object.bbox);
    return { ...region, area: object.area ?? region.area, crowd };
  }
  if (object.segmentation == null) throw missing("segmentation", file, size);
  const mask = cocoMask(object.segmentation, size, `${file}, image ${size.id}`);
  return { area: object.area ?? maskArea(mask), box: maskBox(mask), mask, crowd };
}

type Box = readonly [number, number, number, number];

function boxRegion([x, y, width, height]: Box): Region {
  return { area: width * height, box: { x, y, width, height }, mask: null };
}

/** A box as polygon, in the order of corners that pycocotools' `loadRes` uses. */
function rectangle([x, y, width, height]: Box): number[][] {
  return [[x, y, x, y + height, x + width, y + height, x + width, y]];
}

function missing(field: string, file: string, { id }: Size): CodedError {
  return new CodedError("DATA_INVALID", `${file}: an annotation of image ${id} has no ${field}`, {
    file,
    image: id,
    field,
  });
}

const key = ({ image_id, category_id }: { image_id: number | string; category_id: number }): string =>
  `${category_id} ${typeof image_id} ${image_id}`;

function push<T>(groups: Map<string, T[]>, at: string, item: T): void {
  const group = groups.get(at);
  if (group === undefined) groups.set(at, [item]);
  else group.push(item);
}

function byId(a: number | string, b: number | string): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a) < String(b) ? -1 : 1;
}
