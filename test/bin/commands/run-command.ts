/** Runs a command of `allulook` in the test's own process. */
import { jest } from "@jest/globals";
import { Command } from "commander";
import { reportError } from "../../../bin/output.ts";

/** What it wrote, and its exit code; `register` is the command's, `words` what a person types behind `allulook`. */
export async function runCommand(
  register: (program: Command) => void,
  ...words: string[]
): Promise<{ out: string; err: string; code: number }> {
  const written = { out: "", err: "" };
  process.exitCode = 0;
  for (const [stream, name] of [
    [process.stdout, "out"],
    [process.stderr, "err"],
  ] as const) {
    jest.spyOn(stream, "write").mockImplementation((text) => {
      written[name] += String(text);
      return true;
    });
  }
  const program = new Command("allulook").exitOverride();
  register(program);
  for (const command of program.commands) command.exitOverride();
  try {
    await program.parseAsync(words, { from: "user" });
  } catch (error) {
    process.exitCode = reportError(error, words.includes("--json"));
  }
  const code = Number(process.exitCode);
  process.exitCode = 0;
  jest.restoreAllMocks();
  return { ...written, code };
}
