/**
 * Solids a ray is cast at, and the things that are built of them. World: metres, y up, floor at y = 0, the camera
 * looks along +z. A thing has a place on the floor and a turn about the vertical; its solids lie in its own frame.
 */

export type Color = readonly [number, number, number];

export type Pattern = "plain" | "checker" | "planks" | "stripes" | "screen" | "leaves";

export interface Material {
  /** Linear RGB in [0, 1]. */
  readonly color: Color;
  readonly pattern: Pattern;
  /** Shines by itself (screens, lamps, windows): not darkened by shade. */
  readonly glow: number;
}

export interface Solid {
  readonly shape: "box" | "ellipsoid" | "cylinder";
  /** Middle, in the thing's frame. */
  readonly at: readonly [number, number, number];
  /** Half extents; a cylinder stands upright with radius half[0] and half height half[1]. */
  readonly half: readonly [number, number, number];
  readonly material: Material;
}

/** What is drawn, boxed and spoken of as one. */
export interface Thing {
  /** The word captions use. */
  readonly name: string;
  /** Index of the segmentation class. */
  readonly segmentation: number;
  /** Index of the detection class, or null: not detected. */
  readonly detection: number | null;
  readonly x: number;
  readonly z: number;
  /** Radians about the vertical. */
  readonly turn: number;
  readonly solids: readonly Solid[];
}

export const SHAPES = { box: 0, ellipsoid: 1, cylinder: 2 } as const;

/**
 * The smallest ray parameter t > `near` at which the ray o + t d meets the solid, or Infinity. All in the solid's
 * frame: middle at 0, axes along the half extents a, b, c.
 */
export function hitSolid(
  shape: number,
  ox: number,
  oy: number,
  oz: number,
  dx: number,
  dy: number,
  dz: number,
  a: number,
  b: number,
  c: number,
  near: number,
): number {
  if (shape === SHAPES.box) {
    const ix = 1 / dx;
    const iy = 1 / dy;
    const iz = 1 / dz;
    const tx = Math.abs(ix) * a;
    const ty = Math.abs(iy) * b;
    const tz = Math.abs(iz) * c;
    const mx = -ox * ix;
    const my = -oy * iy;
    const mz = -oz * iz;
    const enter = Math.max(mx - tx, my - ty, mz - tz);
    const leave = Math.min(mx + tx, my + ty, mz + tz);
    // NaN (a ray inside a face) compares false: no hit.
    return enter <= leave && enter > near ? enter : Infinity;
  }
  if (shape === SHAPES.ellipsoid) {
    const px = ox / a;
    const py = oy / b;
    const pz = oz / c;
    const qx = dx / a;
    const qy = dy / b;
    const qz = dz / c;
    const A = qx * qx + qy * qy + qz * qz;
    const B = px * qx + py * qy + pz * qz;
    const C = px * px + py * py + pz * pz - 1;
    const D = B * B - A * C;
    if (D < 0) return Infinity;
    const t = (-B - Math.sqrt(D)) / A;
    return t > near ? t : Infinity;
  }
  // Upright cylinder: the wall first, then the lid that faces the ray.
  let best = Infinity;
  const A = dx * dx + dz * dz;
  const B = ox * dx + oz * dz;
  const D = B * B - A * (ox * ox + oz * oz - a * a);
  if (D >= 0 && A > 0) {
    const t = (-B - Math.sqrt(D)) / A;
    if (t > near && Math.abs(oy + t * dy) <= b) best = t;
  }
  if (dy !== 0) {
    const t = ((dy > 0 ? -b : b) - oy) / dy;
    const x = ox + t * dx;
    const z = oz + t * dz;
    if (t > near && t < best && x * x + z * z <= a * a) best = t;
  }
  return best;
}

/** Outward normal (not of unit length for ellipsoids) at the point p of the solid's surface. */
export function normalAt(
  shape: number,
  px: number,
  py: number,
  pz: number,
  a: number,
  b: number,
  c: number,
): [number, number, number] {
  if (shape === SHAPES.ellipsoid) return [px / (a * a), py / (b * b), pz / (c * c)];
  if (shape === SHAPES.cylinder) return Math.abs(py) > b - 1e-6 ? [0, Math.sign(py), 0] : [px, 0, pz];
  const x = Math.abs(px) / a;
  const y = Math.abs(py) / b;
  const z = Math.abs(pz) / c;
  if (x >= y && x >= z) return [Math.sign(px), 0, 0];
  return y >= z ? [0, Math.sign(py), 0] : [0, 0, Math.sign(pz)];
}

/** Horizontal radius and top of everything a thing is made of, in its own frame. */
export function boundsOf(thing: Thing): { radius: number; top: number; bottom: number } {
  let radius = 0;
  let top = 0;
  let bottom = Infinity;
  for (const { shape, at, half } of thing.solids) {
    const depth = shape === "cylinder" ? half[0] : half[2];
    const reach = shape === "box" ? Math.hypot(half[0], depth) : Math.max(half[0], depth);
    radius = Math.max(radius, Math.hypot(at[0], at[2]) + reach);
    top = Math.max(top, at[1] + half[1]);
    bottom = Math.min(bottom, at[1] - half[1]);
  }
  return { radius, top, bottom };
}
