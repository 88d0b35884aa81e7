/**
 * Augmentation and modality dropout: what is drawn for one sample before it enters a batch. Geometry is separable
 * (zoom, shift, mirror), so that picture, depth, masks and boxes follow through the same two index tables. Nothing is
 * mirrored unless asked for: captions say "left" and "right", and a fixed camera's scenes have a layout that is worth
 * learning.
 */
import type { Augmentation } from "../../shared/config/augmentation.ts";
import type { ModalityDropout } from "../../shared/config/robustness.ts";
import type { Rng } from "../../shared/rng/rng.ts";
import type { Geometry, PreparedSample } from "./prepare.ts";

/** A part of the map, as fractions of the sides. */
export interface Rectangle {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** How one sample is rendered into a batch. */
export interface View {
  /** Source column of every column, source row of every row; -1: outside. */
  readonly columns: Int32Array;
  readonly rows: Int32Array;
  /** x' = x * scale + shift, in model pixels, for boxes; a negative scale mirrors. */
  readonly x: { readonly scale: number; readonly shift: number };
  readonly y: { readonly scale: number; readonly shift: number };
  /** Normalised pixel value = (byte / 255 - mean) / deviation, times contrast, plus brightness. */
  readonly contrast: number;
  readonly brightness: number;
  /** What of each pixel's difference from its own grey stays; then what is added to red, green and blue. */
  readonly saturation: number;
  readonly tint: readonly [number, number, number];
  readonly present: { readonly rgb: boolean; readonly text: boolean; readonly depth: boolean };
  /** Where depth is withheld though depth is present. */
  readonly holes: readonly Rectangle[];
  /** Where the picture is blank. */
  readonly cuts: readonly Rectangle[];
}

/** `auto`: depth from the picture is learned where depth is withheld. */
const DEPTH_WITHHELD = { asTarget: 0.6, otherwise: 0.25 } as const;

const IDENTITY = { scale: 1, shift: 0 } as const;
const NO_TINT = [0, 0, 0] as const;

/** The sample as it is, with the given modalities. */
export function plainView(
  sample: PreparedSample,
  withheld: { readonly depth?: boolean; readonly text?: boolean } = {},
  holes: View["holes"] = [],
): View {
  const { height, width } = sample.geometry;
  return {
    columns: Int32Array.from({ length: width }, (_, i) => i),
    rows: Int32Array.from({ length: height }, (_, i) => i),
    x: IDENTITY,
    y: IDENTITY,
    contrast: 1,
    brightness: 0,
    saturation: 1,
    tint: NO_TINT,
    present: {
      rgb: sample.rgb !== null,
      depth: sample.depth !== null && withheld.depth !== true,
      text: sample.text !== null && withheld.text !== true,
    },
    holes,
    cuts: [],
  };
}

/**
 * A random view for training. Draws the same number of values whatever the sample holds, so streams stay aligned; what
 * is turned off draws nothing.
 */
export function randomView(
  sample: PreparedSample,
  rng: Rng,
  depthUse: { readonly input: boolean; readonly target: boolean },
  { augmentation, modalityDropout }: { readonly augmentation: Augmentation; readonly modalityDropout: ModalityDropout },
): View {
  const { geometry } = sample;
  const zoom = Math.exp(between(rng, Math.log(augmentation.zoom[0]), Math.log(augmentation.zoom[1])));
  const stretch = augmentation.aspect > 1 ? Math.exp(either(rng, Math.log(augmentation.aspect)) / 2) : 1;
  const unmirrored = axis(rng, geometry.contentWidth, zoom * stretch);
  const y = axis(rng, geometry.contentHeight, zoom / stretch);
  const mirrored = chance(rng, augmentation.flip.probability);
  const x = mirrored ? { scale: -unmirrored.scale, shift: geometry.contentWidth - unmirrored.shift } : unmirrored;
  const light = randomLight(rng, augmentation);
  const depthShare =
    modalityDropout.depth === "auto"
      ? DEPTH_WITHHELD[depthUse.target ? "asTarget" : "otherwise"]
      : modalityDropout.depth;
  const withholdDepth = rng.uniform() < depthShare;
  const withholdText = rng.uniform() < modalityDropout.text;
  const withholdRgb = rng.uniform() < modalityDropout.rgb;
  const holes = randomHoles(rng);
  const cuts = randomCuts(rng, augmentation.cutout);
  const text = mirrored ? sample.mirroredText : sample.text;
  const depth = depthUse.input && sample.depth !== null && (!withholdDepth || sample.rgb === null);
  return {
    columns: indices(geometry.width, geometry.contentWidth, x),
    rows: indices(geometry.height, geometry.contentHeight, y),
    x,
    y,
    ...light,
    present: {
      rgb: sample.rgb !== null && !(withholdRgb && depth),
      depth,
      text: text !== null && !withholdText,
    },
    holes: depth && depthUse.target ? holes : [],
    cuts,
  };
}

/** The same part of the picture, with everything there is to see in it and no change of colours. */
export function clearView({ x, y, columns, rows }: View, sample: PreparedSample, depthIsInput: boolean): View {
  const plain = plainView(sample, { depth: !depthIsInput });
  const text = x.scale < 0 ? sample.mirroredText : sample.text;
  return { ...plain, x, y, columns, rows, present: { ...plain.present, text: text !== null } };
}

/** How the picture's colours change. */
export function randomLight(
  rng: Rng,
  { contrast, brightness, saturation, tint }: Pick<Augmentation, "contrast" | "brightness" | "saturation" | "tint">,
): Pick<View, "contrast" | "brightness" | "saturation" | "tint"> {
  return {
    contrast: Math.exp(either(rng, contrast)),
    brightness: either(rng, brightness),
    saturation: saturation > 0 ? 1 + either(rng, saturation) : 1,
    tint: tint > 0 ? [either(rng, tint), either(rng, tint), either(rng, tint)] : NO_TINT,
  };
}

/** Rectangles to blank, each side a quarter of the longest to the longest; none in most pictures where it is rare. */
export function randomCuts(rng: Rng, { probability, count, side }: Augmentation["cutout"]): Rectangle[] {
  if (probability === 0) return [];
  const cut = chance(rng, probability);
  const cuts = Array.from({ length: count }, () => randomRectangle(rng, side / 4, side));
  return cut ? cuts : [];
}

/** One to three rectangles, each side an eighth to a third of the picture's. */
export function randomHoles(rng: Rng): View["holes"] {
  const count = 1 + rng.below(3);
  return Array.from({ length: 3 }, () => randomRectangle(rng, 1 / 8, 1 / 3)).slice(0, count);
}

/** Sides of between `low` and `high` of the map's. */
function randomRectangle(rng: Rng, low: number, high: number): Rectangle {
  const height = between(rng, low, high);
  const width = between(rng, low, high);
  const top = rng.uniform() * (1 - height);
  const left = rng.uniform() * (1 - width);
  return { top, left, bottom: top + height, right: left + width };
}

/** Uniform in [-most, most). */
function either(rng: Rng, most: number): number {
  return between(rng, -most, most);
}

/** Draws nothing where there is no choice. */
function chance(rng: Rng, probability: number): boolean {
  return probability > 0 && rng.uniform() < probability;
}

function between(rng: Rng, low: number, high: number): number {
  return low + (high - low) * rng.uniform();
}

interface Axis {
  readonly scale: number;
  readonly shift: number;
}

/** A zoom about a random point: the picture fills the map when magnified and lies somewhere in it when shrunk. */
function axis(rng: Rng, length: number, zoom: number): Axis {
  return { scale: zoom, shift: rng.uniform() * (length - length * zoom) };
}

function indices(side: number, content: number, { scale, shift }: Axis): Int32Array {
  return Int32Array.from({ length: side }, (_, i) => {
    if (i >= content) return -1;
    const source = Math.floor((i + 0.5 - shift) / scale);
    return source >= 0 && source < content ? source : -1;
  });
}

/** The rows and columns of the map that a rectangle covers. */
export function holePixels(hole: Rectangle, geometry: Geometry) {
  return {
    top: Math.floor(hole.top * geometry.contentHeight),
    bottom: Math.ceil(hole.bottom * geometry.contentHeight),
    left: Math.floor(hole.left * geometry.contentWidth),
    right: Math.ceil(hole.right * geometry.contentWidth),
  };
}
