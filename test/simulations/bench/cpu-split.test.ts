import { expect, test } from "@jest/globals";
import { shares, splitCpu } from "../../../simulations/bench/cpu-split.ts";

const frame = (functionName: string, url: string) => ({
  functionName,
  url,
  scriptId: "1",
  lineNumber: 1,
  columnNumber: 1,
});

test("a sample counts for the innermost rule, and for the innermost party around it", () => {
  const nodes = [
    { id: 1, callFrame: frame("(root)", ""), children: [2, 6, 8] },
    { id: 2, callFrame: frame("answer", "/dist/client/session.js"), children: [3] },
    { id: 3, callFrame: frame("message", "/dist/coordinator/inbox.js"), children: [4] },
    { id: 4, callFrame: frame("verify", "/dist/shared/crypto.js"), children: [5] },
    { id: 5, callFrame: frame("native", ""), children: [] },
    { id: 6, callFrame: frame("(idle)", "") },
    { id: 8, callFrame: frame("open", "/dist/client/boxes.js"), children: [9, 10] },
    { id: 9, callFrame: frame("(garbage collector)", "") },
    { id: 10, callFrame: frame("verify", "/dist/shared/crypto.js") },
  ];
  const profile = { nodes, startTime: 0, endTime: 0, samples: [5, 5, 6, 9, 10, 8], timeDeltas: [1, 2, 4, 8, 16, 32] };
  const rules = [{ what: "signatures", url: "shared/crypto", name: /^verify$/ }];
  expect(shares(profile, rules, { client: "/client/", coordinator: "/coordinator/" })).toEqual(
    new Map([
      ["coordinator signatures", 3],
      ["garbage collection", 8],
      ["client signatures", 16],
      ["client rest", 32],
    ]),
  );
});

test("the parts are as much as the whole", async () => {
  const busy = async () => {
    let sum = 0;
    for (const end = performance.now() + 200; performance.now() < end;) sum += Math.sqrt(sum + 1);
    return sum;
  };
  const { result, split } = await splitCpu([], {}, busy);
  expect(result).toBeGreaterThan(0);
  const total = split.get("in all") ?? 0;
  const parts = [...split].reduce((sum, [what, seconds]) => sum + (what === "in all" ? 0 : seconds), 0);
  expect(total).toBeGreaterThan(0.02);
  expect(parts).toBeCloseTo(total, 5);
});
