/** From rendered light and exact depth to what cameras give: 8-bit RGB with noise, and depth with noise and holes. */
import type { Rng } from "../../shared/rng/rng.ts";
import type { Render } from "./shade.ts";

/** Depth leaves the sensor in millimetres; this is the dataset's `unit_m`. */
export const METERS_PER_UNIT = 0.001;
/** Farther away there is no reading. */
const RANGE_METERS = 9;

/** sRGB-like gamma of 2.2 for light in steps of 1/4096. */
const GAMMA = Float32Array.from({ length: 4097 }, (_, i) => 255 * (i / 4096) ** (1 / 2.2));

/** height * width * 3 bytes: gamma, then noise of `noiseStddev` levels. */
export function toRgb(render: Render, rng: Rng, noiseStddev: number): Uint8Array {
  const rgb = new Uint8Array(render.light.length);
  for (let i = 0; i < rgb.length; i++) {
    const light = Math.min(1, Math.max(0, render.light[i] as number));
    rgb[i] = Math.max(
      0,
      Math.min(255, Math.round((GAMMA[Math.round(light * 4096)] as number) + noiseStddev * roughNormal(rng))),
    );
  }
  return rgb;
}

/**
 * Raw readings in millimetres, 0 where there is none. Axial noise after Nguyen, Izadi and Lovell 2012 ("Modeling Kinect
 * sensor noise"): sigma = 1.2 mm + 1.9 mm (z - 0.4)^2. Holes: beyond the range, on surfaces seen edge on, on what
 * shines, in the shadow that the projector's parallax leaves beside edges, and here and there in patches.
 */
export function toDepth(render: Render, rng: Rng, noise: number, holes: number): Uint16Array {
  const { width, height, depthMeters } = render;
  const raw = new Uint16Array(width * height);
  for (let p = 0; p < raw.length; p++) {
    const z = depthMeters[p] as number;
    const sigma = noise * (0.0012 + 0.0019 * (z - 0.4) ** 2);
    const noisy = z + sigma * roughNormal(rng);
    if (z > RANGE_METERS || z < 0.25) continue;
    if ((render.facing[p] as number) < 0.09 * holes) continue;
    if ((render.glow[p] as number) > 0.3 && rng.uniform() < 0.55 * holes) continue;
    raw[p] = Math.max(1, Math.min(65_535, Math.round(noisy / METERS_PER_UNIT)));
  }
  parallaxShadows(render, raw, holes);
  const patches = Math.floor(holes * 3 * rng.uniform());
  for (let n = 0; n < patches; n++) {
    const cx = rng.uniform() * width;
    const cy = rng.uniform() * height;
    const rx = (0.02 + 0.05 * rng.uniform()) * width;
    const ry = (0.02 + 0.05 * rng.uniform()) * height;
    for (let y = Math.max(0, Math.floor(cy - ry)); y < Math.min(height, cy + ry); y++)
      for (let x = Math.max(0, Math.floor(cx - rx)); x < Math.min(width, cx + rx); x++)
        if (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 0.7 + 0.3 * rng.uniform()) raw[y * width + x] = 0;
  }
  return raw;
}

/** Left of a near edge the far surface is hidden from the projector: some pixels in proportion to the disparity. */
function parallaxShadows(render: Render, raw: Uint16Array, holes: number): void {
  const { width, height, depthMeters } = render;
  // Baseline 7.5 cm at a focal length of about 0.8 picture widths.
  const disparity = 0.075 * 0.8 * width * Math.min(2, holes);
  for (let y = 0; y < height; y++) {
    for (let x = 1; x < width; x++) {
      const near = depthMeters[y * width + x] as number;
      const far = depthMeters[y * width + x - 1] as number;
      if (far - near < 0.12) continue;
      const hidden = Math.min(6, Math.round(disparity * (1 / near - 1 / far)));
      for (let k = 1; k <= hidden && x - k >= 0; k++)
        if ((depthMeters[y * width + x - k] as number) > near + 0.1) raw[y * width + x - k] = 0;
    }
  }
}

/** About standard normal (four uniform bytes summed): 49,000 of them a picture must be cheap. */
function roughNormal(rng: Rng): number {
  const bits = rng.uint32();
  return ((bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24) - 510) / 147.8;
}
