/** What an offline check found: each check by name, with where it failed or why it could not be made. */
import { isCoded } from "../errors.ts";

export interface Finding {
  /** The session, as its file is named; null: all of them together. */
  readonly session: string | null;
  readonly check: string;
  readonly status: "passed" | "failed" | "skipped";
  /** Of a failure. */
  readonly code?: string;
  /** Of a failure what is wrong, of a check that was skipped why. */
  readonly message?: string;
}

/** A check: null when it passed, words where it could not be made; throws a coded error when it failed. */
export type Check = readonly [name: string, run: () => string | null | void | Promise<string | null | void>];

/** Makes the checks one after the other, up to the first that fails: those behind it build on it. Whether none did. */
export async function runChecks(
  findings: Finding[],
  session: string | null,
  checks: readonly Check[],
): Promise<boolean> {
  for (const [check, run] of checks) {
    try {
      const why = (await run()) ?? null;
      findings.push(
        why === null ? { session, check, status: "passed" } : { session, check, status: "skipped", message: why },
      );
    } catch (error) {
      if (!isCoded(error)) throw error;
      findings.push({ session, check, status: "failed", code: error.code, message: error.message });
      return false;
    }
  }
  return true;
}
