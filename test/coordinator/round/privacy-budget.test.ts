/** The coordinator's budget: counted in the durable state, whatever becomes of an attempt, and kept. */
import { describe, expect, test } from "@jest/globals";
import { parseFederationConfig } from "../../../coordinator/config.ts";
import { budgetReason, privacyRules, privacyStatus, spentBy } from "../../../coordinator/round/privacy-budget.ts";
import type { SumComplete } from "../../../coordinator/round/state.ts";
import { fakeRules, RoundTable } from "../../fakes/round-table.ts";

const CONFIG = `
federation: test
labels: { scene: [a, b] }
schedule: { rounds: 4 }
privacy: { unit: client, epsilon: 4 }
`;
const { config } = parseFederationConfig(CONFIG);
const rules = privacyRules(config) as NonNullable<ReturnType<typeof privacyRules>>;
const spentTimes = (times: number) => ({ [rules.mechanism]: times });

describe("the coordinator's privacy budget", () => {
  test("lets the scheduled rounds through and no more", () => {
    expect(rules.epsilon({}, 4)).toBeLessThanOrEqual(4);
    expect(rules.epsilon({}, 5)).toBeGreaterThan(4);
    expect(budgetReason(rules, spentTimes(3))).toBeNull();
    expect(budgetReason(rules, spentTimes(4))).toMatchObject({ code: "PRIVACY_BUDGET" });
    expect(budgetReason(null, spentTimes(9))).toBeNull();
  });

  test("the operator is told what was spent, what is left, and for how many of the rounds to come", () => {
    expect(privacyStatus(null, spentTimes(2), 4)).toBeNull();
    const fresh = privacyStatus(rules, undefined, 4);
    expect(fresh).toEqual({
      unit: "client",
      epsilon: 0,
      delta: 1e-5,
      budget: 4,
      left: 4,
      spentRounds: 0,
      roundsLeft: 4,
    });
    const some = privacyStatus(rules, spentTimes(3), 9) as NonNullable<typeof fresh>;
    expect(some).toMatchObject({ epsilon: rules.epsilon({}, 3), spentRounds: 3, roundsLeft: 1 });
    expect(some.left).toBeCloseTo(4 - some.epsilon, 12);
    expect(privacyStatus({ ...rules, budget: 1 }, spentTimes(3), 9)).toMatchObject({ left: 0, roundsLeft: 0 });
    expect(privacyStatus(rules, spentTimes(3), 0)).toMatchObject({ roundsLeft: 0 });
  });

  test("what an earlier plan spent counts", () => {
    const earlier = { [rules.mechanism.replace(/"stddev":(\d+)/, (_, s: string) => `"stddev":${Number(s) * 2}`)]: 8 };
    expect(rules.epsilon(earlier, 1)).toBeGreaterThan(rules.epsilon({}, 1));
    expect(budgetReason(rules, { ...earlier, ...spentTimes(3) })).toMatchObject({ code: "PRIVACY_BUDGET" });
  });

  test("an attempt costs as soon as one vector has come, and only then", () => {
    const sum = {
      privacy: rules.mechanism,
      inputs: { a: {} },
      session: { purpose: "training" },
    } as unknown as SumComplete;
    expect(spentBy(undefined, sum)).toEqual({ spent: spentTimes(1) });
    expect(spentBy(spentTimes(2), sum)).toEqual({ spent: spentTimes(3) });
    expect(spentBy(spentTimes(2), { ...sum, inputs: {} })).toEqual({ spent: spentTimes(2) });
  });

  test("the reducer counts a round, finishes with the coded reason, and the log replayed comes to the same", () => {
    const budget = rules.epsilon({}, 1) * 1.01;
    const stop = { rounds: 9, untilMetric: null, untilMs: null, failures: 9 };
    const table = new RoundTable(fakeRules({ privacy: { ...rules, budget }, stop }));
    const clients = ["a", "b", "c", "d"];
    table.come(...clients);
    table.until("finished", ...clients);
    expect(table.state).toMatchObject({ completed: 1, spent: spentTimes(1) });
    expect(table.state.current).toMatchObject({ phase: "finished", reason: { code: "PRIVACY_BUDGET" } });
    expect(table.replayed().spent).toEqual(spentTimes(1));
  });

  test("an attempt that fails after a vector came costs, too, and is not repeated beyond the budget", () => {
    const budget = rules.epsilon({}, 1) * 1.01;
    const stop = { rounds: 9, untilMetric: null, untilMs: null, failures: 9 };
    const table = new RoundTable(fakeRules({ privacy: { ...rules, budget }, stop }));
    const clients = ["a", "b", "c", "d"];
    table.come(...clients);
    table.until("training collecting-masked-inputs", ...clients);
    table.step("a", "masked-input");
    table.go(...clients);
    table.pass(120_000);
    expect(table.state.spent).toEqual(spentTimes(1));
    table.come(...clients);
    table.until("finished", ...clients);
    expect(table.state).toMatchObject({ completed: 0, spent: spentTimes(1) });
    expect(table.state.current).toMatchObject({ reason: { code: "PRIVACY_BUDGET" } });
  });
});
