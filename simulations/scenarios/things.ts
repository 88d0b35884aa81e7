/** What stands in the rooms: people-like shapes, furniture, devices and plants, each built of a few solids. */
import type { Rng } from "../../shared/rng/rng.ts";
import type { Color, Material, Pattern, Solid, Thing } from "./geometry.ts";
import { DETECTION, type DetectionClass, SEGMENTATION, type SegmentationClass } from "./labels.ts";
import { hsv, type SiteStyle } from "./site-style.ts";

export interface Place {
  readonly x: number;
  readonly z: number;
  readonly turn: number;
}

type V3 = readonly [number, number, number];

const box = (at: V3, half: V3, material: Material): Solid => ({ shape: "box", at, half, material });
const ball = (at: V3, half: V3, material: Material): Solid => ({ shape: "ellipsoid", at, half, material });
const tube = (at: V3, radius: number, halfHeight: number, material: Material): Solid => ({
  shape: "cylinder",
  at,
  half: [radius, halfHeight, radius],
  material,
});
const paint = (color: Color, pattern: Pattern = "plain", glow = 0): Material => ({ color, pattern, glow });

function thing(
  name: string,
  segmentation: SegmentationClass,
  detection: DetectionClass | null,
  place: Place,
  solids: readonly Solid[],
): Thing {
  return {
    name,
    segmentation: SEGMENTATION.indexOf(segmentation),
    detection: detection === null ? null : DETECTION.indexOf(detection),
    x: place.x,
    z: place.z,
    turn: place.turn,
    solids,
  };
}

const between = (rng: Rng, low: number, high: number): number => low + (high - low) * rng.uniform();

/** A hue near the site's own one. */
export function strayHue(rng: Rng, hue: number, spread: number): number {
  return (((hue + spread * (rng.uniform() - 0.5)) % 1) + 1) % 1;
}

function wood(rng: Rng): Material {
  return paint(hsv(between(rng, 0.05, 0.11), between(rng, 0.25, 0.65), between(rng, 0.25, 0.7)), "planks");
}

function metal(rng: Rng): Material {
  const value = between(rng, 0.3, 0.75);
  return paint([value, value, value * 1.04]);
}

function fabric(rng: Rng, style: SiteStyle): Material {
  const hue = strayHue(rng, style.fabricHue, style.hueSpread);
  return paint(hsv(hue, between(rng, 0.25, 0.8), between(rng, 0.2, 0.7)), rng.below(3) === 0 ? "stripes" : "plain");
}

const SKIN: readonly Color[] = [
  [0.75, 0.5, 0.38],
  [0.6, 0.36, 0.25],
  [0.36, 0.2, 0.12],
  [0.16, 0.08, 0.05],
];

interface Looks {
  readonly skin: Material;
  readonly top: Material;
  readonly legs: Material;
  readonly hair: Material;
}

function looks(rng: Rng, style: SiteStyle): Looks {
  const hue = strayHue(rng, style.clothesHue, style.hueSpread);
  return {
    skin: paint(SKIN[rng.below(SKIN.length)] as Color),
    top: paint(hsv(hue, between(rng, 0.3, 0.9), between(rng, 0.25, 0.85)), rng.below(4) === 0 ? "stripes" : "plain"),
    legs: paint(hsv(rng.uniform(), between(rng, 0.05, 0.4), between(rng, 0.05, 0.35))),
    hair: paint(hsv(between(rng, 0.03, 0.1), between(rng, 0.2, 0.7), between(rng, 0.03, 0.4))),
  };
}

export function standingPerson(rng: Rng, style: SiteStyle, place: Place): Thing {
  const { skin, top, legs, hair } = looks(rng, style);
  const h = between(rng, 1.5, 1.9);
  const step = between(rng, 0, 0.16);
  const swing = between(rng, -0.06, 0.14);
  return thing("person", "person", "person", place, [
    tube([-0.1, 0.235 * h, step], 0.075, 0.235 * h, legs),
    tube([0.1, 0.235 * h, -step], 0.075, 0.235 * h, legs),
    ball([0, 0.64 * h, 0], [0.22, 0.21 * h, 0.14], top),
    ball([-0.25, 0.62 * h, swing], [0.06, 0.18 * h, 0.07], top),
    ball([0.25, 0.62 * h, -swing], [0.06, 0.18 * h, 0.07], top),
    ball([-0.26, 0.44 * h, swing], [0.045, 0.05, 0.05], skin),
    ball([0.26, 0.44 * h, -swing], [0.045, 0.05, 0.05], skin),
    tube([0, 0.85 * h, 0], 0.05, 0.04 * h, skin),
    ball([0, 0.925 * h, 0], [0.09, 0.075 * h, 0.1], skin),
    ball([0, 0.95 * h, 0.02], [0.095, 0.06 * h, 0.1], hair),
  ]);
}

export function seatedPerson(rng: Rng, style: SiteStyle, place: Place): Thing {
  const { skin, top, legs, hair } = looks(rng, style);
  return thing("person", "person", "person", place, [
    tube([-0.11, 0.24, -0.38], 0.07, 0.24, legs),
    tube([0.11, 0.24, -0.38], 0.07, 0.24, legs),
    ball([-0.11, 0.54, -0.18], [0.09, 0.09, 0.28], legs),
    ball([0.11, 0.54, -0.18], [0.09, 0.09, 0.28], legs),
    ball([0, 0.82, 0.04], [0.21, 0.34, 0.15], top),
    ball([-0.25, 0.8, -0.06], [0.06, 0.25, 0.1], top),
    ball([0.25, 0.8, -0.06], [0.06, 0.25, 0.1], top),
    ball([0, 1.27, 0.02], [0.09, 0.13, 0.1], skin),
    ball([0, 1.31, 0.05], [0.095, 0.1, 0.1], hair),
  ]);
}

/** In a bed: head at the head end (+z of its frame), under a blanket. */
export function lyingPerson(rng: Rng, style: SiteStyle, place: Place): Thing {
  const { skin, hair } = looks(rng, style);
  const blanket = paint(hsv(strayHue(rng, style.fabricHue, style.hueSpread), between(rng, 0.1, 0.6), 0.7));
  return thing("person", "person", "person", place, [
    ball([0, 0.66, -0.35], [0.24, 0.14, 0.62], blanket),
    ball([0, 0.68, 0.2], [0.28, 0.15, 0.4], blanket),
    ball([0, 0.74, 0.68], [0.1, 0.11, 0.13], skin),
    ball([0, 0.74, 0.74], [0.105, 0.1, 0.11], hair),
  ]);
}

export function chair(rng: Rng, style: SiteStyle, place: Place): Thing {
  const seat = rng.below(2) === 0 ? fabric(rng, style) : wood(rng);
  const leg = metal(rng);
  const legs = [-0.19, 0.19].flatMap((x) => [-0.19, 0.19].map((z) => box([x, 0.215, z], [0.022, 0.215, 0.022], leg)));
  return thing("chair", "furniture", "seat", place, [
    ...legs,
    box([0, 0.455, 0], [0.23, 0.03, 0.23], seat),
    box([0, 0.72, 0.22], [0.22, 0.24, 0.025], seat),
  ]);
}

export function sofa(rng: Rng, style: SiteStyle, place: Place): Thing {
  const cover = fabric(rng, style);
  const w = between(rng, 0.6, 0.95);
  return thing("sofa", "furniture", "seat", place, [
    box([0, 0.22, 0], [w, 0.2, 0.4], cover),
    box([0, 0.52, 0.33], [w, 0.34, 0.1], cover),
    box([-w, 0.34, 0], [0.09, 0.3, 0.42], cover),
    box([w, 0.34, 0], [0.09, 0.3, 0.42], cover),
  ]);
}

/** Half width and depth of the top come back through the solids; monitors stand on it. */
export function table(rng: Rng, _style: SiteStyle, place: Place): Thing {
  const top = rng.below(3) === 0 ? paint([0.8, 0.8, 0.78]) : wood(rng);
  const leg = rng.below(2) === 0 ? metal(rng) : top;
  const w = between(rng, 0.45, 0.85);
  const d = between(rng, 0.32, 0.45);
  const legs = [-w + 0.06, w - 0.06].flatMap((x) =>
    [-d + 0.06, d - 0.06].map((z) => box([x, 0.35, z], [0.03, 0.35, 0.03], leg)),
  );
  return thing("table", "furniture", "table", place, [...legs, box([0, 0.725, 0], [w, 0.025, d], top)]);
}

export function bed(rng: Rng, style: SiteStyle, place: Place): Thing {
  const frame = metal(rng);
  const sheet = paint(hsv(strayHue(rng, style.fabricHue, style.hueSpread), between(rng, 0, 0.35), 0.82));
  const posts = [-0.4, 0.4].flatMap((x) => [-0.9, 0.9].map((z) => tube([x, 0.2, z], 0.03, 0.2, frame)));
  return thing("bed", "furniture", "bed", place, [
    ...posts,
    box([0, 0.36, 0], [0.45, 0.05, 1], frame),
    box([0, 0.49, 0], [0.43, 0.09, 0.97], sheet),
    box([0, 0.62, 0.72], [0.28, 0.06, 0.18], paint([0.88, 0.88, 0.88])),
    box([0, 0.62, 1.01], [0.45, 0.32, 0.025], frame),
    box([0, 0.5, -1.01], [0.45, 0.2, 0.025], frame),
  ]);
}

export function cabinet(rng: Rng, _style: SiteStyle, place: Place): Thing {
  const body = rng.below(2) === 0 ? wood(rng) : metal(rng);
  const h = between(rng, 0.45, 1);
  const w = between(rng, 0.3, 0.6);
  const shelf: Material = paint([body.color[0] * 0.6, body.color[1] * 0.6, body.color[2] * 0.6]);
  const lines = [0.33, 0.66].map((f) => box([0, 2 * h * f, -0.25], [w * 0.97, 0.012, 0.012], shelf));
  return thing("cabinet", "furniture", null, place, [box([0, h, 0], [w, h, 0.25], body), ...lines]);
}

export function monitor(rng: Rng, place: Place, tableTopMeters: number): Thing {
  const frame = paint([0.05, 0.05, 0.06]);
  const shine = paint(hsv(between(rng, 0.45, 0.65), between(rng, 0.1, 0.6), between(rng, 0.5, 1)), "screen", 0.8);
  const y = tableTopMeters;
  return thing("monitor", "device", "device", place, [
    box([0, y + 0.012, 0], [0.12, 0.012, 0.08], frame),
    box([0, y + 0.09, 0.02], [0.025, 0.09, 0.015], frame),
    box([0, y + 0.32, 0], [0.29, 0.18, 0.02], frame),
    box([0, y + 0.32, -0.021], [0.265, 0.155, 0.004], shine),
  ]);
}

/** A trolley with a screen, as stands beside beds and in corridors. */
export function cart(rng: Rng, place: Place): Thing {
  const body = paint([0.75, 0.77, 0.8]);
  const dark = paint([0.12, 0.12, 0.14]);
  const shine = paint(hsv(between(rng, 0.3, 0.6), 0.7, 0.9), "screen", 0.9);
  const wheels = [-0.18, 0.18].flatMap((x) => [-0.16, 0.16].map((z) => ball([x, 0.05, z], [0.05, 0.05, 0.05], dark)));
  return thing("trolley", "device", "device", place, [
    ...wheels,
    box([0, 0.45, 0], [0.22, 0.35, 0.2], body),
    box([0, 0.45, -0.2], [0.18, 0.015, 0.012], dark),
    tube([0, 0.95, 0.05], 0.025, 0.2, dark),
    box([0, 1.22, 0], [0.2, 0.14, 0.03], dark),
    box([0, 1.22, -0.031], [0.175, 0.115, 0.004], shine),
  ]);
}

export function dripStand(_rng: Rng, place: Place): Thing {
  const pole = paint([0.7, 0.72, 0.75]);
  return thing("drip stand", "device", "device", place, [
    box([0, 0.05, 0], [0.22, 0.025, 0.035], pole),
    box([0, 0.05, 0], [0.035, 0.025, 0.22], pole),
    tube([0, 0.95, 0], 0.025, 0.9, pole),
    box([0, 1.8, 0], [0.16, 0.015, 0.015], pole),
    box([0.13, 1.63, 0], [0.07, 0.13, 0.03], paint([0.75, 0.85, 0.95], "plain", 0.15)),
    box([0, 1.15, -0.03], [0.08, 0.1, 0.06], paint([0.25, 0.45, 0.7], "screen", 0.3)),
  ]);
}

export function plant(rng: Rng, place: Place): Thing {
  const pot = paint(hsv(between(rng, 0.02, 0.08), between(rng, 0.3, 0.8), between(rng, 0.3, 0.6)));
  const green = (): Material =>
    paint(hsv(between(rng, 0.25, 0.36), between(rng, 0.5, 0.9), between(rng, 0.15, 0.45)), "leaves");
  const h = between(rng, 0.5, 1);
  const crowns = Array.from({ length: 5 }, () =>
    ball(
      [between(rng, -0.22, 0.22), 0.35 + h * between(rng, 0.5, 1.15), between(rng, -0.22, 0.22)],
      [between(rng, 0.18, 0.3), between(rng, 0.18, 0.36), between(rng, 0.18, 0.3)],
      green(),
    ),
  );
  return thing("plant", "plant", null, place, [
    tube([0, 0.18, 0], 0.2, 0.18, pot),
    tube([0, 0.35 + h / 3, 0], 0.03, h / 3, paint([0.18, 0.11, 0.05])),
    ...crowns,
  ]);
}
