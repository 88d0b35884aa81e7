/**
 * Clients train (or score) and send their masked vectors. Heartbeats decide who is still at it. Without secure
 * aggregation this is the first phase: the invited are asked at once, and there is nothing to unmask afterwards.
 */
import type { CollectingMaskedInputs, MaskedInput } from "../state.ts";
import { rosterOf } from "./advertising-keys.ts";
import { handOver, names, survivorsNeeded, type Phase } from "./phase.ts";

export const collectingMaskedInputs: Phase<CollectingMaskedInputs> = {
  step: "masked-input",
  ask: (sum) => [sum.mode === "off" ? "begin" : "shares"],
  asked: (sum) => (sum.mode === "off" ? sum.invited : names(sum.shared)),
  answers: (sum) => sum.inputs,
  record: (sum, { client, signed, vector }) => {
    if (vector === null) return sum;
    const input: MaskedInput = { signed, vector: vector.hash, bytes: vector.bytes };
    return { ...sum, inputs: { ...sum.inputs, [client]: input } };
  },
  needed: (sum) => survivorsNeeded(sum, rosterOf(sum).length),
  enough: (sum) => sum.enough ?? null,
  limitMs: (rules) => (rules.deadlines.trainMs === "progress" ? null : rules.deadlines.trainMs),
  next: (sum, at) => {
    const { advertised, shared, inputs } = sum;
    const head = handOver(sum, at);
    if (sum.mode === "off") {
      return { ...head, phase: "complete", advertised, shared, inputs, signatures: {}, reveals: {} };
    }
    return { ...head, phase: "checking-consistency", advertised, shared, inputs, signatures: {} };
  },
};
