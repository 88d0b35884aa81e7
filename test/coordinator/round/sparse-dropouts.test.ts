/**
 * The reducer on a sparse graph, nine clients in a ring, each of whose holders are itself and the four after it: it goes on
 * exactly where the holders of every secret are there, whoever vanishes when.
 */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { opensEverything } from "../../../coordinator/round/phases/holding.ts";
import type { Unmasking } from "../../../coordinator/round/state.ts";
import { currentSum } from "../../../coordinator/round/transition.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { sharingGraph } from "../../../shared/secagg/sharing-graph.ts";
import { fakeRules, RoundTable } from "../../fakes/round-table.ts";
import { SPARSE_GRAPH } from "../../fakes/secagg.ts";

const N = 9;
const NAMES = Array.from({ length: N }, (_, i) => `site-${i}` as ClientName);
const STEPS = [
  "training sharing-keys",
  "training collecting-masked-inputs",
  "training checking-consistency",
  "training unmasking",
] as const;

const holders = (i: number) => [0, 1, 2, 3, 4].map((step) => NAMES[(i + step) % N] as ClientName).toSorted();

class Ring extends RoundTable {
  /** Shares as real clients send them, as far as the reducer reads them. */
  override step(client: string, step: Parameters<RoundTable["step"]>[1], payload?: string): void {
    if (step !== "share-keys") super.step(client, step, payload);
    else {
      const shares = holders(NAMES.indexOf(client as ClientName)).map((to) => ({ to }));
      super.step(client, step, JSON.stringify({ shares }));
    }
  }
}

function roundWithout(fates: readonly (number | null)[]): { table: Ring; seen: Unmasking | null } {
  const table = new Ring(
    fakeRules({ cohort: { fraction: 1, min: N, max: 16, overSelect: 1 }, attempts: 1, graph: SPARSE_GRAPH }),
  );
  table.state = { ...table.state, round: 0 };
  table.come(...NAMES);
  const alive = new Set<string>(NAMES);
  let seen: Unmasking | null = null;
  for (let i = 0; i < 40; i++) {
    const { phase } = table;
    const before = currentSum(table.state);
    if (before?.phase === "unmasking") seen = before;
    if (!phase.startsWith("training")) break;
    for (const [client, fate] of fates.entries()) {
      if (fate !== null && STEPS[fate] === phase && alive.delete(NAMES[client] as string)) {
        table.go(NAMES[client] as string);
      }
    }
    table.answer(...[...alive].filter(() => table.phase === phase));
    if (table.phase === phase) for (let s = 0; s < 4; s++) table.pass(1_000, [...alive]);
  }
  return { table, seen };
}

test("whoever vanishes when", () => {
  const { neighbours, limits } = sharingGraph(N, "malicious", SPARSE_GRAPH);
  expect([neighbours, limits.selfMask, limits.maskKey]).toEqual([4, 4, 4]);
  const ends = new Map<string, number>();
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof({ weight: 6, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.nat(STEPS.length - 1) }),
        { minLength: N, maxLength: N },
      ),
      (fates) => {
        const { table, seen } = roundWithout(fates);
        ends.set(table.phase, (ends.get(table.phase) ?? 0) + 1);
        const there = (step: number) => NAMES.filter((_, i) => (fates[i] ?? STEPS.length) > step);
        const asked = table.effects.some((e) => e.type === "send" && e.message.type === "signatures");
        const enough = there(1).length >= 7;
        // Signed by those who stay for the check; opened by those who stay to the end.
        const sum = seen ?? ({} as Unmasking);
        if (table.phase === "failed") {
          expect(asked).toBe(false);
          expect(seen).toBe(null);
          return;
        }
        expect(enough && asked).toBe(true);
        expect(opensEverything(sum, there(2), there(2))).toBe(true);
        // Shares may be known: without enough of them nothing but the same list can end it, so it waits or is void.
        expect(table.phase === "updating").toBe(opensEverything(sum, there(3)));
        if (table.phase !== "updating") expect(["training unmasking", "void"]).toContain(table.phase);
      },
    ),
    { numRuns: 150, seed: 4 },
  );
  for (const phase of ["failed", "updating", "training unmasking"]) expect(ends.get(phase) ?? 0).toBeGreaterThan(0);
});
