/**
 * Survivors reveal shares: of the survivors' self masks and of the dropouts' mask keys. From the moment this phase
 * begins shares may be known to someone, so the attempt can only be finished with this very list, or become void when
 * its survivors do not come back within the patience. It closes as soon as every secret can be reconstructed.
 */
import type { Unmasking } from "../state.ts";
import { rosterOf } from "./advertising-keys.ts";
import { opensEverything } from "./holding.ts";
import { handOver, names, sharesNeeded, type Phase } from "./phase.ts";

export const unmasking: Phase<Unmasking> = {
  step: "unmask",
  // Who was away during the check sees the list first.
  ask: (sum, client) => (sum.signatures[client] === undefined ? ["survivors", "signatures"] : ["signatures"]),
  asked: (sum) => names(sum.inputs),
  answers: (sum) => sum.reveals,
  record: (sum, { client, signed }) => ({ ...sum, reveals: { ...sum.reveals, [client]: signed } }),
  needed: (sum) => sharesNeeded(sum, rosterOf(sum).length),
  suffices: (sum, clients) => opensEverything(sum, clients),
  enough: (sum) => sharesNeeded(sum, rosterOf(sum).length),
  limitMs: (rules) => rules.patienceMs,
  next: (sum, at) => ({
    ...handOver(sum, at),
    phase: "complete",
    advertised: sum.advertised,
    shared: sum.shared,
    inputs: sum.inputs,
    signatures: sum.signatures,
    reveals: sum.reveals,
  }),
};
