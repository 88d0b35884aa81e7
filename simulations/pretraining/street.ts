/** Draws one street: fronts, trees, cars and people along a road under the sky, for the renderer of rooms. */
import type { Rng } from "../../shared/rng/rng.ts";
import type { Color, Material, Pattern, Solid, Thing } from "../scenarios/geometry.ts";
import type { RoomPlan } from "../scenarios/room-plan.ts";
import { hsv, type SiteStyle } from "../scenarios/site-style.ts";
import { standingPerson } from "../scenarios/things.ts";
import { CLASSES, type ClassName, OBJECTS, type ObjectName } from "./labels.ts";

type V3 = readonly [number, number, number];
interface Place {
  readonly x: number;
  readonly z: number;
  readonly turn: number;
}

const solid = (shape: Solid["shape"], at: V3, half: V3, material: Material): Solid => ({ shape, at, half, material });
const paint = (color: Color, pattern: Pattern = "plain", glow = 0): Material => ({ color, pattern, glow });
const classOf = (name: ClassName): number => CLASSES.indexOf(name);

function thing(name: string, of: ClassName, box: ObjectName | null, place: Place, solids: readonly Solid[]): Thing {
  return { name, segmentation: classOf(of), detection: box === null ? null : OBJECTS.indexOf(box), ...place, solids };
}

/** A sun so far away that its light falls the same everywhere, by the lamp's law of distance. */
const SUN_METRES = 200;
const SUN = (1 + 0.28 * SUN_METRES ** 2) / 2.2;

export function planStreet(rng: Rng, style: SiteStyle): RoomPlan {
  const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
  const road = between(2.6, 6);
  const kerb = road + between(1.2, 4);
  const gray = between(0.08, 0.35);
  const cloudy = rng.below(2) === 0;
  const blue = between(0, 0.5);
  const bright = between(0.35, 0.9);
  const azimuth = between(-Math.PI, Math.PI);
  const high = between(0.5, 1.2);
  return {
    scene: "street",
    width: 300,
    depth: between(90, 160),
    height: 250,
    wallColor: [0.5, 0.5, 0.5],
    floorColor: [gray, gray, gray * between(0.9, 1.15)],
    floorPattern: "plain",
    patches: [],
    things: furnish(rng, style, road, kerb),
    camera: {
      x: between(-0.8, 0.8) * road,
      y: between(1.1, 2.4),
      z: 0.5,
      yaw: between(-0.3, 0.3),
      pitch: between(-0.16, 0.06),
      fov: between(0.75, 1.3),
    },
    lamp: {
      x: SUN_METRES * Math.cos(high) * Math.sin(azimuth),
      y: SUN_METRES * Math.sin(high),
      z: SUN_METRES * Math.cos(high) * Math.cos(azimuth),
      strength: SUN * style.light * (cloudy ? between(0, 0.3) : between(0.5, 1)),
      ambient: style.light * between(0.35, 0.7),
      color: style.lightColor,
    },
    dim: false,
    outdoors: {
      sky: [bright * (1 - blue), bright * (1 - 0.5 * blue), bright],
      skyClass: classOf("sky"),
      groundClass: classOf("road"),
    },
  };
}

function furnish(rng: Rng, style: SiteStyle, road: number, kerb: number): Thing[] {
  const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
  const chance = (p: number): boolean => rng.uniform() < p;
  const things: Thing[] = [];
  const stone = between(0.2, 0.6);
  const pavement = paint([stone, stone, stone * between(0.85, 1.1)], chance(0.5) ? "checker" : "plain");
  for (const side of [-1, 1]) {
    const wide = (kerb + 12 - road) / 2;
    const slab = solid("box", [0, 0.06, 0], [wide, 0.06, 80], pavement);
    things.push(thing("pavement", "pavement", null, { x: side * (road + wide), z: 79, turn: 0 }, [slab]));
    const parks = chance(0.25);
    for (let z = between(1, 8); z < 70;) {
      const long = between(3, 10);
      if (!parks && chance(0.85)) things.push(front(rng, { x: side * (kerb + 4), z: z + long, turn: 0 }, long));
      else if (chance(0.6)) things.push(fence(rng, { x: side * kerb, z: z + long, turn: 0 }, long));
      if (chance(parks ? 0.9 : 0.35)) things.push(tree(rng, { x: side * between(road + 0.6, kerb + 2), z, turn: 0 }));
      z += 2 * long + (chance(0.3) ? between(1, 6) : 0);
    }
    for (let z = between(4, 14); z < 55; z += between(6, 22)) {
      const place = { x: side * (road + 0.4), z, turn: 0 };
      things.push(chance(0.5) ? pole(rng, place) : sign(rng, place));
    }
    const parked = chance(0.5);
    for (let z = between(4, 14); z < 60; z += parked ? between(5, 9) : between(15, 40))
      things.push(car(rng, { x: side * (parked ? road - 1 : 0.5 * road), z, turn: between(-0.06, 0.06) }));
    for (let n = rng.below(4); n > 0; n--) {
      const place = { x: side * between(road * 0.7, kerb), z: between(3.5, 25), turn: between(-Math.PI, Math.PI) };
      const body = standingPerson(rng, style, place);
      things.push(chance(0.7) ? body : bicyclist(rng, body));
    }
  }
  return things;
}

function front(rng: Rng, place: Place, long: number): Thing {
  const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
  const hue = rng.below(2) === 0 ? between(0.02, 0.12) : rng.uniform();
  const wall = paint(hsv(hue, between(0, 0.55), between(0.15, 0.8)), rng.below(3) === 0 ? "stripes" : "plain");
  const glass = paint([between(0.02, 0.3), between(0.05, 0.35), between(0.1, 0.4)]);
  const high = between(2.5, 11);
  const side = -Math.sign(place.x);
  const solids = [solid("box", [0, high, 0], [4, high, long], wall)];
  for (let y = 1.6; y + 1 < 2 * high && solids.length < 14; y += 3)
    for (let z = -long + 1.2; z + 1 < long && solids.length < 14; z += between(2, 3.2))
      solids.push(solid("box", [side * 4, y, z], [0.03, between(0.5, 0.9), 0.55], glass));
  return thing("building", "building", null, place, solids);
}

function fence(rng: Rng, place: Place, long: number): Thing {
  const value = 0.1 + 0.6 * rng.uniform();
  const bar = paint([value, value * 0.9, value * 0.8], rng.below(2) === 0 ? "stripes" : "planks");
  const half = 0.4 + 0.5 * rng.uniform();
  return thing("fence", "fence", null, place, [solid("box", [0, half, 0], [0.05, half, long], bar)]);
}

function tree(rng: Rng, place: Place): Thing {
  const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
  const trunk = between(0.8, 2);
  const leaf = (): Material => paint(hsv(between(0.17, 0.38), between(0.3, 0.9), between(0.08, 0.4)), "leaves");
  const crowns = Array.from({ length: 4 }, () =>
    solid(
      "ellipsoid",
      [between(-1, 1), 2 * trunk + between(0.2, 2.4), between(-1, 1)],
      [between(0.8, 2), between(0.7, 1.8), between(0.8, 2)],
      leaf(),
    ),
  );
  const bark = paint([0.1, 0.07, 0.05]);
  return thing("tree", "tree", null, place, [
    solid("cylinder", [0, trunk, 0], [between(0.08, 0.25), trunk, 0.1], bark),
    ...crowns,
  ]);
}

function pole(rng: Rng, place: Place): Thing {
  const value = 0.05 + 0.5 * rng.uniform();
  const half = 1.4 + 2.2 * rng.uniform();
  const metal = paint([value, value, value]);
  return thing("pole", "pole", null, place, [
    solid("cylinder", [0, half, 0], [0.06 + 0.06 * rng.uniform(), half, 0.1], metal),
    solid("box", [0, 2 * half, 0], [0.5, 0.06, 0.1], metal),
  ]);
}

function sign(rng: Rng, place: Place): Thing {
  const face = paint(hsv([0, 0.6, 0.14, 0.33][rng.below(4)] as number, 0.8, 0.4 + 0.5 * rng.uniform()), "screen");
  const half = 1 + 0.4 * rng.uniform();
  return thing("sign", "sign", "sign", place, [
    solid("box", [0, 2 * half, 0], [0.3 + 0.3 * rng.uniform(), 0.35 + 0.2 * rng.uniform(), 0.03], face),
    solid("cylinder", [0, half, 0.05], [0.04, half, 0.04], paint([0.3, 0.3, 0.3])),
  ]);
}

function car(rng: Rng, place: Place): Thing {
  const body = paint(hsv(rng.uniform(), rng.below(2) === 0 ? 0.05 : 0.7, 0.05 + 0.8 * rng.uniform()));
  const glass = paint([0.05, 0.07, 0.09]);
  const tyre = paint([0.02, 0.02, 0.02]);
  const lamp = paint([0.8, 0.1, 0.05], "plain", 0.3);
  const high = 0.12 + 0.5 * rng.uniform() ** 2;
  const wheels = [-0.75, 0.75].flatMap((x) =>
    [-1.3, 1.3].map((z) => solid("ellipsoid", [x, 0.32, z], [0.12, 0.32, 0.32], tyre)),
  );
  return thing("car", "car", "car", place, [
    ...wheels,
    solid("box", [0, 0.65, 0], [0.85, 0.35, 2.1], body),
    solid("box", [0, 1.12 + high / 2, 0.1], [0.72, 0.14 + high / 2, 1.25], glass),
    solid("box", [0, 1.3 + high, 0.1], [0.74, 0.05, 1.15], body),
    solid("box", [-0.65, 0.8, -2.1], [0.14, 0.08, 0.02], lamp),
    solid("box", [0.65, 0.8, -2.1], [0.14, 0.08, 0.02], lamp),
  ]);
}

function bicyclist(rng: Rng, body: Thing): Thing {
  const frame = paint(hsv(rng.uniform(), 0.6, 0.4));
  const tyre = paint([0.03, 0.03, 0.03]);
  const lifted = body.solids.map((part) => ({ ...part, at: [part.at[0], part.at[1] + 0.25, part.at[2]] as V3 }));
  return thing("bicyclist", "bicyclist", "bicyclist", { x: body.x, z: body.z, turn: body.turn }, [
    ...lifted,
    solid("ellipsoid", [0, 0.34, -0.55], [0.03, 0.34, 0.34], tyre),
    solid("ellipsoid", [0, 0.34, 0.55], [0.03, 0.34, 0.34], tyre),
    solid("box", [0, 0.62, 0], [0.03, 0.05, 0.5], frame),
  ]);
}
