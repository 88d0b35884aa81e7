/**
 * Casts one ray through the middle of every pixel of a planned room: exact depth, which thing is seen, and colour with
 * one lamp and its shadows. No randomness: noise belongs to `sensor.ts`.
 */
import { boundsOf, hitSolid, SHAPES, type Thing } from "./geometry.ts";
import type { RoomPlan } from "./room-plan.ts";
import { type Placed, type Render, shade, SHELL } from "./shade.ts";

const NEAR = 0.05;

export function renderRoom(plan: RoomPlan, width: number, height: number): Render {
  const pixels = width * height;
  const { camera } = plan;
  const placed = plan.things.map(place);
  const out: Render = {
    width,
    height,
    light: new Float32Array(pixels * 3),
    depthMeters: new Float32Array(pixels).fill(Infinity),
    thing: new Uint8Array(pixels).fill(SHELL),
    segmentation: new Uint8Array(pixels),
    glow: new Float32Array(pixels),
    facing: new Float32Array(pixels),
  };
  const rays = cameraRays(camera, width, height);
  const solid = new Uint8Array(pixels);
  for (const [index, one] of placed.entries()) castThing(plan, one, index, rays, width, height, out, solid);
  shade(plan, placed, rays, solid, out);
  return out;
}

/** Ray directions whose length along the optical axis is 1, so that the ray parameter is depth. */
function cameraRays(camera: RoomPlan["camera"], width: number, height: number): Float64Array {
  const rays = new Float64Array(width * height * 3);
  const { yaw, pitch } = camera;
  const forward = [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch)] as const;
  const right = [Math.cos(yaw), 0, -Math.sin(yaw)] as const;
  const up = [-Math.sin(yaw) * Math.sin(pitch), Math.cos(pitch), -Math.cos(yaw) * Math.sin(pitch)] as const;
  const tanX = Math.tan(camera.fov / 2);
  const tanY = (tanX * height) / width;
  for (let y = 0, o = 0; y < height; y++) {
    const v = (1 - (2 * (y + 0.5)) / height) * tanY;
    for (let x = 0; x < width; x++, o += 3) {
      const u = ((2 * (x + 0.5)) / width - 1) * tanX;
      rays[o] = forward[0] + u * right[0] + v * up[0];
      rays[o + 1] = forward[1] + v * up[1];
      rays[o + 2] = forward[2] + u * right[2] + v * up[2];
    }
  }
  return rays;
}

function place(thing: Thing): Placed {
  const numbers = new Float64Array(thing.solids.length * 6);
  for (const [i, { at, half }] of thing.solids.entries()) numbers.set([...at, ...half], i * 6);
  const { radius, top } = boundsOf(thing);
  return {
    thing,
    cos: Math.cos(thing.turn),
    sin: Math.sin(thing.turn),
    shapes: thing.solids.map(({ shape }) => SHAPES[shape]),
    numbers,
    radius,
    top,
  };
}

/** Pixels that a thing's bounding cylinder can cover: [x0, y0, x1, y1), the whole picture when it is too near. */
function screenBounds(plan: RoomPlan, one: Placed, width: number, height: number): [number, number, number, number] {
  const { camera } = plan;
  const cosYaw = Math.cos(camera.yaw);
  const sinYaw = Math.sin(camera.yaw);
  const cosPitch = Math.cos(camera.pitch);
  const sinPitch = Math.sin(camera.pitch);
  const scaleX = width / 2 / Math.tan(camera.fov / 2);
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let corner = 0; corner < 8; corner++) {
    const wx = one.thing.x + (corner & 1 ? one.radius : -one.radius) - camera.x;
    const wy = (corner & 2 ? one.top : 0) - camera.y;
    const wz = one.thing.z + (corner & 4 ? one.radius : -one.radius) - camera.z;
    const along = sinYaw * wx + cosYaw * wz;
    const ahead = along * cosPitch + wy * sinPitch;
    if (ahead < 0.1) return [0, 0, width, height];
    const sx = width / 2 + (scaleX * (cosYaw * wx - sinYaw * wz)) / ahead;
    const sy = height / 2 - (scaleX * (wy * cosPitch - along * sinPitch)) / ahead;
    x0 = Math.min(x0, sx);
    x1 = Math.max(x1, sx);
    y0 = Math.min(y0, sy);
    y1 = Math.max(y1, sy);
  }
  const within = (value: number, end: number): number => Math.max(0, Math.min(end, value));
  return [
    within(Math.floor(x0), width),
    within(Math.floor(y0), height),
    within(Math.ceil(x1) + 1, width),
    within(Math.ceil(y1) + 1, height),
  ];
}

function castThing(
  plan: RoomPlan,
  one: Placed,
  index: number,
  rays: Float64Array,
  width: number,
  height: number,
  out: Render,
  solid: Uint8Array,
): void {
  const [x0, y0, x1, y1] = screenBounds(plan, one, width, height);
  const { cos, sin, shapes, numbers } = one;
  const tx = plan.camera.x - one.thing.x;
  const tz = plan.camera.z - one.thing.z;
  const ox = cos * tx - sin * tz;
  const oz = sin * tx + cos * tz;
  const oy = plan.camera.y;
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const p = y * width + x;
      const rx = rays[3 * p] as number;
      const dy = rays[3 * p + 1] as number;
      const rz = rays[3 * p + 2] as number;
      const dx = cos * rx - sin * rz;
      const dz = sin * rx + cos * rz;
      let best = out.depthMeters[p] as number;
      for (let s = 0; s < shapes.length; s++) {
        const n = 6 * s;
        const t = hitSolid(
          shapes[s] as number,
          ox - (numbers[n] as number),
          oy - (numbers[n + 1] as number),
          oz - (numbers[n + 2] as number),
          dx,
          dy,
          dz,
          numbers[n + 3] as number,
          numbers[n + 4] as number,
          numbers[n + 5] as number,
          NEAR,
        );
        if (t >= best) continue;
        best = t;
        out.depthMeters[p] = t;
        out.thing[p] = index;
        solid[p] = s;
      }
    }
  }
}
