/**
 * COCO's evaluation as its text reads: one class, area range, IoU threshold and limit at a time, nothing shared, masks
 * as lists of pixels. Average precision takes, at each recall, the best precision there or beyond.
 */
export interface PlainRegion {
  readonly image: number;
  readonly category: number;
  readonly area: number;
  /** x, y, width, height; null where there is a mask. */
  readonly box: readonly [number, number, number, number] | null;
  /** Pixels of the mask. */
  readonly pixels: ReadonlySet<number> | null;
}
export interface PlainDetection extends PlainRegion {
  readonly score: number;
}
export interface PlainObject extends PlainRegion {
  readonly crowd: boolean;
}

/** As NumPy's linspace gives them. */
const THRESHOLDS = Array.from({ length: 10 }, (_, i) => (i === 9 ? 0.95 : 0.5 + i * ((0.95 - 0.5) / 9)));
const RANGES = { all: [0, 1e10], small: [0, 1024], medium: [1024, 9216], large: [9216, 1e10] } as const;

/** pycocotools' twelve `stats`, null for its -1. */
export function plainCoco(detections: readonly PlainDetection[], objects: readonly PlainObject[]): (number | null)[] {
  const categories = [...new Set(objects.map(({ category }) => category))];
  const images = [...new Set([...objects, ...detections].map(({ image }) => image))].toSorted((a, b) => a - b);
  const read = (range: keyof typeof RANGES, limit: number, thresholds: readonly number[], what: "ap" | "ar") => {
    const values: number[] = [];
    for (const category of categories) {
      for (const threshold of thresholds) {
        const judged: { score: number; hit: boolean }[] = [];
        let positives = 0;
        for (const image of images) {
          const own = <T extends PlainRegion>(all: readonly T[]) =>
            all.filter((region) => region.image === image && region.category === category);
          const one = judge(own(detections), own(objects), RANGES[range], threshold, limit);
          judged.push(...one.judged);
          positives += one.positives;
        }
        if (positives === 0) continue;
        judged.sort((a, b) => b.score - a.score);
        const hits = judged.map(({ hit }) => hit);
        values.push(what === "ap" ? plainAp(hits, positives) : hits.filter(Boolean).length / positives);
      }
    }
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  return [
    read("all", 100, THRESHOLDS, "ap"),
    read("all", 100, [0.5], "ap"),
    read("all", 100, [0.75], "ap"),
    read("small", 100, THRESHOLDS, "ap"),
    read("medium", 100, THRESHOLDS, "ap"),
    read("large", 100, THRESHOLDS, "ap"),
    read("all", 1, THRESHOLDS, "ar"),
    read("all", 10, THRESHOLDS, "ar"),
    read("all", 100, THRESHOLDS, "ar"),
    read("small", 100, THRESHOLDS, "ar"),
    read("medium", 100, THRESHOLDS, "ar"),
    read("large", 100, THRESHOLDS, "ar"),
  ];
}

/** The detections of one class in one picture that count, and whether each found an object. */
function judge(
  found: readonly PlainDetection[],
  objects: readonly PlainObject[],
  [from, to]: readonly [number, number],
  threshold: number,
  limit: number,
): { judged: { score: number; hit: boolean }[]; positives: number } {
  const outside = (area: number) => area < from || area > to;
  // Matched with the hundred best, counted with the `limit` best.
  const best = found.toSorted((a, b) => b.score - a.score).slice(0, 100);
  const wanted = objects.filter((object) => !object.crowd && !outside(object.area));
  const regions = objects.filter((object) => object.crowd || outside(object.area));
  const free = new Set<PlainObject>(objects);
  const judged: { score: number; hit: boolean; rank: number }[] = [];
  for (const [rank, detection] of best.entries()) {
    const take = (among: readonly PlainObject[]): PlainObject | null => {
      let choice: PlainObject | null = null;
      let overlap = Math.min(threshold, 1 - 1e-10);
      for (const object of among) {
        if (!free.has(object)) continue;
        const value = plainOverlap(detection, object);
        if (value < overlap) continue;
        overlap = value;
        choice = object;
      }
      if (choice !== null && !choice.crowd) free.delete(choice);
      return choice;
    };
    if (take(wanted) !== null) judged.push({ score: detection.score, hit: true, rank });
    else if (take(regions) === null && !outside(detection.area)) {
      judged.push({ score: detection.score, hit: false, rank });
    }
  }
  return { judged: judged.filter(({ rank }) => rank < limit), positives: wanted.length };
}

function plainOverlap(detection: PlainDetection, object: PlainObject): number {
  if (detection.box !== null && object.box !== null) {
    const [ax, ay, aw, ah] = detection.box;
    const [bx, by, bw, bh] = object.box;
    const both =
      Math.max(0, Math.min(ax + aw, bx + bw) - Math.max(ax, bx)) *
      Math.max(0, Math.min(ay + ah, by + bh) - Math.max(ay, by));
    return both === 0 ? 0 : both / (object.crowd ? aw * ah : aw * ah + bw * bh - both);
  }
  const first = detection.pixels as ReadonlySet<number>;
  const second = object.pixels as ReadonlySet<number>;
  const both = [...first].filter((pixel) => second.has(pixel)).length;
  return both === 0 ? 0 : both / (object.crowd ? first.size : first.size + second.size - both);
}

function plainAp(hits: readonly boolean[], positives: number): number {
  let right = 0;
  const points = hits.map((hit, i) => {
    if (hit) right++;
    return { recall: right / positives, precision: right / (i + 1) };
  });
  let sum = 0;
  for (let step = 0; step <= 100; step++) {
    const beyond = points.filter(({ recall }) => recall >= step * 0.01);
    sum += Math.max(0, ...beyond.map(({ precision }) => precision));
  }
  return sum / 101;
}
