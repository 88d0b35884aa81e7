/**
 * Augmentation and modality dropout: what is drawn for one sample before it enters a batch. Geometry is separable
 * (zoom, shift), so that picture, depth, masks and boxes follow through the same two index tables. Nothing is mirrored:
 * captions say "left" and "right", and a fixed camera's scenes have a layout that is worth learning.
 */
import type { Rng } from "../../shared/rng/rng.ts";
import type { Geometry, PreparedSample } from "./prepare.ts";

/** How one sample is rendered into a batch. */
export interface View {
  /** Source column of every column, source row of every row; -1: outside. */
  readonly columns: Int32Array;
  readonly rows: Int32Array;
  /** x' = x * scale + shift, in model pixels, for boxes. */
  readonly x: { readonly scale: number; readonly shift: number };
  readonly y: { readonly scale: number; readonly shift: number };
  /** Normalised pixel value = (byte / 255 - mean) / deviation, times contrast, plus brightness. */
  readonly contrast: number;
  readonly brightness: number;
  readonly present: { readonly rgb: boolean; readonly text: boolean; readonly depth: boolean };
  /** Rectangles of the map whose depth is withheld though depth is present; as fractions of the sides. */
  readonly holes: readonly {
    readonly top: number;
    readonly left: number;
    readonly bottom: number;
    readonly right: number;
  }[];
}

const ZOOM = [0.9, 1.1] as const;
/** Depth from the picture is learned where depth is withheld. */
const DEPTH_WITHHELD = { asTarget: 0.6, otherwise: 0.25 } as const;
const TEXT_WITHHELD = 0.3;
/** Only where depth is there to see by. */
const RGB_WITHHELD = 0.1;

const IDENTITY = { scale: 1, shift: 0 } as const;

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
    present: {
      rgb: sample.rgb !== null,
      depth: sample.depth !== null && withheld.depth !== true,
      text: sample.text !== null && withheld.text !== true,
    },
    holes,
  };
}

/** A random view for training. Draws the same number of values whatever the sample holds, so streams stay aligned. */
export function randomView(
  sample: PreparedSample,
  rng: Rng,
  depthUse: { readonly input: boolean; readonly target: boolean },
): View {
  const { geometry } = sample;
  const zoom = Math.exp(between(rng, Math.log(ZOOM[0]), Math.log(ZOOM[1])));
  const x = axis(rng, geometry.contentWidth, zoom);
  const y = axis(rng, geometry.contentHeight, zoom);
  const contrast = Math.exp(between(rng, -0.2, 0.2));
  const brightness = between(rng, -0.2, 0.2);
  const withholdDepth = rng.uniform() < (depthUse.target ? DEPTH_WITHHELD.asTarget : DEPTH_WITHHELD.otherwise);
  const withholdText = rng.uniform() < TEXT_WITHHELD;
  const withholdRgb = rng.uniform() < RGB_WITHHELD;
  const holes = randomHoles(rng);
  const depth = depthUse.input && sample.depth !== null && (!withholdDepth || sample.rgb === null);
  return {
    columns: indices(geometry.width, geometry.contentWidth, x),
    rows: indices(geometry.height, geometry.contentHeight, y),
    x,
    y,
    contrast,
    brightness,
    present: {
      rgb: sample.rgb !== null && !(withholdRgb && depth),
      depth,
      text: sample.text !== null && !withholdText,
    },
    holes: depth && depthUse.target ? holes : [],
  };
}

/** One to three rectangles, each side an eighth to a third of the picture's. */
export function randomHoles(rng: Rng): View["holes"] {
  const count = 1 + rng.below(3);
  return Array.from({ length: 3 }, () => {
    const height = between(rng, 1 / 8, 1 / 3);
    const width = between(rng, 1 / 8, 1 / 3);
    const top = rng.uniform() * (1 - height);
    const left = rng.uniform() * (1 - width);
    return { top, left, bottom: top + height, right: left + width };
  }).slice(0, count);
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

/** The rows and columns of the map that a hole covers. */
export function holePixels(hole: View["holes"][number], geometry: Geometry) {
  return {
    top: Math.floor(hole.top * geometry.contentHeight),
    bottom: Math.ceil(hole.bottom * geometry.contentHeight),
    left: Math.floor(hole.left * geometry.contentWidth),
    right: Math.ceil(hole.right * geometry.contentWidth),
  };
}
