import { describe, expect, test } from "@jest/globals";
import { parseConfig } from "../../../shared/config/parse.ts";
import { siteConfig } from "../../../shared/config/site.ts";
import { CodedError } from "../../../shared/errors.ts";

const coordinator = "https://fl.example.org";

function problem(value: unknown): { field: unknown; message: string } {
  try {
    parseConfig(siteConfig, value, "site.yaml");
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    expect(error.code).toBe("CONFIG_INVALID");
    return { field: error.details["field"], message: error.message };
  }
  throw new Error("was accepted");
}

describe("site.yaml", () => {
  test("fills in the defaults of a protective site", () => {
    const site = parseConfig(siteConfig, { coordinator }, "site.yaml");
    expect(site).toEqual({
      coordinator,
      data: "./data",
      labels: { map: {} },
      teacher: null,
      policy: {
        approve: "every-change",
        minCohort: 4,
        minSurvivors: 3,
        minGroup: 3,
        minCorruptionRate: 0.1,
        requireSecureAggregation: "malicious",
        privacy: { maxEpsilon: null, delta: 1e-5, maxClipNorm: null },
        models: ["allulook4"],
        allowVoid: true,
        allowRestored: false,
        hours: null,
        cpu: { threads: 2, nice: 10 },
        bandwidth: { up: null, down: null },
      },
    });
  });

  test("reads hours and bandwidth", () => {
    const { policy } = parseConfig(
      siteConfig,
      { coordinator, policy: { hours: "19:00-06:00", bandwidth: { up: "2MB/s" } } },
      "site.yaml",
    );
    expect(policy.bandwidth).toEqual({ up: 2_000_000, down: null });
    expect(policy.hours?.windows[0]).toMatchObject({ from: 19 * 60, to: 6 * 60 });
  });

  test.each([
    [null, "(the whole file)", "expected object"],
    [{}, "coordinator", "got nothing"],
    [{ coordinator: "ftp://example.org" }, "coordinator", 'got "ftp://example.org"'],
    [{ coordinator, polcy: {} }, "polcy", "Unrecognized key"],
    [{ coordinator, policy: { minCohort: "4" } }, "policy.minCohort", "expected number"],
    [{ coordinator, policy: { minCohort: 0 } }, "policy.minCohort", "got 0"],
    [{ coordinator, policy: { hours: "25:00-06:00" } }, "policy.hours", "no such time of day"],
    [{ coordinator, policy: { bandwidth: { up: "2MB" } } }, "policy.bandwidth.up", "expected a bandwidth"],
    [{ coordinator, policy: { approve: "never" } }, "policy.approve", "every-change"],
    [{ coordinator, policy: { models: [] } }, "policy.models", "Too small"],
    [{ coordinator, policy: { cpu: { nice: 20 } } }, "policy.cpu.nice", "got 20"],
    [{ coordinator, labels: { map: { mass: 3 } } }, "labels.map.mass", "got 3"],
  ])("names the field of %j", (value, field, words) => {
    const found = problem(value);
    expect(found.field).toBe(field);
    expect(found.message).toContain(field);
    expect(found.message).toContain(words);
  });

  test("names every wrong field at once", () => {
    const { message } = problem({ policy: { minCohort: -1, allowVoid: "yes" } });
    for (const field of ["coordinator", "policy.minCohort", "policy.allowVoid"]) expect(message).toContain(field);
  });
});
