/** How much there is to see in a sample's labels: the curriculum's measure that needs no model. */
import { IGNORE_CLASS } from "./sample.ts";
import type { PreparedSample } from "./prepare.ts";

/**
 * Length of the borders between classes of the mask, as share of all pairs of neighbouring pixels; where there is no mask,
 * the number of objects / (1 + their number). Null where neither is labelled.
 */
export function labelDifficulty({ segmentation, boxes, geometry }: PreparedSample): number | null {
  if (segmentation === null) return boxes === null ? null : boxes.length / (1 + boxes.length);
  const { width, contentHeight, contentWidth } = geometry;
  let pairs = 0;
  let borders = 0;
  const compare = (a: number | undefined, b: number | undefined) => {
    if (a === IGNORE_CLASS || b === IGNORE_CLASS) return;
    pairs++;
    if (a !== b) borders++;
  };
  for (let y = 0; y < contentHeight; y++) {
    for (let x = 0; x < contentWidth; x++) {
      const at = y * width + x;
      if (x + 1 < contentWidth) compare(segmentation[at], segmentation[at + 1]);
      if (y + 1 < contentHeight) compare(segmentation[at], segmentation[at + width]);
    }
  }
  return pairs === 0 ? null : borders / pairs;
}
