import { expect, test } from "@jest/globals";
import { inWords } from "../../../bin/commands/operator.ts";
import type { CoordinatorStatus } from "../../../coordinator/create.ts";

test("status says in words what is done and who is there", () => {
  const member = { connected: true, ready: true, version: 3, progress: null };
  const status = {
    phase: "collecting-masked-inputs",
    round: 4,
    attempt: 2,
    version: 3,
    completed: 3,
    paused: true,
    reason: null,
    privacy: null,
    clients: [
      { ...member, name: "north", progress: { step: 5, steps: 20 } },
      { ...member, name: "south-east", connected: false, version: -1 },
      { ...member, name: "west", ready: false },
    ],
  } as unknown as CoordinatorStatus;
  expect(inWords(status).split("\n")).toEqual([
    "paused, round 4: collecting-masked-inputs, attempt 2",
    "3 rounds completed; newest version 3",
    "  north       ready, version 3, step 5 of 20",
    "  south-east  away, no version",
    "  west        connected, not ready, version 3",
  ]);
  const failed = { ...status, phase: "failed", attempt: 0, reason: { code: "ROUND_TOO_FEW", message: "too few" } };
  expect(inWords(failed)).toContain("\nROUND_TOO_FEW: too few\n");
  const spent = { unit: "client", epsilon: 3.25, delta: 1e-5, budget: 8, left: 4.75, spentRounds: 2, roundsLeft: 5 };
  expect(inWords({ ...status, privacy: spent } as CoordinatorStatus)).toContain(
    "\nprivacy: epsilon 3.250 of 8 spent (4.750 left), delta 0.00001, for each whole site, in 2 rounds; enough for 5 more",
  );
});
