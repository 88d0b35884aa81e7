/** Which of its own samples a client trains on and which it keeps for judging models. */
import type { Dataset } from "../../models/preprocess/sample.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { Rng } from "../../shared/rng/rng.ts";

export interface Holdout {
  /** Ascending indices; never empty. */
  readonly train: readonly number[];
  /** Ascending indices; empty only for a dataset of one sample. */
  readonly evaluation: readonly number[];
  /** Of `train`, those whose labels are not looked at: a site without labels, in simulations. */
  readonly unlabelled?: readonly number[];
}

type Split = FederationConfig["evaluation"]["split"];
type Settings = Pick<FederationConfig["evaluation"], "holdout" | "split">;

/**
 * - `contiguous`: the last share of every site's samples in their order, which is time in a recording: neighbouring
 *   frames never stand on both sides but at the one cut.
 * - `stratified`: a seeded share of every scene class, for stills sorted by class.
 * - `auto`: stratified for labelled stills without sites, whose order says nothing; contiguous for everything else.
 *
 * The same entries, settings, seed and client name give the same split.
 */
export function splitHoldout(
  entries: Dataset["entries"],
  settings: Settings,
  seed: number,
  clientName: string,
): Holdout {
  const split = settings.split === "auto" ? usualSplit(entries) : settings.split;
  const groups = new Map<string | number | null, number[]>();
  for (const [index, entry] of entries.entries()) {
    const key = split === "stratified" ? entry.scene : entry.site;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [index]);
    else group.push(index);
  }
  const wanted = Math.min(entries.length - 1, Math.max(1, Math.round(entries.length * settings.holdout)));
  const kept = new Set<number>();
  let seen = 0;
  for (const [key, group] of groups) {
    seen += group.length;
    // Rounded over all groups so far, so that many small groups still give the share asked for.
    const count = Math.round((wanted * seen) / entries.length) - kept.size;
    const order = split === "stratified" ? Rng.of(seed, "holdout", clientName, String(key)).shuffled(group) : group;
    for (const index of order.slice(order.length - count)) if (count > 0) kept.add(index);
  }
  const all = entries.map((_, index) => index);
  return { train: all.filter((index) => !kept.has(index)), evaluation: all.filter((index) => kept.has(index)) };
}

function usualSplit(entries: Dataset["entries"]): Exclude<Split, "auto"> {
  const stills = entries.every((entry) => entry.site === null) && entries.some((entry) => entry.scene !== null);
  return stills ? "stratified" : "contiguous";
}
