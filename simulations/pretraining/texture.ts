/** Random textures and lights on rendered pictures: a model that has seen any of them minds those of the world less. */
import type { Rng } from "../../shared/rng/rng.ts";
import type { Render } from "../scenarios/shade.ts";

const LATTICE = 64;

/** Smooth random values in [0, 1] over the plane, `frequency` of them to a unit. */
export function valueNoise(rng: Rng, frequency: number): (u: number, v: number) => number {
  const lattice = Float32Array.from({ length: LATTICE * LATTICE }, () => rng.uniform());
  const at = (i: number, j: number): number =>
    lattice[(((j % LATTICE) + LATTICE) % LATTICE) * LATTICE + (((i % LATTICE) + LATTICE) % LATTICE)] as number;
  return (u, v) => {
    const x = u * frequency;
    const y = v * frequency;
    const i = Math.floor(x);
    const j = Math.floor(y);
    const fx = x - i;
    const fy = y - j;
    const top = at(i, j) * (1 - fx) + at(i + 1, j) * fx;
    const bottom = at(i, j + 1) * (1 - fx) + at(i + 1, j + 1) * fx;
    return top * (1 - fy) + bottom * fy;
  };
}

/**
 * Gives what is seen other surfaces: each thing, and each class of the shell, gets its own grain or stripes, and some
 * get another colour. Textures shrink with distance. Changes `render.light`.
 */
export function retexture(rng: Rng, render: Render): void {
  const noises = [valueNoise(rng, 1), valueNoise(rng, 1)] as const;
  const skins = new Map<number, (u: number, v: number) => number>();
  const tints = new Map<number, readonly number[]>();
  const strength = 0.8 * rng.uniform();
  const recoloured = 0.5 * rng.uniform() ** 2;
  const skinOf = (key: number): void => {
    const noise = noises[rng.below(2)] as (u: number, v: number) => number;
    const frequency = Math.exp(1 + 3 * rng.uniform());
    const angle = Math.PI * rng.uniform();
    const amount = strength * rng.uniform();
    const stretch = Math.exp(1.5 * (rng.uniform() - 0.5));
    const offset = 64 * rng.uniform();
    const stripes = rng.uniform() < 0.2;
    skins.set(key, (u, v) => {
      const along = (u * Math.cos(angle) + v * Math.sin(angle)) * frequency;
      const across = (v * Math.cos(angle) - u * Math.sin(angle)) * frequency * stretch;
      const grain = stripes ? Math.floor(along) & 1 : noise(along + offset, across);
      return 1 + amount * (2 * grain - 1);
    });
    tints.set(key, rng.uniform() < recoloured ? [0, 0, 0].map(() => Math.exp(1.2 * (rng.uniform() - 0.5))) : [1, 1, 1]);
  };
  const { width, height, light, thing, segmentation, depthMeters } = render;
  for (let y = 0, p = 0; y < height; y++) {
    const v = (2 * y) / height - 1;
    for (let x = 0; x < width; x++, p++) {
      const key = 256 * (thing[p] as number) + (segmentation[p] as number);
      if (!skins.has(key)) skinOf(key);
      const near = Math.min(4, 0.25 * (depthMeters[p] as number));
      const skin = skins.get(key) as (u: number, v: number) => number;
      const factor = skin(((2 * x) / width - 1) * near, v * near);
      const tint = tints.get(key) as readonly number[];
      for (let c = 0; c < 3; c++) light[3 * p + c] = (light[3 * p + c] as number) * factor * (tint[c] as number);
    }
  }
}

/** 8-bit pictures of any exposure, colour cast, saturation, sharpness and noise. */
export function photograph(rng: Rng, light: Float32Array, width: number, height: number): Uint8Array {
  const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
  const exposure = Math.exp(between(-0.7, 0.7));
  const gamma = between(1.5, 3);
  const gains = Float64Array.from({ length: 3 }, () => exposure * Math.exp(between(-0.2, 0.2)));
  const pixel = new Float64Array(3);
  const saturation = rng.uniform() < 0.15 ? 0 : between(0.4, 1.5);
  const lift = between(-0.08, 0.12);
  const noise = 14 * rng.uniform() ** 2;
  const source = rng.uniform() < 0.35 ? blurred(light, width, height) : light;
  const rgb = new Uint8Array(source.length);
  const table = Float32Array.from({ length: 2049 }, (_, i) => 255 * (lift + (1 - lift) * (i / 2048) ** (1 / gamma)));
  for (let p = 0; p < source.length; p += 3) {
    for (let c = 0; c < 3; c++) {
      const value = (source[p + c] as number) * (gains[c] as number);
      pixel[c] = table[Math.round(2048 * Math.min(1, Math.max(0, value)))] as number;
    }
    const gray = 0.3 * (pixel[0] as number) + 0.59 * (pixel[1] as number) + 0.11 * (pixel[2] as number);
    for (let c = 0; c < 3; c++) {
      const bits = rng.uint32();
      const normal = ((bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24) - 510) / 147.8;
      rgb[p + c] = Math.max(
        0,
        Math.min(255, Math.round(gray + saturation * ((pixel[c] as number) - gray) + noise * normal)),
      );
    }
  }
  return rgb;
}

/** A 3 x 3 mean. */
function blurred(light: Float32Array, width: number, height: number): Float32Array {
  const out = new Float32Array(light.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let dy = -1; dy <= 1; dy++)
          for (let dx = -1; dx <= 1; dx++) {
            const yy = Math.min(height - 1, Math.max(0, y + dy));
            const xx = Math.min(width - 1, Math.max(0, x + dx));
            sum += light[3 * (yy * width + xx) + c] as number;
          }
        out[3 * (y * width + x) + c] = sum / 9;
      }
    }
  }
  return out;
}
