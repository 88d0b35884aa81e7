/** What each head of the model can learn from a dataset, in words. */
import type { ClassCount, DataReport, HeadReport } from "./data-report.ts";

type Counted = Pick<DataReport, "labels" | "detection" | "segmentation" | "scene" | "modalities" | "depth">;

/** One entry a head, then one for the text modality. */
export function headReports(counts: Counted): HeadReport[] {
  const { labels, detection, segmentation, scene, modalities } = counts;
  const boxes = detection.classes.reduce((sum, one) => sum + one.count, 0);
  const head = (name: HeadReport["head"], pictures: number, learns: boolean, says: string): HeadReport => ({
    head: name,
    learns,
    pictures,
    says,
  });
  return [
    labels.detection.length === 0
      ? head("detection", 0, false, "no detection classes")
      : head(
          "detection",
          detection.labelled,
          boxes > 0,
          boxes > 0 ? `${boxes} boxes; ${seen(detection.classes)}` : "no boxes",
        ),
    labels.segmentation.length === 0
      ? head("segmentation", 0, false, "no segmentation classes")
      : head(
          "segmentation",
          segmentation.labelled,
          segmentation.labelled > 0,
          segmentation.labelled > 0 ? shares(counts) : "no masks",
        ),
    depthReport(counts, head),
    labels.scene.length === 0
      ? head("scene", 0, false, "no scene classes")
      : head("scene", scene.labelled, scene.labelled > 0, scene.labelled > 0 ? seen(scene.classes) : "no scene labels"),
    head(
      "text",
      modalities.text,
      modalities.text > 0,
      modalities.text > 0 ? "captions as a third input" : "no captions: the text branch learns nothing",
    ),
  ];
}

function depthReport(
  { labels, modalities, depth }: Counted,
  head: (name: "depth", pictures: number, learns: boolean, says: string) => HeadReport,
): HeadReport {
  if (modalities.depth === 0 || depth === null) return head("depth", 0, false, "no depth");
  const filled = `${(100 * depth.readings).toFixed(1)} % of pixels have a reading`;
  if (labels.depth.kind === "none") return head("depth", modalities.depth, false, `depth is input only; ${filled}`);
  return head("depth", modalities.depth, depth.readings > 0, `${labels.depth.kind} depth from RGB; ${filled}`);
}

/** `a 12, b 3; never: c`. */
function seen(classes: readonly ClassCount[]): string {
  const there = classes.filter((one) => one.count > 0).sort((a, b) => b.count - a.count);
  const never = classes.filter((one) => one.count === 0).map((one) => one.name);
  return few(there.map((one) => `${one.name} ${one.count}`)) + (never.length > 0 ? `; never: ${few(never)}` : "");
}

function shares({ segmentation }: Counted): string {
  const total = segmentation.classes.reduce((sum, one) => sum + one.count, 0);
  const percent = (value: number, of: number): string => `${((100 * value) / Math.max(1, of)).toFixed(1)} %`;
  const there = segmentation.classes.filter((one) => one.count > 0).sort((a, b) => b.count - a.count);
  const never = segmentation.classes.filter((one) => one.count === 0).map((one) => one.name);
  const ignored = percent(segmentation.ignoredPixels, total + segmentation.ignoredPixels);
  return (
    few(there.map((one) => `${one.name} ${percent(one.count, total)}`)) +
    (never.length > 0 ? `; never: ${few(never)}` : "") +
    (segmentation.ignoredPixels > 0 ? `; ignored pixels: ${ignored}` : "")
  );
}

function few(words: readonly string[]): string {
  return words.length > 10 ? `${words.slice(0, 9).join(", ")} and ${words.length - 9} more` : words.join(", ");
}
