/** The deletion and insertion test for explanations: every map against orders drawn at random, and tables of many. */
import type { Rng } from "../../shared/rng/rng.ts";
import type { OutputHead } from "../allulook4/build.ts";
import type { Geometry } from "../preprocess/prepare.ts";
import type { Attribution, ExplainedSample, Explanation, Method } from "./explain.ts";
import { type Areas, areasOf, orderOf, PATCH, patches, randomOrder, words } from "./faithfulness.ts";
import { variantsAtOnce } from "./integrated-gradients.ts";
import { resampled } from "./maps.ts";
import { MODALITIES, type Modality, type Point } from "./points.ts";

export interface TestedMap {
  readonly head: OutputHead;
  readonly modality: Modality;
  readonly method: Method;
  readonly areas: Areas;
  /** The mean of the random orders. */
  readonly random: Areas;
}

/** A caption of one word has one order only. */
const LEAST_WORDS = 2;

/** Tests all maps of a sample; random orders are shared by the maps of one target and modality. */
export function testMaps(explained: ExplainedSample, randomOrders: number, rng: Rng): TestedMap[] {
  const { height, width } = explained.geometry;
  return explained.explanations.flatMap((explanation) =>
    MODALITIES.flatMap((modality) => {
      const { target, opened, attributions } = explanation;
      const maps = attributions.flatMap((attribution) => {
        const tested =
          attribution.modality === modality ? partsAndImportance(attribution, explanation, explained) : null;
        return tested === null ? [] : [{ ...tested, method: attribution.method }];
      });
      const parts = maps[0]?.parts;
      if (parts === undefined) return [];
      const orders = [
        ...maps.map(({ importance }) => orderOf(importance, rng)),
        ...Array.from({ length: randomOrders }, () => randomOrder(parts.count, rng)),
      ];
      const areas = areasOf(opened, target, modality, parts, orders, variantsAtOnce(height, width));
      const random = meanAreas(areas.slice(maps.length));
      return maps.map(({ method }, i) => ({ head: target.head, modality, method, areas: areas[i] as Areas, random }));
    }),
  );
}

function partsAndImportance(attribution: Attribution, { target, opened }: Explanation, explained: ExplainedSample) {
  const point = opened.points.get(attribution.modality) as Point;
  if (attribution.words !== null) {
    const count = attribution.words.length;
    return count < LEAST_WORDS
      ? null
      : { parts: words(point, count), importance: signless(target.head, attribution.words) };
  }
  if (attribution.map === null) return null;
  const { geometry } = explained;
  const grid = resampled(attribution.map, PATCH);
  const importance = inContent(grid.values, grid.columns, geometry);
  return { parts: patches(geometry, point.shape[2] as number), importance: signless(target.head, importance) };
}

/** A part that makes depth smaller matters as much as one that makes it larger. */
function signless(head: OutputHead, values: Float32Array): Float32Array {
  return head === "depth" ? values.map((value) => Math.abs(value)) : values;
}

/** Without the columns and rows of padding. */
function inContent(values: Float32Array, columns: number, { contentWidth, contentHeight }: Geometry): Float32Array {
  const across = Math.ceil(contentWidth / PATCH);
  const rows = Math.ceil(contentHeight / PATCH);
  return Float32Array.from(
    { length: rows * across },
    (_, i) => values[Math.floor(i / across) * columns + (i % across)] as number,
  );
}

function meanAreas(list: readonly Areas[]): Areas {
  const mean = (of: (areas: Areas) => number) => list.reduce((sum, areas) => sum + of(areas), 0) / list.length;
  return { deletion: mean(({ deletion }) => deletion), insertion: mean(({ insertion }) => insertion) };
}

export interface TestRow {
  readonly head: OutputHead;
  readonly modality: Modality;
  readonly method: Method;
  /** How many maps were tested, and how many of them were better than random. */
  readonly maps: number;
  readonly better: number;
  readonly areas: Areas;
  readonly random: Areas;
  /** Mean of (insertion - deletion), less that of random orders, and its standard error; null for one map. */
  readonly gain: number;
  readonly error: number | null;
}

/** One row for each head, modality and method, in order of first appearance. */
export function testTable(tested: readonly TestedMap[]): TestRow[] {
  const groups = new Map<string, TestedMap[]>();
  for (const one of tested) {
    const key = `${one.head} ${one.modality} ${one.method}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].map((group) => {
    const { head, modality, method } = group[0] as TestedMap;
    const gains = group.map(({ areas, random }) => spanOf(areas) - spanOf(random));
    const gain = gains.reduce((sum, value) => sum + value, 0) / gains.length;
    const variance = gains.reduce((sum, value) => sum + (value - gain) ** 2, 0) / (gains.length - 1);
    return {
      head,
      modality,
      method,
      maps: group.length,
      better: gains.filter((value) => value > 0).length,
      areas: meanAreas(group.map(({ areas }) => areas)),
      random: meanAreas(group.map(({ random }) => random)),
      gain,
      error: gains.length > 1 ? Math.sqrt(variance / gains.length) : null,
    };
  });
}

function spanOf({ insertion, deletion }: Areas): number {
  return insertion - deletion;
}
