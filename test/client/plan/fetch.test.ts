import { expect, test } from "@jest/globals";
import { fetchPlan } from "../../../client/plan/fetch.ts";
import type { ClientTransport, ClientTransportEvents } from "../../../client/transport/port.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { configHashOf, planOf, planText } from "../../../shared/config/plan.ts";

const plan = planText(planOf(federationConfig.parse({ federation: "lungs", labels: { scene: ["benign"] } })));

/** A connection on which this happens as soon as it is opened. */
function connection(happens: (events: ClientTransportEvents) => void): ClientTransport {
  return { open: happens, close: async () => {} } as unknown as ClientTransport;
}

test("the plan that comes is taken, when it is what its hash says", async () => {
  const says = (configHash: string) =>
    connection(({ message }) => message({ type: "plan", plan, configHash } as Parameters<typeof message>[0]));
  expect(await fetchPlan(says(configHashOf(plan)), 1_000)).toBe(plan);
  await expect(fetchPlan(says(configHashOf("other")), 1_000)).rejects.toMatchObject({ code: "PLAN_INVALID" });
});

test.each([
  ["cannot connect to https://fl.example.org: self-signed certificate", "COORDINATOR_UNREACHABLE", "self-signed"],
  ["AUTH_PENDING: the authority has not signed yet", "AUTH_PENDING", "the authority has not signed yet"],
])("without one, the last reason says why: %s", async (reason, code, words) => {
  const refused = connection(({ disconnected }) => disconnected(reason));
  await expect(fetchPlan(refused, 10)).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
});
