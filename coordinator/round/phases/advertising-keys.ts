/** The invited advertise the fresh keys of this attempt. Whoever did when it closes is the roster. */
import type { AdvertisingKeys } from "../state.ts";
import { handOver, names, survivorsNeeded, type Phase } from "./phase.ts";

export const advertisingKeys: Phase<AdvertisingKeys> = {
  step: "advertise-keys",
  ask: () => ["begin"],
  asked: (sum) => sum.invited,
  answers: (sum) => sum.advertised,
  record: (sum, { client, signed }) => ({ ...sum, advertised: { ...sum.advertised, [client]: signed } }),
  // A roster so small that its own threshold cannot be met is too small, whatever the configured minimum.
  needed: (sum) => {
    let size = sum.minRoster;
    while (size < sum.invited.length && size < survivorsNeeded(sum, size)) size++;
    return size;
  },
  enough: () => null,
  limitMs: (rules) => rules.deadlines.shareKeysMs,
  next: (sum, at) => ({
    ...handOver(sum, at),
    phase: "sharing-keys",
    advertised: sum.advertised,
    shared: {},
  }),
};

export const rosterOf = (sum: { readonly advertised: AdvertisingKeys["advertised"] }) => names(sum.advertised);
