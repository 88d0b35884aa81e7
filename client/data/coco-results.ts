/**
 * COCO's result format and ground truth (cocodataset.org/#format-results, #format-data) as far as scoring needs them.
 * Pictures need no files here: detections are compared with annotations alone.
 */
import { z } from "zod";
import { type RunLengths, polygonMask, uniteMasks } from "../../models/metrics/coco/run-lengths.ts";
import { CodedError } from "../../shared/errors.ts";
import { coordinate, imageId, polygons, runLengths, side } from "./annotations.ts";
import { decodeRuns } from "./masks.ts";

const box = z.tuple([coordinate, coordinate, coordinate.min(0), coordinate.min(0)]);
const region = z.union([polygons, runLengths]);

export const cocoResults = z
  .array(
    z
      .object({
        image_id: imageId,
        category_id: z.int(),
        bbox: box.optional(),
        segmentation: region.optional(),
        score: z.number(),
      })
      .refine(({ bbox, segmentation }) => bbox !== undefined || segmentation !== undefined, {
        message: "a detection needs bbox or segmentation",
      }),
  )
  .max(10_000_000);
export type CocoResult = z.infer<typeof cocoResults>[number];

export const cocoTruth = z.object({
  images: z.array(z.object({ id: imageId, height: side.optional(), width: side.optional() })).max(2_000_000),
  categories: z
    .array(z.object({ id: z.int(), name: z.string().max(256).optional() }))
    .max(100_000)
    .min(1),
  annotations: z
    .array(
      z.object({
        image_id: imageId,
        category_id: z.int(),
        bbox: box.optional(),
        area: z.number().min(0).max(1e12).optional(),
        iscrowd: z.union([z.literal(0), z.literal(1), z.boolean()]).optional(),
        segmentation: region.nullish(),
      }),
    )
    .max(20_000_000),
});
export type CocoTruth = z.infer<typeof cocoTruth>;

/**
 * A segmentation as run lengths in a picture of this size.
 *
 * @throws CodedError DATA_SEGMENTATION naming `where`
 */
export function cocoMask(
  segmentation: NonNullable<CocoResult["segmentation"]>,
  size: { readonly height?: number | undefined; readonly width?: number | undefined },
  where: string,
): RunLengths {
  const fail = (why: string): CodedError =>
    new CodedError("DATA_SEGMENTATION", `${where}: ${why}`, { file: where, reason: why });
  if ("size" in segmentation) {
    const [height, width] = segmentation.size;
    const counts =
      typeof segmentation.counts === "string" ? decodeRuns(segmentation.counts, fail) : segmentation.counts;
    const pixels = counts.reduce((sum, run) => sum + run, 0);
    if (pixels !== height * width) throw fail(`run lengths cover ${pixels} of ${height * width} pixels`);
    return { height, width, counts };
  }
  const { height, width } = size;
  if (height === undefined || width === undefined) throw fail("polygons need the picture's width and height");
  const masks = segmentation.map((corners) => {
    if (corners.length % 2 !== 0 || corners.length < 6)
      throw fail(`a polygon of ${corners.length} numbers: expected x, y of at least three corners`);
    return polygonMask(corners, height, width);
  });
  return masks.length === 0 ? { height, width, counts: [height * width] } : masks.reduce(uniteMasks);
}
