/** Fog and rain. */
import type { Rng } from "../../../shared/rng/rng.ts";
import { smoothRanks } from "./field.ts";
import { airlight, atSeverity, blended, type Corruption } from "./picture.ts";

/**
 * Meteorological optical range (contrast falls to 5 %) as a multiple of the picture's median distance, inverted: rooms
 * and streets are equally foggy.
 */
const INVERSE_RANGES = [1 / 12, 1 / 6, 1 / 4, 1 / 2.5, 1 / 1.6] as const;
const CONTRAST_LOSS = 2.996;

/**
 * Koschmieder's law as in Foggy Cityscapes (Sakaridis et al. 2018): I = J t + A (1 - t) with t = exp(-2.996 d / range).
 * d is the depth map's distance; without one, a cloud of ImageNet-C's kind (Hendrycks and Dietterich 2019).
 */
export const fog: Corruption = (picture, severity, rng) => {
  const { width, height } = picture;
  const thickness = CONTRAST_LOSS * atSeverity(INVERSE_RANGES, 0, severity);
  const distance = picture.distance ?? smoothRanks(width, height, 3, 4, rng).map((rank) => 0.4 + 1.2 * rank);
  return blended(picture, airlight(picture), (pixel) => 1 - Math.exp(-thickness * (distance[pixel] as number)));
};

/** Share of the picture that streaks cross, and what the drops too far to be seen take from its contrast. */
const STREAKS = [0.06, 0.12, 0.2, 0.3, 0.42] as const;
const VEIL = [0.04, 0.08, 0.13, 0.19, 0.26] as const;
/** Of the picture's height. */
const LENGTH = [0.06, 0.22] as const;
/** Share of the exposure for which a drop covers a pixel. */
const OPACITY = [0.3, 0.75] as const;
/** Radians from the vertical, for all drops of a picture. */
const WIND = 0.35;

/**
 * Streaks as of Garg and Nayar 2007 ("Vision and rain"): a drop that covers a pixel for the share a of the exposure
 * leaves (1 - a) J + a A. Drops far away are a veil, as in Halder et al. 2019 ("Physics-based rendering for improving
 * robustness to rain").
 */
export const rain: Corruption = (picture, severity, rng) => {
  const { width, height } = picture;
  const cover = streaks(width, height, atSeverity(STREAKS, 0, severity), rng);
  const veil = atSeverity(VEIL, 0, severity);
  return blended(picture, airlight(picture), (pixel) => 1 - (1 - veil) * (1 - (cover[pixel] as number)));
};

/** Opacity of the densest streak at each pixel. More streaks are the same ones and further ones. */
function streaks(width: number, height: number, share: number, rng: Rng): Float32Array {
  const cover = new Float32Array(width * height);
  const wind = Math.tan(WIND * (2 * rng.uniform() - 1));
  const pixels = share * width * height;
  for (let drawn = 0; drawn < pixels;) {
    const near = rng.uniform();
    const length = Math.max(2, (LENGTH[0] + near * (LENGTH[1] - LENGTH[0])) * height);
    const opacity = OPACITY[0] + (OPACITY[1] - OPACITY[0]) * rng.uniform();
    const top = rng.uniform() * (height + length) - length;
    const left = rng.uniform() * width;
    for (let y = Math.max(0, Math.ceil(top)); y < Math.min(height, top + length); y++) {
      // A line one pixel wide between two columns covers both in part; sideways the picture is a ring.
      const x = left + wind * (y - top);
      const column = Math.floor(x);
      for (const [at, part] of [
        [column, 1 - (x - column)],
        [column + 1, x - column],
      ] as const) {
        const pixel = y * width + (((at % width) + width) % width);
        cover[pixel] = Math.max(cover[pixel] as number, opacity * part);
      }
    }
    drawn += length;
  }
  return cover;
}
