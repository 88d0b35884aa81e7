/** Every survivor signs the list of survivors. Until this closes nothing is revealed, and the attempt may fail freely. */
import type { CheckingConsistency } from "../state.ts";
import { rosterOf } from "./advertising-keys.ts";
import { opensEverything } from "./holding.ts";
import { handOver, names, sharesNeeded, type Phase } from "./phase.ts";

export const checkingConsistency: Phase<CheckingConsistency> = {
  step: "consistency",
  ask: () => ["survivors"],
  asked: (sum) => names(sum.inputs),
  answers: (sum) => sum.signatures,
  record: (sum, { client, signed }) => ({ ...sum, signatures: { ...sum.signatures, [client]: signed } }),
  needed: (sum) => sharesNeeded(sum, rosterOf(sum).length),
  suffices: (sum, clients) => opensEverything(sum, clients, clients),
  enough: () => null,
  limitMs: (rules) => rules.deadlines.unmaskMs,
  next: (sum, at) => ({
    ...handOver(sum, at),
    phase: "unmasking",
    advertised: sum.advertised,
    shared: sum.shared,
    inputs: sum.inputs,
    signatures: sum.signatures,
    reveals: {},
  }),
};
