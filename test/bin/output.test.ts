import { expect, test } from "@jest/globals";
import { exitCodeOf } from "../../bin/output.ts";

test.each([
  ["CONFIG_INVALID", 2],
  ["USAGE", 2],
  ["MODEL_UNKNOWN", 2],
  ["SITE_INCOMPLETE", 2],
  ["TOKEN_EXPIRED", 2],
  ["POLICY_NOT_APPROVED", 3],
  ["PLAN_INVALID", 3],
  ["SESSION_SIGNATURE", 3],
  ["RELEASE_SIGNATURE", 3],
  ["AUTH_REFUSED", 3],
  ["PRIVACY_BUDGET", 3],
  ["DATA_INVALID", 1],
  ["STORE_FULL", 1],
  ["COORDINATOR_UNREACHABLE", 1],
] as const)("%s ends a command with exit code %d", (code, exit) => {
  expect(exitCodeOf(code)).toBe(exit);
});
