/** A simulation whose clients are left out for good ends by itself: nobody comes back to one process. */
import { expect, test } from "@jest/globals";
import type { Trainer } from "../../client/training/trainer.ts";
import { checkFederationConfig } from "../../coordinator/config.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import type { ClientName } from "../../shared/ids.ts";
import { simulateFederation } from "../../simulations/federation.ts";
import { noOpTrainer } from "../../simulations/population/no-op-trainer.ts";

test("rounds that too few clients can do fail soon, and then the federation", async () => {
  const { config } = checkFederationConfig(
    federationConfig.parse({
      federation: "left-out",
      labels: { depth: { kind: "relative" } },
      schedule: { rounds: 1, cohort: { min: 3, max: 3 } },
    }),
  );
  const good = noOpTrainer(8);
  const train: Trainer["train"] = () =>
    Promise.resolve({ delta: new Float32Array(8).fill(Number.NaN), examplesSeen: 1, lossSum: 0, lossCount: 1 });
  const bad: Trainer = { ...good, train };
  const names = ["a", "b", "c"] as ClientName[];
  const { rounds, reason } = await simulateFederation({
    config,
    trainers: new Map(names.map((name, i) => [name, i === 0 ? bad : good])),
    initialParams: () => Promise.resolve(new Float32Array(8)),
    out: null,
    options: { evaluationEvery: 0, publish: false, failures: 1 },
  });
  expect(rounds.at(-1)).toMatchObject({ status: "failed", excluded: [{ client: "a", code: "UPDATE_NOT_FINITE" }] });
  expect(reason.code).toBe("ROUND_FAILED");
}, 60_000);
