/** The client's log for people: one line each on stderr, with the code that the documentation explains. */
import type { Log } from "./session/ports.ts";

export function consoleLog(write: (line: string) => void = (line) => void process.stderr.write(line)): Log {
  const line = (level: string) => (facts: object, words: string) => {
    const { code } = facts as { readonly code?: string };
    const time = new Date().toISOString().slice(0, 19).replace("T", " ");
    write(`${time} ${level}${words}${code === undefined ? "" : ` [${code}]`}\n`);
  };
  return { info: line(""), warn: line("warning: "), error: line("error: ") };
}
