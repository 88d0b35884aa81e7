/** Runs the other programs that provisioning needs (pip, a compiler, tar) and keeps what they said. */
import { spawn } from "node:child_process";

export interface CommandResult {
  /** Exit status; null when the program was ended by a signal or could not be started. */
  readonly status: number | null;
  /** Standard output and error together, at most the last 20,000 characters. */
  readonly output: string;
  /** False when there is no such program. */
  readonly found: boolean;
}

/**
 * Runs a program to its end; never throws.
 *
 * @param timeoutMs after which it is ended
 */
export function runCommand(
  program: string,
  args: readonly string[],
  options: { readonly timeoutMs: number; readonly env?: Readonly<Record<string, string>>; readonly cwd?: string },
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
      timeout: options.timeoutMs,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    let output = "";
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString("utf8")).slice(-20_000);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.once("error", (error: NodeJS.ErrnoException) => {
      resolve({ status: null, output: error.message, found: error.code !== "ENOENT" });
    });
    child.once("close", (status) => resolve({ status, output, found: true }));
  });
}

/** The line of a program's output that most likely says what went wrong. */
export function lastErrorLine(output: string): string {
  const lines = output
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? "no message").slice(0, 300);
}
