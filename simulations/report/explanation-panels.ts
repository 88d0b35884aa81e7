/** Explanations as pictures: what speaks for and against an answer, what was attended to, how sure the model is. */
import type { Attribution, ExplainedSample, Explanation, Method } from "../../models/explain/explain.ts";
import type { Confidence } from "../../models/explain/confidence.ts";
import { type CellMap, pictureMap } from "../../models/explain/maps.ts";
import type { Modality } from "../../models/explain/points.ts";
import { cellWeights, type Target } from "../../models/explain/target.ts";
import type { Prediction } from "../../models/allulook4/predict.ts";
import type { Sample } from "../../models/preprocess/sample.ts";
import { type Colour, cssColour, viridis } from "./colours.ts";
import type { LegendEntry, Panel } from "./pictures.ts";
import { drawFrame, paint, photoRaster, pngOf, type Raster } from "./raster.ts";

export const METHOD_NAMES: Readonly<Record<Method, string>> = {
  integratedGradients: "integrated gradients",
  attentionRollout: "attention rollout",
  crossAttention: "cross-attention",
};
export const MODALITY_NAMES: Readonly<Record<Modality, string>> = {
  rgb: "picture",
  depth: "depth input",
  text: "text",
};

/** Orange speaks for, violet against (ColorBrewer's PuOr, safe for colour-blind readers). */
const FOR: Colour = [230, 97, 1];
const AGAINST: Colour = [94, 60, 153];
const FRAME: Colour = [255, 255, 255];
/** The colours are full at this quantile of the values' sizes. */
const FULL = 0.99;
/** Where the target is read from, the border is drawn above this share of the largest weight. */
const OUTLINE = 0.5;

interface WordValue {
  readonly word: string;
  /** In [-1, 1], of the largest. */
  readonly share: number;
}

export interface ExplanationPanels {
  readonly name: string;
  readonly target: Target;
  readonly panels: readonly Panel[];
  /** By method, the words and how they count. */
  readonly words: readonly { readonly title: string; readonly words: readonly WordValue[] }[];
}

/** One set of panels for each target of the sample. */
export async function explanationPanels(sample: Sample, explained: ExplainedSample): Promise<ExplanationPanels[]> {
  const photo = await photoRaster(sample.width, sample.height, sample.rgb);
  const all: ExplanationPanels[] = [];
  for (const [i, explanation] of explained.explanations.entries()) {
    const { target, attributions } = explanation;
    const name = `${target.head}-${target.label.replace(/[^A-Za-z0-9]+/g, "-")}-${i + 1}`;
    const panels: Panel[] = [];
    for (const attribution of attributions) {
      if (attribution.map === null) continue;
      panels.push(await attributionPanel(name, attribution, attribution.map, explanation, sample, explained, photo));
    }
    const words = attributions.flatMap((attribution) =>
      attribution.words === null || attribution.words.length === 0
        ? []
        : [{ title: titleOf(attribution), words: wordValues(attribution, explained.words) }],
    );
    all.push({ name, target, panels, words });
  }
  return all;
}

function titleOf({ method, modality }: Attribution): string {
  const name = METHOD_NAMES[method];
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}, ${MODALITY_NAMES[modality]}`;
}

/** Contributions keep their sign; attention counts from the least attended word. */
function wordValues({ method, words: values }: Attribution, words: readonly string[]): WordValue[] {
  const shown = [...(values ?? [])].slice(0, words.length);
  const base = method === "integratedGradients" ? 0 : Math.min(...shown);
  const largest = Math.max(...shown.map((value) => Math.abs(value - base)), 1e-9);
  return words.map((word, i) => ({ word, share: ((shown[i] ?? base) - base) / largest }));
}

async function attributionPanel(
  name: string,
  attribution: Attribution,
  map: CellMap,
  { target }: Explanation,
  sample: Sample,
  { geometry }: ExplainedSample,
  photo: Raster,
): Promise<Panel> {
  const values = pictureMap(map, geometry, sample);
  const signed = attribution.method === "integratedGradients";
  const raster = signed ? signedRaster(sample, values, photo) : heatRaster(sample, values, photo);
  if (target.box !== undefined) {
    const scale = photo.width / sample.width;
    const { x, y, width, height } = target.box;
    drawFrame(raster, { x: x * scale, y: y * scale, width: width * scale, height: height * scale }, FRAME, 2);
  } else outline(raster, target, sample, geometry);
  const meaning =
    target.head === "depth" ? (["farther", "nearer"] as const) : ([`for ${target.label}`, "against it"] as const);
  const legend: LegendEntry[] = signed
    ? [
        { colour: cssColour(FOR), text: meaning[0] },
        { colour: cssColour(AGAINST), text: meaning[1] },
      ]
    : [
        {
          colour: cssColour(viridis(1)),
          text: target.stride === null ? "attended to" : "attended to more than by others",
        },
      ];
  const title = titleOf(attribution);
  return {
    name: `${name}-${attribution.method}-${attribution.modality}`,
    title,
    alt: `${title} of ${target.head} ${target.label}: ${whereabouts(values, sample)}`,
    png: await pngOf(raster),
    width: raster.width,
    height: raster.height,
    legend,
    note: null,
  };
}

/** For readers who cannot see the map: in which ninth of the picture it is largest. */
function whereabouts(values: Float32Array, { width, height }: { width: number; height: number }): string {
  const sums = new Float64Array(9);
  for (const [i, value] of values.entries()) {
    const row = Math.floor((Math.floor(i / width) * 3) / height);
    sums[row * 3 + Math.floor(((i % width) * 3) / width)]! += Math.abs(value);
  }
  const best = sums.indexOf(Math.max(...sums));
  const place = [["top", "middle", "bottom"][Math.floor(best / 3)], ["left", "centre", "right"][best % 3]].join(" ");
  return `most at the ${place}`;
}

function quantile(values: Float32Array, share: number): number {
  const sizes = values.map((value) => Math.abs(value)).toSorted();
  return Math.max(sizes[Math.floor(share * (sizes.length - 1))] as number, 1e-12);
}

function signedRaster(sample: Sample, values: Float32Array, photo: Raster): Raster {
  const full = quantile(values, FULL);
  const grey = desaturated(photo);
  const size = (index: number) => Math.min(1, Math.abs(values[index] as number) / full);
  return paint(
    sample,
    grey,
    (index) => 0.85 * size(index) ** 0.7,
    (index) => ((values[index] as number) > 0 ? FOR : AGAINST),
  );
}

function heatRaster(sample: Sample, values: Float32Array, photo: Raster): Raster {
  const low = values.reduce((least, value) => Math.min(least, value));
  const span = Math.max(values.reduce((most, value) => Math.max(most, value)) - low, 1e-12);
  return paint(sample, photo, 0.6, (index) => viridis(((values[index] as number) - low) / span));
}

/** Grey and lighter, so that the colours of a map are the only ones. */
function desaturated(photo: Raster): Raster {
  const rgb = new Uint8Array(photo.rgb.length);
  for (let i = 0; i < rgb.length; i += 3) {
    const [r, g, b] = photo.rgb.subarray(i, i + 3) as unknown as Colour;
    rgb.fill(Math.round(255 - (255 - (0.299 * r + 0.587 * g + 0.114 * b)) * 0.75), i, i + 3);
  }
  return { ...photo, rgb };
}

/** A white line around the region that the target is read from. */
function outline(raster: Raster, target: Target, sample: Sample, geometry: ExplainedSample["geometry"]): void {
  const weights = cellWeights(target);
  if (weights === null || target.stride === null) return;
  const { stride } = target;
  const map = { stride, columns: geometry.width / stride, rows: geometry.height / stride, values: weights };
  const inside = pictureMap(map, geometry, raster);
  const limit = OUTLINE * weights.reduce((most, value) => Math.max(most, value));
  const { width, height } = raster;
  const is = (x: number, y: number) => (inside[y * width + x] as number) > limit;
  for (let y = 1; y < height; y++) {
    for (let x = 1; x < width; x++) {
      if (is(x, y) !== is(x - 1, y) || is(x, y) !== is(x, y - 1)) raster.rgb.set(FRAME, (y * width + x) * 3);
    }
  }
}

/** How sure the model is: of classes by entropy, of objects by probability, of depth by how much it moves. */
export async function confidencePanels(
  sample: Sample,
  { certainty, depthSpread }: Confidence,
  { heat }: Prediction,
): Promise<Panel[]> {
  const photo = await photoRaster(sample.width, sample.height, sample.rgb);
  const panel = async (name: string, title: string, values: Float32Array, note: string): Promise<Panel> => {
    const raster = paint(sample, photo, 0.7, (index) => viridis(values[index] as number));
    const { width, height } = raster;
    return { name, title, alt: `${title}: ${note}`, png: await pngOf(raster), width, height, legend: [], note };
  };
  const panels: Panel[] = [];
  if (certainty !== null) {
    const note = `bright is sure: 1 − entropy; mean ${mean(certainty).toFixed(2)}`;
    panels.push(await panel("certainty", "Certainty of classes", certainty, note));
  }
  if (heat !== null && heat !== undefined) {
    const most = heat.reduce((a, b) => Math.max(a, b), 0);
    const note = `probability that an object's centre is here; at most ${most.toFixed(2)}`;
    panels.push(await panel("objects", "Confidence in objects", heat, note));
  }
  if (depthSpread !== null) {
    const full = quantile(depthSpread, FULL);
    const note = `bright moves least when noise, contrast and brightness change; it moves by ${mean(depthSpread).toFixed(3)} on average`;
    const steady = depthSpread.map((value) => 1 - Math.min(1, value / full));
    panels.push(await panel("depth-steadiness", "Steadiness of depth", steady, note));
  }
  return panels;
}

function mean(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
