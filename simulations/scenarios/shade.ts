/** Light on what the rays hit: one lamp with hard shadows, ambient light, patterns, and the room's own shell. */
import { type Color, hitSolid, type Material, normalAt, type Thing } from "./geometry.ts";
import { SEGMENTATION } from "./labels.ts";
import type { RoomPlan, WallPatch } from "./room-plan.ts";

/** Values of {@link Render.thing} where no thing is. */
export const SHELL = 255;
const FLOOR_CLASS = SEGMENTATION.indexOf("floor");

export interface Render {
  readonly width: number;
  readonly height: number;
  /** height * width * 3, linear light, not clipped. */
  readonly light: Float32Array;
  /** height * width metres along the optical axis. */
  readonly depthMeters: Float32Array;
  /** height * width indices into `plan.things`, or {@link SHELL}. */
  readonly thing: Uint8Array;
  /** height * width indices into the segmentation classes. */
  readonly segmentation: Uint8Array;
  /** height * width: how much of the surface shines by itself (depth sensors fail there). */
  readonly glow: Float32Array;
  /** height * width cosines between ray and surface. */
  readonly facing: Float32Array;
}

/** A thing in numbers, with the camera in its own frame. */
export interface Placed {
  readonly thing: Thing;
  readonly cos: number;
  readonly sin: number;
  readonly shapes: readonly number[];
  /** Per solid: middle and half extents. */
  readonly numbers: Float64Array;
  readonly radius: number;
  readonly top: number;
}

/** Colour, class and surface of every pixel, once it is known what is seen there; the room's shell fills the rest. */
export function shade(
  plan: RoomPlan,
  placed: readonly Placed[],
  rays: Float64Array,
  solid: Uint8Array,
  out: Render,
): void {
  const { camera, lamp } = plan;
  const pixels = out.width * out.height;
  for (let p = 0; p < pixels; p++) {
    const dx = rays[3 * p] as number;
    const dy = rays[3 * p + 1] as number;
    const dz = rays[3 * p + 2] as number;
    const shell = hitShell(plan, dx, dy, dz);
    const index = out.thing[p] as number;
    let surface: Surface;
    if (index === SHELL || (out.depthMeters[p] as number) > shell.t) {
      out.thing[p] = SHELL;
      out.depthMeters[p] = shell.t;
      surface = shellSurface(plan, shell, dx, dy, dz);
      out.segmentation[p] =
        shell.face === "floor" ? (plan.outdoors?.groundClass ?? FLOOR_CLASS) : (plan.outdoors?.skyClass ?? 0);
    } else {
      const one = placed[index] as Placed;
      surface = thingSurface(plan, one, solid[p] as number, out.depthMeters[p] as number, dx, dy, dz);
      out.segmentation[p] = one.thing.segmentation;
    }
    const t = out.depthMeters[p] as number;
    const x = camera.x + t * dx;
    const y = camera.y + t * dy;
    const z = camera.z + t * dz;
    const lx = lamp.x - x;
    const ly = lamp.y - y;
    const lz = lamp.z - z;
    const far = Math.sqrt(lx * lx + ly * ly + lz * lz);
    const cosine = Math.max(0, (surface.nx * lx + surface.ny * ly + surface.nz * lz) / far);
    const seesLamp =
      cosine > 0 && !inShadow(placed, x + surface.nx * 2e-3, y + surface.ny * 2e-3, z + surface.nz * 2e-3, lx, ly, lz);
    // The ceiling gives more ambient light to what faces up.
    const ambient = lamp.ambient * (0.8 + 0.2 * surface.ny);
    const bright = ambient + (seesLamp ? (lamp.strength * 2.2 * cosine) / (1 + 0.28 * far * far) : 0);
    const { color, glow } = surface;
    out.light[3 * p] = color[0] * (bright * lamp.color[0] + glow);
    out.light[3 * p + 1] = color[1] * (bright * lamp.color[1] + glow);
    out.light[3 * p + 2] = color[2] * (bright * lamp.color[2] + glow);
    out.glow[p] = glow;
    out.facing[p] =
      Math.abs(surface.nx * dx + surface.ny * dy + surface.nz * dz) / Math.sqrt(dx * dx + dy * dy + dz * dz);
  }
}

interface Surface {
  readonly nx: number;
  readonly ny: number;
  readonly nz: number;
  readonly color: Color;
  readonly glow: number;
}

function inShadow(
  placed: readonly Placed[],
  x: number,
  y: number,
  z: number,
  lx: number,
  ly: number,
  lz: number,
): boolean {
  for (const one of placed) {
    // The lamp hangs above everything: only the part of the way below the thing's top can be blocked.
    if (y > one.top) continue;
    const tx = x - one.thing.x;
    const tz = z - one.thing.z;
    const along = Math.max(0, Math.min(1, -(tx * lx + tz * lz) / (lx * lx + lz * lz || 1)));
    const nearX = tx + along * lx;
    const nearZ = tz + along * lz;
    if (nearX * nearX + nearZ * nearZ > one.radius * one.radius) continue;
    const ox = one.cos * tx - one.sin * tz;
    const oz = one.sin * tx + one.cos * tz;
    const dx = one.cos * lx - one.sin * lz;
    const dz = one.sin * lx + one.cos * lz;
    const { shapes, numbers } = one;
    for (let s = 0; s < shapes.length; s++) {
      const n = 6 * s;
      const t = hitSolid(
        shapes[s] as number,
        ox - (numbers[n] as number),
        y - (numbers[n + 1] as number),
        oz - (numbers[n + 2] as number),
        dx,
        ly,
        dz,
        numbers[n + 3] as number,
        numbers[n + 4] as number,
        numbers[n + 5] as number,
        1e-4,
      );
      if (t < 1) return true;
    }
  }
  return false;
}

interface ShellHit {
  readonly t: number;
  readonly face: "floor" | "ceiling" | "left" | "right" | "back" | "front";
}

/** Where the ray leaves the room's box. */
function hitShell(plan: RoomPlan, dx: number, dy: number, dz: number): ShellHit {
  const { camera, width, depth, height } = plan;
  const tx = dx === 0 ? Infinity : ((dx > 0 ? width / 2 : -width / 2) - camera.x) / dx;
  const ty = dy === 0 ? Infinity : ((dy > 0 ? height : 0) - camera.y) / dy;
  const tz = dz === 0 ? Infinity : ((dz > 0 ? depth : 0) - camera.z) / dz;
  if (ty <= tx && ty <= tz) return { t: ty, face: dy > 0 ? "ceiling" : "floor" };
  if (tx <= tz) return { t: tx, face: dx > 0 ? "right" : "left" };
  return { t: tz, face: dz > 0 ? "back" : "front" };
}

const CEILING: Color = [0.82, 0.82, 0.8];

function shellSurface(plan: RoomPlan, hit: ShellHit, dx: number, dy: number, dz: number): Surface {
  const x = plan.camera.x + hit.t * dx;
  const y = plan.camera.y + hit.t * dy;
  const z = plan.camera.z + hit.t * dz;
  if (hit.face === "floor") {
    const color = patterned(plan.floorColor, plan.floorPattern, x / 0.5, 0, z / 0.5);
    return { nx: 0, ny: 1, nz: 0, color, glow: 0 };
  }
  if (plan.outdoors !== undefined) return { nx: 0, ny: -1, nz: 0, color: plan.outdoors.sky, glow: 1 };
  if (hit.face === "ceiling") {
    const lamp = (x - plan.lamp.x) ** 2 + (z - plan.lamp.z) ** 2 < 0.09 && plan.lamp.strength > 0.2;
    return { nx: 0, ny: -1, nz: 0, color: CEILING, glow: lamp ? 1 : 0 };
  }
  const nx = hit.face === "left" ? 1 : hit.face === "right" ? -1 : 0;
  const nz = hit.face === "back" ? -1 : hit.face === "front" ? 1 : 0;
  const along = hit.face === "left" || hit.face === "right" ? z : x;
  const patch = plan.patches.find((one) => one.wall === hit.face && covers(one, along, y));
  if (patch !== undefined) {
    const frame = Math.min(along - patch.from, patch.to - along, patch.top - y) < 0.06;
    const color = frame ? CEILING : patch.color;
    // Daylight falls away with the lamp: a dim room is dim at night.
    return { nx, ny: 0, nz, color, glow: frame || plan.dim ? 0 : patch.glow };
  }
  const skirting = y < 0.09;
  const wall = plan.wallColor;
  return { nx, ny: 0, nz, color: skirting ? [wall[0] * 0.45, wall[1] * 0.45, wall[2] * 0.45] : wall, glow: 0 };
}

function covers(patch: WallPatch, along: number, y: number): boolean {
  return along >= patch.from && along <= patch.to && y >= patch.bottom && y <= patch.top;
}

function thingSurface(
  plan: RoomPlan,
  one: Placed,
  index: number,
  t: number,
  dx: number,
  dy: number,
  dz: number,
): Surface {
  const { camera } = plan;
  const n = 6 * index;
  const wx = camera.x + t * dx - one.thing.x;
  const wz = camera.z + t * dz - one.thing.z;
  const px = one.cos * wx - one.sin * wz - (one.numbers[n] as number);
  const py = camera.y + t * dy - (one.numbers[n + 1] as number);
  const pz = one.sin * wx + one.cos * wz - (one.numbers[n + 2] as number);
  const [a, b, c] = [one.numbers[n + 3] as number, one.numbers[n + 4] as number, one.numbers[n + 5] as number];
  const [lx, ly, lz] = normalAt(one.shapes[index] as number, px, py, pz, a, b, c);
  const length = Math.sqrt(lx * lx + ly * ly + lz * lz);
  const material = one.thing.solids[index]?.material as Material;
  return {
    nx: (one.cos * lx + one.sin * lz) / length,
    ny: ly / length,
    nz: (-one.sin * lx + one.cos * lz) / length,
    color: patterned(material.color, material.pattern, px / 0.12, py / 0.12, pz / 0.12),
    glow: material.glow,
  };
}

/** Darkens parts of a surface; u, v, w count the pattern's periods. */
function patterned(color: Color, pattern: Material["pattern"], u: number, v: number, w: number): Color {
  let factor = 1;
  if (pattern === "checker") factor = (Math.floor(u) + Math.floor(w)) % 2 === 0 ? 1 : 0.62;
  else if (pattern === "planks")
    factor = 0.8 + 0.2 * hash(Math.floor(u * 1.6), Math.floor(w * 0.35 + 0.5 * Math.floor(u)));
  else if (pattern === "stripes") factor = Math.floor(v * 1.5) % 2 === 0 ? 1 : 0.6;
  else if (pattern === "screen")
    factor = Math.floor(v * 4) % 2 === 0 && hash(Math.floor(u * 3), Math.floor(v * 4)) > 0.3 ? 1 : 0.45;
  else if (pattern === "leaves")
    factor = 0.55 + 0.45 * hash(Math.floor(u * 2.5), Math.floor(v * 2.5) + 31 * Math.floor(w * 2.5));
  return factor === 1 ? color : [color[0] * factor, color[1] * factor, color[2] * factor];
}

/** A fixed number in [0, 1) for a cell of a pattern. */
function hash(i: number, j: number): number {
  let h = (Math.imul(i, 374761393) + Math.imul(j, 668265263)) | 0;
  h = Math.imul(h ^ (h >>> 13), 1274126177);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}
