/**
 * How every command speaks: results on stdout (text, or one JSON document with --json), everything else on stderr,
 * and exit codes 0 done, 1 the work failed, 2 wrong usage or configuration, 3 refused by policy, verification or
 * privacy limit.
 */
import { CommanderError } from "commander";
import { CodedError, type ErrorCode } from "../shared/errors.ts";

export type ExitCode = 0 | 1 | 2 | 3;

const REFUSED = /^(POLICY|PLAN|SESSION|RELEASE|AUTH|CERTIFICATE|TRANSCRIPT|AUDIT)_|^PRIVACY_BUDGET$/;
const WRONG_INPUT = /^(CONFIG|USAGE|MODEL|SITE|TOKEN)/;

/** The exit code that goes with an error code. */
export function exitCodeOf(code: ErrorCode): ExitCode {
  if (WRONG_INPUT.test(code)) return 2;
  return REFUSED.test(code) ? 3 : 1;
}

/** Prints the result of a command: `text` for people, `value` as JSON where `--json` was given. */
export function printResult(json: boolean | undefined, value: unknown, text: string): void {
  process.stdout.write(json === true ? `${JSON.stringify(value)}\n` : `${text}\n`);
}

/** One line of news for people; never on stdout. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Reports an error in words a person can act on and returns the exit code. With `json` it is a JSON document, too. */
export function reportError(error: unknown, json: boolean): ExitCode {
  // commander has printed its own message already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof CodedError) {
    if (json) {
      process.stdout.write(
        `${JSON.stringify({ error: { code: error.code, message: error.message, details: error.details } })}\n`,
      );
    }
    note(`error ${error.code}: ${error.message}\n  ${error.remedy}`);
    return exitCodeOf(error.code);
  }
  if (json) process.stdout.write(`${JSON.stringify({ error: { code: null, message: String(error) } })}\n`);
  note(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return 1;
}

/** Runs `work` with a signal that Ctrl-C or SIGTERM sets; a second Ctrl-C ends the process at once. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(130);
    note("stopping in an orderly way; once more to stop at once");
    controller.abort();
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  try {
    return await work(controller.signal);
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}
