/** Draws one room: its shell, what stands where in it, lamp and camera. Nothing is rendered here. */
import type { Rng } from "../../shared/rng/rng.ts";
import { boundsOf, type Color, type Thing } from "./geometry.ts";
import type { SceneClass } from "./labels.ts";
import { hsv, type SiteStyle } from "./site-style.ts";
import {
  bed,
  cabinet,
  cart,
  chair,
  dripStand,
  lyingPerson,
  monitor,
  type Place,
  plant,
  seatedPerson,
  sofa,
  standingPerson,
  strayHue,
  table,
} from "./things.ts";

/** A rectangle on a wall: door, window or poster. `wall`: left is x = -width/2, back is z = depth. */
export interface WallPatch {
  readonly wall: "left" | "right" | "back";
  readonly from: number;
  readonly to: number;
  readonly bottom: number;
  readonly top: number;
  readonly color: Color;
  readonly glow: number;
}

export interface RoomPlan {
  readonly scene: SceneClass | "street";
  /** x from -width/2 to width/2, z from 0 (behind the camera: `back`) to depth. */
  readonly width: number;
  readonly depth: number;
  readonly height: number;
  readonly wallColor: Color;
  readonly floorColor: Color;
  readonly floorPattern: SiteStyle["floor"];
  readonly patches: readonly WallPatch[];
  readonly things: readonly Thing[];
  readonly camera: { x: number; y: number; z: number; yaw: number; pitch: number; fov: number };
  readonly lamp: { x: number; y: number; z: number; strength: number; ambient: number; color: Color };
  /** The lamp is (almost) off: colours say little, depth still does. */
  readonly dim: boolean;
  /** No room: what walls and ceiling would be is sky. The classes of sky and ground, as indices. */
  readonly outdoors?: { readonly sky: Color; readonly skyClass: number; readonly groundClass: number };
}

const SIZES: Record<SceneClass, { width: [number, number]; depth: [number, number]; height: [number, number] }> = {
  office: { width: [3.8, 5.4], depth: [4.5, 6.5], height: [2.5, 2.9] },
  ward: { width: [4.6, 6.4], depth: [5, 7], height: [2.7, 3.1] },
  corridor: { width: [2, 2.7], depth: [8, 14], height: [2.4, 2.8] },
  lobby: { width: [5, 7.5], depth: [5.5, 8.5], height: [3, 4] },
};

/** What is left of lamp and ambient light where the lamp is not lit, and where no lamp is. */
const DIM = { lamp: 0.06, ambient: 0.1 } as const;
const NIGHT = { lamp: 0.0005, ambient: 0.0015 } as const;

/** @param night no lamp is lit; else one room in eight is dim */
export function planRoom(rng: Rng, style: SiteStyle, scene: SceneClass, night = false): RoomPlan {
  const between = ([low, high]: readonly [number, number]): number => low + (high - low) * rng.uniform();
  const size = SIZES[scene];
  const width = between(size.width);
  const depth = between(size.depth);
  const height = between(size.height);
  const dim = rng.uniform() < 0.12 || night;
  const left = night ? NIGHT : dim ? DIM : { lamp: 1, ambient: 1 };
  const wallHue = strayHue(rng, style.wallHue, style.hueSpread);
  const camera = {
    x: between([-0.2, 0.2]) * width,
    y: Math.min(style.camera.heightMeters + between([-0.15, 0.15]), height - 0.2),
    z: between([0.15, 0.5]),
    yaw: between([-0.22, 0.22]) * (scene === "corridor" ? 0.5 : 1),
    pitch: style.camera.pitch + between([-0.06, 0.06]),
    fov: style.camera.fov + between([-0.05, 0.05]),
  };
  return {
    scene,
    width,
    depth,
    height,
    wallColor: hsv(wallHue, between([0.02, 0.4]), between([0.55, 0.85])),
    floorColor: hsv(strayHue(rng, style.wallHue + 0.4, style.hueSpread), between([0.05, 0.45]), between([0.15, 0.55])),
    floorPattern: style.floor,
    patches: wallPatches(rng, scene, width, depth, height),
    things: furnish(rng, style, scene, width, depth, camera),
    camera,
    lamp: {
      x: between([-0.3, 0.3]) * width,
      y: height - 0.15,
      z: between([0.25, 0.75]) * depth,
      strength: style.light * between([0.8, 1.2]) * left.lamp,
      ambient: style.light * between([0.28, 0.42]) * left.ambient,
      color: style.lightColor,
    },
    dim,
  };
}

function wallPatches(rng: Rng, scene: SceneClass, width: number, depth: number, height: number): WallPatch[] {
  const patches: WallPatch[] = [];
  const doorColor: Color = hsv(0.08, 0.1 + 0.5 * rng.uniform(), 0.25 + 0.5 * rng.uniform());
  const door = (wall: WallPatch["wall"], from: number): void => {
    patches.push({ wall, from, to: from + 0.95, bottom: 0, top: 2.05, color: doorColor, glow: 0 });
  };
  const window = (wall: WallPatch["wall"], from: number, to: number): void => {
    const bottom = scene === "lobby" ? 0.3 : 0.95;
    patches.push({ wall, from, to, bottom, top: height - 0.35, color: [0.75, 0.87, 1], glow: 0.75 });
  };
  if (scene === "corridor") {
    for (let z = 1.5 + rng.uniform(); z + 1 < depth; z += 2.2 + rng.uniform()) {
      door("left", z);
      door("right", z + 0.6 * rng.uniform());
    }
    if (rng.below(2) === 0) window("back", -0.5, 0.5);
    else door("back", -0.5);
  } else {
    const wall = (["left", "right", "back"] as const)[rng.below(3)] as WallPatch["wall"];
    if (wall === "back") window("back", -width / 2 + 0.4, scene === "lobby" ? width / 2 - 0.4 : 0.2 * width);
    else window(wall, 0.35 * depth, 0.8 * depth);
    if (wall !== "back") door("back", (rng.uniform() - 0.5) * (width - 1.4) - 0.475);
  }
  return patches;
}

/** Tries places until one is free; a thing that finds none is left out. */
function furnish(
  rng: Rng,
  style: SiteStyle,
  scene: SceneClass,
  width: number,
  depth: number,
  camera: RoomPlan["camera"],
): Thing[] {
  const things: Thing[] = [];
  const taken: { x: number; z: number; radius: number }[] = [];
  const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
  const chance = (p: number): boolean => rng.uniform() < p;

  const put = (make: (place: Place) => Thing, where: "free" | "wall", gap = 0.85): Thing | null => {
    for (let attempt = 0; attempt < 24; attempt++) {
      const edge = where === "wall" ? 0.45 : 0.5;
      let z = between(1.7, depth - edge);
      const reach = Math.min(width / 2 - edge, 0.9 * z * Math.tan(camera.fov / 2));
      let x = Math.max(-width / 2 + edge, Math.min(width / 2 - edge, camera.x + between(-reach, reach)));
      let turn = between(-Math.PI, Math.PI);
      if (where === "wall") {
        const side = rng.below(3);
        turn = [0, Math.PI / 2, -Math.PI / 2][side] as number;
        if (side === 0) z = depth - edge;
        else x = (side === 1 ? 1 : -1) * (width / 2 - edge);
      }
      const made = make({ x, z, turn });
      const radius = boundsOf(made).radius * gap;
      const at = { x: made.x, z: made.z, radius };
      const inside = where === "wall" || (Math.abs(x) + 0.6 * radius < width / 2 && z + 0.6 * radius < depth);
      const clear = taken.every((other) => Math.hypot(other.x - at.x, other.z - at.z) > radius + other.radius);
      // Nothing right before the lens.
      if (!inside || !clear || Math.hypot(at.x - camera.x, at.z - camera.z) < radius + 0.9) continue;
      taken.push(at);
      things.push(made);
      return made;
    }
    return null;
  };
  const several = (low: number, high: number): number => low + rng.below(high - low + 1);
  const people = (mean: number): number => {
    const wanted = mean * style.people;
    return Math.floor(wanted) + (chance(wanted % 1) ? 1 : 0);
  };

  if (scene === "office") {
    for (let n = several(1, 2); n > 0; n--) {
      const desk = put((place) => table(rng, style, { ...place, turn: between(-0.5, 0.5) }), "free");
      if (desk !== null && chance(0.75))
        things.push(monitor(rng, { ...desk, turn: desk.turn + between(-0.4, 0.4) }, 0.75));
    }
    for (let n = several(1, 3); n > 0; n--) {
      const seat = put((place) => chair(rng, style, place), "free");
      if (seat !== null && chance(0.25 * style.people)) things.push(seatedPerson(rng, style, seat));
    }
    for (let n = several(0, 2); n > 0; n--) put((place) => cabinet(rng, style, place), "wall");
    if (chance(0.45)) put((place) => plant(rng, place), chance(0.5) ? "wall" : "free");
  } else if (scene === "ward") {
    for (let n = several(1, 3); n > 0; n--) {
      const made = put((place) => bed(rng, style, awayFromWall(place, width, depth)), "wall", 0.72);
      if (made === null) continue;
      if (chance(0.4 * style.people)) things.push(lyingPerson(rng, style, made));
    }
    for (let n = several(1, 2); n > 0; n--)
      put((place) => (chance(0.5) ? dripStand(rng, place) : cart(rng, { ...place, turn: between(-0.7, 0.7) })), "free");
    if (chance(0.5)) put((place) => chair(rng, style, place), "free");
    if (chance(0.4)) put((place) => cabinet(rng, style, place), "wall");
  } else if (scene === "corridor") {
    for (let n = several(0, 2); n > 0; n--) put((place) => chair(rng, style, place), "wall");
    if (chance(0.5)) put((place) => cart(rng, place), "wall");
    if (chance(0.5)) put((place) => plant(rng, place), "wall");
    if (chance(0.2)) put((place) => cabinet(rng, style, place), "wall");
  } else {
    for (let n = several(1, 3); n > 0; n--) {
      const seat = put((place) => sofa(rng, style, place), chance(0.5) ? "wall" : "free");
      if (seat !== null && chance(0.3 * style.people)) things.push(seatedPerson(rng, style, seat));
    }
    for (let n = several(1, 3); n > 0; n--) put((place) => plant(rng, place), chance(0.4) ? "wall" : "free");
    if (chance(0.6)) put((place) => table(rng, style, place), "free");
    if (chance(0.3)) put((place) => cart(rng, place), "free");
  }
  const mean = { office: 0.8, ward: 0.8, corridor: 1.6, lobby: 1.5 }[scene];
  for (let n = people(mean); n > 0; n--) put((place) => standingPerson(rng, style, place), "free");
  return things;
}

/** A bed stands with its head to the wall: its middle is a bed's half length off it. */
function awayFromWall(place: Place, width: number, depth: number): Place {
  if (place.turn === 0) return { ...place, z: depth - 1.1 };
  return { ...place, x: Math.sign(place.x) * (width / 2 - 1.1) };
}
