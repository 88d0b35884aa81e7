/**
 * Splits one dataset over the clients of a simulation. By sites is how data lies in the world; iid and Dirichlet label
 * skew (Hsu, Qi, Brown 2019, arXiv:1909.06335) are the yardsticks of the literature.
 */
import { subset } from "../../client/data/subset.ts";
import type { Dataset } from "../../models/preprocess/sample.ts";
import { CodedError } from "../../shared/errors.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { dirichlet } from "./dirichlet.ts";

export type Partitioner =
  /** Sites stay whole where they can; see {@link bySite}. */
  | { readonly by: "site" }
  | { readonly by: "iid"; readonly seed: number }
  | {
      readonly by: "dirichlet";
      readonly seed: number;
      /** Small: each class lives with few clients. Large: like iid. */
      readonly alpha: number;
      /** Class of a sample; default: its scene. */
      readonly classOf?: (index: number) => number | null;
    };

/** Indices per client: disjoint, together everything, none empty. Errors: USAGE with more clients than samples. */
export function partitionIndices(entries: Dataset["entries"], clients: number, how: Partitioner): number[][] {
  if (!Number.isInteger(clients) || clients < 1 || clients > entries.length)
    throw new CodedError("USAGE", `${entries.length} samples cannot be split over ${clients} clients`, {
      field: "clients",
      expected: `1 to ${entries.length}`,
      got: clients,
    });
  if (how.by === "site") return bySite(entries, clients);
  if (how.by === "iid") {
    const order = Rng.of(how.seed, "partition", "iid").shuffled(entries.map((_, index) => index));
    return evenCuts(order, clients).map(ascending);
  }
  return byDirichlet(entries, clients, how);
}

/** The same as views of `dataset`. */
export function partition(dataset: Dataset, clients: number, how: Partitioner): Dataset[] {
  return partitionIndices(dataset.entries, clients, how).map((indices) => subset(dataset, indices));
}

/** Sites (or several merged ones) that are cut into `pieces` clients. */
interface Unit {
  readonly indices: readonly number[];
  pieces: number;
}

/**
 * One client a site where the numbers allow. Too few sites: the site with the largest pieces is cut once more,
 * contiguously, until there are enough. Too many: the two smallest are merged. Then large ones are cut and small ones
 * merged as long as no merged pair outgrows a piece of the cut one. Samples without a site count as one site.
 */
function bySite(entries: Dataset["entries"], clients: number): number[][] {
  const sites = new Map<string | null, number[]>();
  for (const [index, { site }] of entries.entries()) {
    const held = sites.get(site);
    if (held === undefined) sites.set(site, [index]);
    else held.push(index);
  }
  const units: Unit[] = [...sites.values()].map((indices) => ({ indices, pieces: 1 }));
  const largest = (): Unit =>
    units.reduce((a, b) => (b.indices.length / b.pieces > a.indices.length / a.pieces ? b : a));
  const smallestTwo = (but: Unit | null): [Unit, Unit] | null => {
    const whole = units.filter((unit) => unit.pieces === 1 && unit !== but);
    const [a, b] = whole.sort((x, y) => x.indices.length - y.indices.length);
    return a === undefined || b === undefined ? null : [a, b];
  };
  const merge = ([a, b]: [Unit, Unit]): void => {
    units.splice(units.indexOf(a), 1);
    units.splice(units.indexOf(b), 1, { indices: ascending([...a.indices, ...b.indices]), pieces: 1 });
  };
  let count = units.length;
  for (; count < clients; count++) largest().pieces++;
  for (; count > clients; count--) {
    const pair = smallestTwo(null);
    if (pair !== null) merge(pair);
  }
  for (;;) {
    const large = largest();
    const pair = smallestTwo(large);
    if (pair === null) break;
    const merged = pair[0].indices.length + pair[1].indices.length;
    if (merged > Math.floor(large.indices.length / (large.pieces + 1))) break;
    merge(pair);
    large.pieces++;
  }
  return units.flatMap((unit) => evenCuts(unit.indices, unit.pieces)).sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0));
}

function byDirichlet(
  entries: Dataset["entries"],
  clients: number,
  how: Extract<Partitioner, { by: "dirichlet" }>,
): number[][] {
  if (!(how.alpha > 0 && Number.isFinite(how.alpha)))
    throw new CodedError("USAGE", `alpha: expected a number above 0, got ${how.alpha}`, {
      field: "alpha",
      got: how.alpha,
    });
  const classOf = how.classOf ?? ((index: number) => entries[index]?.scene ?? null);
  const classes = new Map<number | null, number[]>();
  for (const index of entries.keys()) {
    const key = classOf(index);
    const held = classes.get(key);
    if (held === undefined) classes.set(key, [index]);
    else held.push(index);
  }
  const rng = Rng.of(how.seed, "partition", "dirichlet");
  const parts: number[][] = Array.from({ length: clients }, () => []);
  const keys = [...classes.keys()].sort((a, b) => (a ?? -1) - (b ?? -1));
  for (const key of keys) {
    const members = rng.shuffled(classes.get(key) ?? []);
    const shares = dirichlet(rng, how.alpha, clients);
    let cumulative = 0;
    let from = 0;
    for (const [client, share] of shares.entries()) {
      cumulative += share;
      const to = client === clients - 1 ? members.length : Math.round(cumulative * members.length);
      parts[client]?.push(...members.slice(from, Math.max(from, to)));
      from = Math.max(from, to);
    }
  }
  // A client without data cannot take part: it gets one sample of whoever has most.
  for (const part of parts)
    if (part.length === 0) part.push(parts.reduce((a, b) => (b.length > a.length ? b : a)).pop() as number);
  return parts.map(ascending);
}

/** `pieces` contiguous parts whose sizes differ by one at most. */
function evenCuts(items: readonly number[], pieces: number): number[][] {
  return Array.from({ length: pieces }, (_, i) =>
    items.slice(Math.floor((i * items.length) / pieces), Math.floor(((i + 1) * items.length) / pieces)),
  );
}

function ascending(indices: readonly number[]): number[] {
  return [...indices].sort((a, b) => a - b);
}
