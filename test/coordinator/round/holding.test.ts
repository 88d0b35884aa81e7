import { describe, expect, test } from "@jest/globals";
import { opensEverything } from "../../../coordinator/round/phases/holding.ts";
import type { ByClient, Unmasking } from "../../../coordinator/round/state.ts";
import type { ClientName } from "../../../shared/ids.ts";
import type { SignedStep } from "../../../shared/secagg/signed.ts";
import { sharingGraph } from "../../../shared/secagg/sharing-graph.ts";
import { GRAPH, SPARSE_GRAPH } from "../../fakes/secagg.ts";

const N = 8;
const SMALL = SPARSE_GRAPH;
const NAMES = Array.from({ length: N }, (_, i) => `site-${i}` as ClientName);

/** Everyone has picked the four after it; `gone` sent no masked input. */
function unmasking(gone: readonly number[], graph = SMALL): Unmasking {
  const shared = NAMES.map((name, i) => {
    const holders = [0, 1, 2, 3, 4].map((step) => NAMES[(i + step) % N] as ClientName).toSorted();
    return [name, { payload: JSON.stringify({ shares: holders.map((to) => ({ to })) }) }] as const;
  });
  const inputs = NAMES.flatMap((name, i) => (gone.includes(i) ? [] : [[name, {}] as const]));
  return {
    mode: "malicious",
    graph,
    advertised: Object.fromEntries(NAMES.map((name) => [name, {}])) as unknown as ByClient<SignedStep>,
    shared: Object.fromEntries(shared) as unknown as ByClient<SignedStep>,
    inputs: Object.fromEntries(inputs),
  } as unknown as Unmasking;
}

const without = (...gone: number[]) => NAMES.filter((_, i) => !gone.includes(i));

describe("who can open every secret that is needed", () => {
  test("four of the five holders of each", () => {
    expect(sharingGraph(N, "malicious", SMALL)).toMatchObject({ neighbours: 4, limits: { selfMask: 4, maskKey: 4 } });
    expect(opensEverything(unmasking([]), NAMES)).toBe(true);
    expect(opensEverything(unmasking([]), without(3))).toBe(true);
    // Two that stand next to each other are holders of one client; two far apart are, too, of one between them.
    expect(opensEverything(unmasking([]), without(3, 4))).toBe(false);
    expect(opensEverything(unmasking([]), without(0, 4))).toBe(false);
  });

  test("of a dropout all four others, as it gives nothing itself", () => {
    expect(opensEverything(unmasking([7]), without(7))).toBe(true);
    expect(opensEverything(unmasking([7]), without(7, 0))).toBe(false);
  });

  test("only those count whose own holders have signed", () => {
    const sum = unmasking([]);
    expect(opensEverything(sum, NAMES, NAMES)).toBe(true);
    expect(opensEverything(sum, without(3), without(3))).toBe(true);
    // Six have signed, and each secret has four holders among nobody's six.
    expect(opensEverything(sum, without(3, 4), without(3, 4))).toBe(false);
  });

  test("on the complete graph whoever they are", () => {
    expect(opensEverything(unmasking([], GRAPH), NAMES.slice(0, 6))).toBe(true);
  });
});
