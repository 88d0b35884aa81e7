/**
 * Small grey pictures of four shapes, generated: enough for a small network to learn from in a minute, and for an attack to
 * show. Position, size, brightness and noise are random; the label is the shape.
 */
import { Rng } from "../../shared/rng/rng.ts";

export const SIDE = 12;
export const SHAPES = ["disc", "frame", "cross", "bar"] as const;
/** The class that a backdoor is to give. */
export const TARGET = 0;

export interface Pictures {
  readonly count: number;
  /** count x SIDE x SIDE, about 0 to 1. */
  readonly values: Float32Array;
  readonly labels: Int32Array;
}

/** Deterministic in its arguments. */
export function generatePictures(count: number, ...seed: readonly (string | number)[]): Pictures {
  const rng = Rng.of("attack-pictures", ...seed);
  const values = new Float32Array(count * SIDE * SIDE);
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const label = rng.below(SHAPES.length);
    labels[i] = label;
    draw(values.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE), label, rng);
  }
  return { count, values, labels };
}

function draw(picture: Float32Array, label: number, rng: Rng): void {
  const radius = 2.5 + 1.5 * rng.uniform();
  const middle = () => radius + (SIDE - 1 - 2 * radius) * rng.uniform();
  const [x0, y0] = [middle(), middle()];
  const bright = 0.5 + 0.5 * rng.uniform();
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const [dx, dy] = [Math.abs(x - x0), Math.abs(y - y0)];
      picture[y * SIDE + x] = (isInside(label, dx, dy, radius) ? bright : 0) + 0.15 * rng.normal();
    }
  }
}

function isInside(label: number, dx: number, dy: number, radius: number): boolean {
  switch (SHAPES[label]) {
    case "disc":
      return Math.hypot(dx, dy) <= radius;
    case "frame":
      return Math.max(dx, dy) <= radius && Math.max(dx, dy) > radius - 1.2;
    case "cross":
      return Math.max(dx, dy) <= radius && Math.min(dx, dy) <= 0.7;
    default:
      return dx <= radius && dy <= 0.9;
  }
}

/** Every label as the next class: what a site with wrong labels, or a liar, trains on. */
export function flipped(pictures: Pictures): Pictures {
  return { ...pictures, labels: pictures.labels.map((label) => (label + 1) % SHAPES.length) };
}

/** The pictures with a bright patch of 3 x 3 in a corner, and the labels that a backdoor gives them. */
export function patched(pictures: Pictures): Pictures {
  const values = pictures.values.slice();
  for (let i = 0; i < pictures.count; i++) {
    for (let y = SIDE - 3; y < SIDE; y++) {
      for (let x = SIDE - 3; x < SIDE; x++) values[(i * SIDE + y) * SIDE + x] = 1.5;
    }
  }
  return { count: pictures.count, values, labels: new Int32Array(pictures.count).fill(TARGET) };
}

export function joined(a: Pictures, b: Pictures): Pictures {
  const values = new Float32Array(a.values.length + b.values.length);
  values.set(a.values);
  values.set(b.values, a.values.length);
  const labels = new Int32Array(a.count + b.count);
  labels.set(a.labels);
  labels.set(b.labels, a.count);
  return { count: a.count + b.count, values, labels };
}

/** Those whose class is not the backdoor's own. */
export function othersThanTarget(pictures: Pictures): Pictures {
  const chosen = [...pictures.labels.keys()].filter((i) => pictures.labels[i] !== TARGET);
  const size = SIDE * SIDE;
  const values = new Float32Array(chosen.length * size);
  for (const [at, i] of chosen.entries()) values.set(pictures.values.subarray(i * size, (i + 1) * size), at * size);
  return { count: chosen.length, values, labels: Int32Array.from(chosen, (i) => pictures.labels[i] as number) };
}
