/** Clients that train without their labels, and all clients' samples as one party's. */
import { expect, test } from "@jest/globals";
import type { ClientName } from "../../shared/ids.ts";
import { pooled, withoutLabels, type ClientData } from "../../simulations/arrange.ts";

const clients = ["a", "b", "c"].map((name, i): ClientData => {
  return { name: name as ClientName, parts: [{ dir: name }], split: { train: [0, 2], evaluation: i === 2 ? [] : [1] } };
});

test("the last clients' training labels are not looked at; all are scored as before", () => {
  const sites = withoutLabels(clients, 2);
  expect(sites.map(({ split }) => split.unlabelled)).toEqual([undefined, [0, 2], [0, 2]]);
  expect(sites.map(({ split }) => split.evaluation)).toEqual([[1], [1], []]);
  expect(withoutLabels(clients, 0)).toEqual(clients);
  expect(() => withoutLabels(clients, 3)).toThrow(expect.objectContaining({ code: "USAGE" }));
});

test("central training on the same samples looks at the same labels", () => {
  const { split, parts } = pooled(withoutLabels(clients, 1));
  expect(parts.length).toBe(3);
  expect(split).toEqual({ train: [0, 2, 3, 5, 6, 8], evaluation: [1, 4], unlabelled: [6, 8] });
});
