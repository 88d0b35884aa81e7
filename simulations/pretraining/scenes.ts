/**
 * What pre-training sees: rooms, streets and surfaces, no two alike. Every picture is a site of its own (light, camera,
 * colours, sensor), gets textures and colours at random (domain randomisation, Tobin et al. 2017) and is taken with any
 * exposure, cast, saturation and sharpness; half are mirrored. A sample is a function of the seed and its number.
 */
import type { Box, Dataset, DepthMap, Sample } from "../../models/preprocess/sample.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { captionsFor } from "../scenarios/captions.ts";
import { SCENES } from "../scenarios/labels.ts";
import { renderRoom } from "../scenarios/render.ts";
import { planRoom, type RoomPlan } from "../scenarios/room-plan.ts";
import { visibleThings } from "../scenarios/rooms.ts";
import { METERS_PER_UNIT, toDepth } from "../scenarios/sensor.ts";
import type { Render } from "../scenarios/shade.ts";
import { siteStyle } from "../scenarios/site-style.ts";
import { PLACES, type PlaceName } from "./labels.ts";
import { planStreet } from "./street.ts";
import { drawSurface } from "./surface.ts";
import { photograph, retexture } from "./texture.ts";

export interface ScenesOptions {
  readonly pictures: number;
  /** Height and width in pixels. */
  readonly size: readonly [number, number];
  readonly seed: number;
}

const KINDS = ["room", "street", "surface"] as const;
type Kind = (typeof KINDS)[number];
/** Of ten pictures. */
const SHARES: readonly Kind[] = [
  "room",
  "room",
  "room",
  "street",
  "street",
  "street",
  "street",
  "street",
  "surface",
  "surface",
];

/** The laser that measures streets sees this far. */
const STREET_RANGE_METRES = 80;
const WITHOUT_TEXT = 0.2;

export function pretrainingScenes({ pictures, size, seed }: ScenesOptions): Dataset {
  const planned = Array.from({ length: pictures }, (_, number) => {
    const rng = Rng.of(seed, "pretraining", "kind", number);
    const kind = SHARES[rng.below(SHARES.length)] as Kind;
    const room = SCENES[rng.below(SCENES.length)] as (typeof SCENES)[number];
    return { kind, room, entry: { id: `${String(number).padStart(6, "0")}.png`, site: kind, scene: null } };
  });
  return {
    size: pictures,
    entries: planned.map(({ entry }) => entry),
    load(index) {
      const wanted = planned[index];
      if (wanted === undefined) throw new RangeError(`sample ${index} of a dataset of ${pictures}`);
      const rng = Rng.of(seed, "pretraining", "picture", index);
      const seen = wanted.kind === "surface" ? surface(rng, size) : place(rng, wanted, size);
      const captions = rng.uniform() < WITHOUT_TEXT ? null : seen.captions;
      const whole = { ...wanted.entry, ...seen, captions, width: size[1], height: size[0] };
      return Promise.resolve(rng.below(2) === 0 ? whole : mirrored(whole));
    },
  };
}

type Seen = Pick<Sample, "rgb" | "depth" | "boxes" | "segmentation" | "scene"> & { captions: readonly string[] };

function place(
  rng: Rng,
  { kind, room }: { kind: Kind; room: RoomPlan["scene"] },
  [height, width]: readonly [number, number],
): Seen {
  const style = siteStyle(rng, "pretraining", 1);
  const outside = kind === "street" || room === "street";
  const plan = outside ? planStreet(rng, style) : planRoom(rng, style, room);
  const render = renderRoom(plan, width, height);
  const visible = visibleThings(plan, render);
  const captions = captionsFor(
    rng,
    plan,
    visible.map(({ name }) => name),
  );
  const depth = outside
    ? streetDepth(rng, render)
    : fromMillimetres(toDepth(render, rng, style.depthNoise, style.depthHoles));
  retexture(rng, render);
  return {
    rgb: photograph(rng, render.light, width, height),
    depth,
    boxes: visible.flatMap(({ box }) => (box === null ? [] : [box])),
    segmentation: render.segmentation,
    scene: PLACES.indexOf(plan.scene as PlaceName),
    captions,
  };
}

function surface(rng: Rng, [height, width]: readonly [number, number]): Seen {
  const drawn = drawSurface(rng, width, height);
  const { boxes, segmentation, captions } = drawn;
  return {
    rgb: photograph(rng, drawn.light, width, height),
    depth: { values: drawn.depthMeters, valid: new Uint8Array(width * height).fill(1) },
    boxes,
    segmentation,
    scene: PLACES.indexOf(drawn.place),
    captions,
  };
}

/** Up to two in a hundred off, some readings lost; the sky is out of range. */
function streetDepth(rng: Rng, { depthMeters }: Render): DepthMap {
  const values = depthMeters.map((metres) => metres * (1 + 0.035 * (rng.uniform() - 0.5)));
  const lost = 0.3 * rng.uniform() ** 2;
  const valid = new Uint8Array(
    depthMeters.map((metres) => (metres > STREET_RANGE_METRES || rng.uniform() < lost ? 0 : 1)),
  );
  return { values, valid };
}

function fromMillimetres(raw: Uint16Array): DepthMap {
  const values = new Float32Array(raw).map((reading) => reading * METERS_PER_UNIT);
  return { values, valid: new Uint8Array(raw.map((reading) => Math.min(1, reading))) };
}

/** Left for right; captions of generated scenes say neither. */
function mirrored(sample: Sample): Sample {
  const { width, height, depth } = sample;
  const flip = <T extends Uint8Array | Float32Array>(from: T, channels: number): T => {
    const to = from.slice() as T;
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < channels; c++)
          to[(y * width + x) * channels + c] = from[(y * width + width - 1 - x) * channels + c] as number;
    return to;
  };
  const boxes = sample.boxes?.map((box): Box => ({ ...box, x: width - box.x - box.width })) ?? null;
  return {
    ...sample,
    rgb: sample.rgb === null ? null : flip(sample.rgb, 3),
    depth: depth === null ? null : { values: flip(depth.values, 1), valid: flip(depth.valid, 1) },
    segmentation: sample.segmentation === null ? null : flip(sample.segmentation, 1),
    boxes,
  };
}
