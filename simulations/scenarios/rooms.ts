/**
 * Generated RGB-D rooms with text: for the demo, simulations and tests. Every sample is a function of the seed, the
 * site's name and its number; nothing is kept, `load` renders anew.
 */
import { subset } from "../../client/data/subset.ts";
import type { Box, Dataset, DepthMap, Sample } from "../../models/preprocess/sample.ts";
import { CodedError } from "../../shared/errors.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { captionsFor } from "./captions.ts";
import { SCENES, type SceneClass } from "./labels.ts";
import { renderRoom } from "./render.ts";
import type { Render } from "./shade.ts";
import { planRoom, type RoomPlan } from "./room-plan.ts";
import { MISSING, type Scenario } from "./scenario.ts";
import { METERS_PER_UNIT, toDepth, toRgb } from "./sensor.ts";
import { type SiteStyle, siteStyle } from "./site-style.ts";

export interface RoomsOptions {
  readonly sites: number;
  readonly perSite: number;
  /** Height and width in pixels, as `input.size` in federation.yaml. */
  readonly size: readonly [number, number];
  readonly seed: number;
  /** How unlike the sites are: 0 (iid) to 1 (default). */
  readonly skew?: number;
  /** What decides; default `rooms`. */
  readonly scenario?: Scenario;
  /** Shares of samples without depth and without captions; default that of the scenario. */
  readonly missing?: { readonly depth: number; readonly captions: number };
}

export interface Rooms {
  /** All samples, site by site; `entries` carry the sites `site-1`, `site-2`, …. */
  readonly all: Dataset;
  /** One view per site. */
  readonly sites: readonly Dataset[];
}

/** One room before it is taken for a sample: the exact render and what the sensors made of it. */
export interface RoomPicture {
  readonly plan: RoomPlan;
  readonly render: Render;
  readonly rgb: Uint8Array;
  /** Millimetres, 0 = no reading. */
  readonly rawDepth: Uint16Array;
  readonly boxes: readonly Box[];
  readonly captions: readonly string[];
}

/** Pixels a thing must show to be boxed and spoken of, as a share of the picture. */
const VISIBLE_SHARE = 0.0008;

/** Errors: USAGE naming the option that is out of range. */
export function generateRooms(options: RoomsOptions): Rooms {
  const { sites, perSite, size, seed, skew = 1, scenario = "rooms", missing = MISSING[scenario] } = options;
  whole("sites", sites, 1, 10_000);
  whole("perSite", perSite, 1, 1_000_000);
  whole("size[0]", size[0], 16, 4096);
  whole("size[1]", size[1], 16, 4096);
  const styles = Array.from({ length: sites }, (_, i) => {
    const name = `site-${i + 1}`;
    return siteStyle(Rng.of(seed, "rooms", "style", name), name, skew);
  });
  const known = styles.flatMap((style) =>
    Array.from({ length: perSite }, (_, number) => {
      const rng = Rng.of(seed, "rooms", "scene", style.name, number);
      const scene = pick(rng, style.sceneShares);
      return { style, number, scene, depth: rng.uniform() >= missing.depth, text: rng.uniform() >= missing.captions };
    }),
  );
  const entries = known.map(({ style, number, scene }) => ({
    id: `${style.name}/${String(number).padStart(6, "0")}.png`,
    site: style.name,
    scene,
  }));
  const all: Dataset = {
    size: known.length,
    entries,
    async load(index) {
      const wanted = known[index];
      const entry = entries[index];
      if (wanted === undefined || entry === undefined)
        throw new RangeError(`sample ${index} of a dataset of ${known.length}`);
      const picture = takePicture(
        Rng.of(seed, "rooms", "picture", wanted.style.name, wanted.number),
        wanted.style,
        SCENES[wanted.scene] as SceneClass,
        size,
        scenario,
      );
      return {
        ...entry,
        ...sampleOf(picture),
        depth: wanted.depth ? toMeters(picture.rawDepth) : null,
        captions: wanted.text ? picture.captions : null,
      };
    },
  };
  const indices = entries.map((_, index) => index);
  return {
    all,
    sites: styles.map((_, i) => subset(all, indices.slice(i * perSite, (i + 1) * perSite))),
  };
}

/** Plans, renders and photographs one room. `size` is height and width. */
export function takePicture(
  rng: Rng,
  style: SiteStyle,
  scene: SceneClass,
  size: readonly [number, number],
  scenario: Scenario = "rooms",
): RoomPicture {
  const looks = scenario === "makeshift" ? (SCENES[rng.below(SCENES.length)] as SceneClass) : scene;
  const plan = { ...planRoom(rng, style, looks, scenario === "night"), scene };
  const render = renderRoom(plan, size[1], size[0]);
  const visible = visibleThings(plan, render);
  return {
    plan,
    render,
    rgb: toRgb(render, rng, plan.dim ? 4 : 2.5),
    rawDepth: toDepth(render, rng, style.depthNoise, style.depthHoles),
    boxes: visible.flatMap(({ box }) => (box === null ? [] : [box])),
    captions: captionsFor(
      rng,
      plan,
      visible.map(({ name }) => name),
      scenario === "makeshift",
    ),
  };
}

function sampleOf(picture: RoomPicture): Pick<Sample, "width" | "height" | "rgb" | "boxes" | "segmentation"> {
  const { render } = picture;
  return {
    width: render.width,
    height: render.height,
    rgb: picture.rgb,
    boxes: picture.boxes,
    segmentation: render.segmentation,
  };
}

/** Exactly what the reader makes of the same readings in a PNG. */
function toMeters(raw: Uint16Array): DepthMap {
  const values = new Float32Array(raw.length);
  const valid = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) {
    const reading = raw[i] as number;
    values[i] = reading * METERS_PER_UNIT;
    valid[i] = reading === 0 ? 0 : 1;
  }
  return { values, valid };
}

/** Things that show enough of themselves, with the box around what is seen. */
export function visibleThings(plan: RoomPlan, render: Render): { name: string; box: Box | null }[] {
  const { width, height } = render;
  const found = plan.things.map(() => ({ pixels: 0, x0: width, y0: height, x1: 0, y1: 0 }));
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      const seen = found[render.thing[p] as number];
      if (seen === undefined) continue;
      seen.pixels++;
      if (x < seen.x0) seen.x0 = x;
      if (x >= seen.x1) seen.x1 = x + 1;
      if (y < seen.y0) seen.y0 = y;
      if (y >= seen.y1) seen.y1 = y + 1;
    }
  }
  const enough = Math.max(6, VISIBLE_SHARE * width * height);
  return plan.things.flatMap(({ name, detection }, i) => {
    const seen = found[i];
    if (seen === undefined || seen.pixels < enough) return [];
    const { x0, y0, x1, y1 } = seen;
    const box = { classIndex: detection ?? 0, x: x0, y: y0, width: x1 - x0, height: y1 - y0, crowd: false };
    return [{ name, box: detection === null ? null : box }];
  });
}

function pick(rng: Rng, shares: readonly number[]): number {
  let left = rng.uniform();
  for (const [index, share] of shares.entries()) {
    left -= share;
    if (left < 0) return index;
  }
  return shares.length - 1;
}

function whole(field: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new CodedError("USAGE", `${field}: expected a whole number from ${low} to ${high}, got ${value}`, {
    field,
    expected: `${low} to ${high}`,
    got: value,
  });
}
