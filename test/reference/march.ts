/**
 * Slow twin of the room renderer: walks along a ray in small steps and asks at each whether the point is inside a
 * solid or outside the room. No intersection formula is shared with the fast one.
 */
import type { Solid } from "../../simulations/scenarios/geometry.ts";
import type { RoomPlan } from "../../simulations/scenarios/room-plan.ts";

const STEP = 0.002;
// Globals are slow to reach from inside jest's sandbox.
const { abs } = Math;

/** Depth along the optical axis and the index of what is there (null: the room itself) for one pixel's middle. */
export function march(
  plan: RoomPlan,
  x: number,
  y: number,
  width: number,
  height: number,
): { depth: number; thing: number | null } {
  const { camera } = plan;
  // Camera frame, then pitch about x, then yaw about y.
  const u = ((x + 0.5) / width - 0.5) * 2 * Math.tan(camera.fov / 2);
  const v = (0.5 - (y + 0.5) / height) * 2 * Math.tan(camera.fov / 2) * (height / width);
  const pitched = [
    u,
    v * Math.cos(camera.pitch) + Math.sin(camera.pitch),
    Math.cos(camera.pitch) - v * Math.sin(camera.pitch),
  ];
  const [px, py, pz] = pitched as [number, number, number];
  const dx = px * Math.cos(camera.yaw) + pz * Math.sin(camera.yaw);
  const dz = pz * Math.cos(camera.yaw) - px * Math.sin(camera.yaw);
  // Turns are undone by the opposite turn.
  const things = plan.things.map((thing, index) => ({
    thing,
    index,
    cos: Math.cos(-thing.turn),
    sin: Math.sin(-thing.turn),
  }));
  for (let depth = STEP; ; depth += STEP) {
    const wx = camera.x + depth * dx;
    const wy = camera.y + depth * py;
    const wz = camera.z + depth * dz;
    if (abs(wx) > plan.width / 2 || wy < 0 || wy > plan.height || wz < 0 || wz > plan.depth)
      return { depth, thing: null };
    for (const { thing, cos, sin, index } of things) {
      const tx = wx - thing.x;
      const tz = wz - thing.z;
      const lx = tx * cos + tz * sin;
      const lz = tz * cos - tx * sin;
      for (const solid of thing.solids) if (holds(solid, lx, wy, lz)) return { depth, thing: index };
    }
  }
}

function holds({ shape, at, half }: Solid, x: number, y: number, z: number): boolean {
  const a = (x - at[0]) / half[0];
  const b = (y - at[1]) / half[1];
  const c = (z - at[2]) / half[2];
  if (shape === "box") return abs(a) <= 1 && abs(b) <= 1 && abs(c) <= 1;
  if (shape === "ellipsoid") return a * a + b * b + c * c <= 1;
  return abs(b) <= 1 && (x - at[0]) ** 2 + (z - at[2]) ** 2 <= half[0] ** 2;
}
