/** What a chart of a page is, and which ones the report draws from the rounds' entries. */
import type { Report, RoundEntry } from "./schema.ts";

interface Series {
  readonly label: string;
  /** A number: one of many lines that nothing sets apart. */
  readonly role: "main" | "second" | "baseline" | number;
  readonly values: readonly (number | null)[];
}

export interface Chart {
  readonly title: string;
  readonly better: "higher" | "lower";
  /** Shares are drawn from 0 up and read as per cent. */
  readonly share: boolean;
  readonly x: { readonly label: string; readonly values: readonly number[] };
  readonly series: readonly Series[];
}

interface Plan {
  readonly title: string;
  readonly better: Chart["better"];
  readonly share: boolean;
  readonly series: readonly (readonly [
    label: string,
    role: Series["role"],
    value: (entry: RoundEntry) => number | null,
  ])[];
}

const metric = (head: string, name: string) => (entry: RoundEntry) => entry.metrics[head]?.[name] ?? null;

const PLANS: readonly Plan[] = [
  { title: "Training loss", better: "lower", share: false, series: [["loss", "main", ({ loss }) => loss]] },
  {
    title: "Segmentation",
    better: "higher",
    share: true,
    series: [
      ["mIoU", "main", metric("segmentation", "mIoU")],
      ["Dice", "second", metric("segmentation", "dice")],
    ],
  },
  {
    title: "Detection",
    better: "higher",
    share: true,
    series: [
      ["mAP", "main", metric("detection", "mAP")],
      ["AP50", "second", metric("detection", "AP50")],
    ],
  },
  {
    title: "Depth from RGB: delta1",
    better: "higher",
    share: true,
    series: [
      ["model", "main", metric("depth", "delta1")],
      ["mean depth map", "baseline", metric("depth", "baselineDelta1")],
    ],
  },
  {
    title: "Depth from RGB: absRel",
    better: "lower",
    share: false,
    series: [
      ["model", "main", metric("depth", "absRel")],
      ["mean depth map", "baseline", metric("depth", "baselineAbsRel")],
    ],
  },
  {
    title: "Depth completion: RMSE",
    better: "lower",
    share: false,
    series: [["RMSE", "main", metric("depthCompletion", "rmse")]],
  },
  { title: "Scene", better: "higher", share: true, series: [["accuracy", "main", metric("scene", "accuracy")]] },
];

/** The charts that have at least one value. Failed rounds leave a gap. */
export function chartsOf(report: Report): Chart[] {
  const rounds = report.rounds.map(({ round }) => round);
  return PLANS.flatMap(({ title, better, share, series }) => {
    const drawn = series
      .map(([label, role, value]) => ({ label, role, values: report.rounds.map(value) }))
      .filter(({ values }) => values.some((value) => value !== null));
    return drawn.length === 0 ? [] : [{ title, better, share, x: { label: "round", values: rounds }, series: drawn }];
  });
}
