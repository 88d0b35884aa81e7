/** What `data check` found in a dataset. */
import type { Labels } from "../../shared/config/federation.ts";
import type { DataProblem } from "./open-dataset.ts";
import type { Source } from "./source.ts";

export interface ClassCount {
  readonly name: string;
  /** Boxes, pixels or pictures of this class. */
  count: number;
  /** Pictures it is on. */
  pictures: number;
}

export interface DataReport {
  readonly folder: string;
  /** No errors; warnings do not count. */
  readonly ok: boolean;
  readonly layout: Source["layout"] | null;
  /** Made by a generator, not measured. */
  readonly generated: boolean;
  readonly pictures: number;
  /** Pictures that can be read. */
  readonly readable: number;
  readonly sizes: { readonly width: [number, number]; readonly height: [number, number] } | null;
  /** Pictures per site; those without one stand under "". */
  readonly sites: Readonly<Record<string, number>>;
  readonly modalities: { readonly rgb: number; readonly depth: number; readonly text: number };
  readonly depth: {
    readonly kind: "metric" | "relative" | "inverse";
    readonly metersPerUnit: number | null;
    /** Share of pixels with a reading, over the pictures with depth. */
    readonly readings: number;
    /** Smallest and largest value: metres, or the dataset's units. */
    readonly range: [number, number] | null;
  } | null;
  /** The label space it was checked against. */
  readonly labels: Labels;
  /** That label space was made from the data itself: no federation.yaml was given. */
  readonly inferredLabels: boolean;
  readonly detection: { labelled: number; readonly classes: ClassCount[] };
  readonly segmentation: { labelled: number; ignoredPixels: number; readonly classes: ClassCount[] };
  readonly scene: { labelled: number; readonly classes: ClassCount[] };
  readonly heads: readonly HeadReport[];
  readonly problems: readonly DataProblem[];
  /** Problems beyond the first MAX_PROBLEMS. */
  readonly moreProblems: number;
}

export interface HeadReport {
  readonly head: "detection" | "segmentation" | "depth" | "scene" | "text";
  readonly learns: boolean;
  /** Pictures it learns from. */
  readonly pictures: number;
  readonly says: string;
}
