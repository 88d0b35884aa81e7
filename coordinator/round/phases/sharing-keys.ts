/** The roster shares its secrets among its members. Whoever does not is a dropout from here on. */
import type { SharingKeys } from "../state.ts";
import { rosterOf } from "./advertising-keys.ts";
import { handOver, survivorsNeeded, type Phase } from "./phase.ts";

export const sharingKeys: Phase<SharingKeys> = {
  step: "share-keys",
  ask: () => ["roster"],
  asked: rosterOf,
  answers: (sum) => sum.shared,
  record: (sum, { client, signed }) => ({ ...sum, shared: { ...sum.shared, [client]: signed } }),
  needed: (sum) => survivorsNeeded(sum, rosterOf(sum).length),
  enough: () => null,
  limitMs: (rules) => rules.deadlines.shareKeysMs,
  next: (sum, at) => ({
    ...handOver(sum, at),
    phase: "collecting-masked-inputs",
    advertised: sum.advertised,
    shared: sum.shared,
    inputs: {},
  }),
};
