/** Draws one surface seen from near: a wall, skin or tube with a texture, and cracks or spots on it, with its relief. */
import type { Box } from "../../models/preprocess/sample.ts";
import type { Rng } from "../../shared/rng/rng.ts";
import { CLASSES, OBJECTS, type PlaceName } from "./labels.ts";
import { valueNoise } from "./texture.ts";

export interface SurfacePicture {
  readonly place: PlaceName;
  /** height * width * 3, linear light. */
  readonly light: Float32Array;
  readonly depthMeters: Float32Array;
  readonly segmentation: Uint8Array;
  readonly boxes: readonly Box[];
  readonly captions: readonly string[];
}

const CAPTIONS: Readonly<Record<string, readonly string[]>> = {
  "clear surface": ["A surface without flaws.", "Nothing to be seen on it."],
  "cracked surface": ["A surface with a crack.", "There is a crack in it."],
  "round spot": ["A surface with a round spot.", "A smooth spot is on it."],
  "ragged spot": ["A surface with a ragged spot.", "A spot with an uneven edge."],
};

export function drawSurface(rng: Rng, width: number, height: number): SurfacePicture {
  const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
  const pixels = width * height;
  const flaws = new Float32Array(pixels);
  const segmentation = new Uint8Array(pixels);
  const boxes: Box[] = [];
  const kinds = ["clear surface", "cracked surface", "round spot", "ragged spot"] as const;
  const place = kinds[rng.below(4)] as (typeof kinds)[number];
  const count = place === "clear surface" ? 0 : 1 + (rng.below(3) === 0 ? rng.below(3) : 0);
  for (let n = 0; n < count; n++) {
    const mask =
      place === "cracked surface"
        ? crack(rng, width, height)
        : spot(rng, width, height, place === "ragged spot" ? between(0.25, 0.6) : between(0, 0.08));
    const name = place === "cracked surface" ? "crack" : "spot";
    const box = boundsOf(mask, width, height, OBJECTS.indexOf(name));
    if (box === null) continue;
    boxes.push(box);
    for (let p = 0; p < pixels; p++) {
      flaws[p] = Math.max(flaws[p] as number, mask[p] as number);
      if ((mask[p] as number) >= 0.5) segmentation[p] = CLASSES.indexOf(name);
    }
  }
  const base = [between(0.05, 0.7), between(0.05, 0.7), between(0.05, 0.7)];
  const mark = rng.below(4) === 0 ? base.map(() => between(0, 0.8)) : base.map((c) => c * between(0.15, 0.7));
  const coarse = valueNoise(rng, between(2, 8));
  const fine = valueNoise(rng, between(12, 50));
  const rough = [between(0, 0.9), between(0, 0.7)] as const;
  const tilt = [between(-0.5, 0.5), between(-0.5, 0.5), between(-0.6, 0.6), between(-0.6, 0.6)] as const;
  const near = between(0.3, 2.5);
  const deep = between(-0.06, 0.1) * near;
  const light = new Float32Array(pixels * 3);
  const depthMeters = new Float32Array(pixels);
  for (let y = 0, p = 0; y < height; y++) {
    const v = (2 * (y + 0.5)) / height - 1;
    for (let x = 0; x < width; x++, p++) {
      const u = (2 * (x + 0.5)) / width - 1;
      const flaw = flaws[p] as number;
      const grain = 1 + rough[0] * (coarse(u, v) - 0.5) + rough[1] * (fine(u, v) - 0.5);
      const shade = grain * (1 + tilt[0] * u + tilt[1] * v);
      for (let c = 0; c < 3; c++)
        light[3 * p + c] = ((base[c] as number) * (1 - flaw) + (mark[c] as number) * flaw) * Math.max(0, shade);
      depthMeters[p] =
        near * (1 + 0.2 * tilt[0] * u + 0.2 * tilt[1] * v + 0.3 * tilt[2] * u * u + 0.3 * tilt[3] * v * v) +
        deep * flaw +
        0.01 * near * grain;
    }
  }
  const words = CAPTIONS[place] as readonly string[];
  return { place, light, depthMeters, segmentation, boxes, captions: [words[rng.below(words.length)] as string] };
}

/** A random walk with branches; 1 on it, soft at its edge. */
function crack(rng: Rng, width: number, height: number): Float32Array {
  const mask = new Float32Array(width * height);
  const side = Math.min(width, height);
  const radius = side * (0.006 + 0.025 * rng.uniform() ** 2);
  const walk = (x: number, y: number, angle: number, steps: number, depth: number): void => {
    for (let n = 0; n < steps; n++) {
      angle += 0.5 * (rng.uniform() - 0.5);
      x += 0.02 * side * Math.cos(angle);
      y += 0.02 * side * Math.sin(angle);
      stamp(mask, width, height, x, y, radius * (0.6 + 0.8 * rng.uniform()));
      if (depth < 2 && rng.uniform() < 0.03) walk(x, y, angle + (rng.uniform() - 0.5) * 3, steps >> 1, depth + 1);
    }
  };
  walk(rng.uniform() * width, rng.uniform() * height, 2 * Math.PI * rng.uniform(), 10 + rng.below(40), 0);
  return mask;
}

function stamp(mask: Float32Array, width: number, height: number, cx: number, cy: number, radius: number): void {
  const reach = radius + 1;
  for (let y = Math.max(0, Math.floor(cy - reach)); y < Math.min(height, cy + reach); y++)
    for (let x = Math.max(0, Math.floor(cx - reach)); x < Math.min(width, cx + reach); x++) {
      const p = y * width + x;
      mask[p] = Math.max(mask[p] as number, Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(x - cx, y - cy))));
    }
}

/** An ellipse whose radius wanders by `ragged`; its edge is sharp or soft. */
function spot(rng: Rng, width: number, height: number, ragged: number): Float32Array {
  const mask = new Float32Array(width * height);
  const cx = (0.15 + 0.7 * rng.uniform()) * width;
  const cy = (0.15 + 0.7 * rng.uniform()) * height;
  const a = (0.05 + 0.25 * rng.uniform()) * width;
  const b = a * (0.4 + 0.8 * rng.uniform());
  const turn = Math.PI * rng.uniform();
  const waves = Array.from({ length: 6 }, (_, k) => ({ k: k + 2, at: 2 * Math.PI * rng.uniform(), by: rng.uniform() }));
  const soft = 0.02 + 0.3 * rng.uniform() ** 2;
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      const dx = x - cx;
      const dy = y - cy;
      const u = (dx * Math.cos(turn) + dy * Math.sin(turn)) / a;
      const v = (dy * Math.cos(turn) - dx * Math.sin(turn)) / b;
      const angle = Math.atan2(v, u);
      const edge = 1 + waves.reduce((sum, { k, at, by }) => sum + (ragged * by * Math.cos(k * angle + at)) / 2, 0);
      mask[p] = Math.min(1, Math.max(0, (edge - Math.hypot(u, v)) / soft + 0.5));
    }
  }
  return mask;
}

function boundsOf(mask: Float32Array, width: number, height: number, classIndex: number): Box | null {
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      if ((mask[p] as number) < 0.5) continue;
      x0 = Math.min(x0, x);
      x1 = Math.max(x1, x + 1);
      y0 = Math.min(y0, y);
      y1 = y + 1;
    }
  }
  return x1 - x0 < 2 || y1 - y0 < 2
    ? null
    : { classIndex, x: x0, y: y0, width: x1 - x0, height: y1 - y0, crowd: false };
}
