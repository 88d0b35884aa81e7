/** The site's round log as a file: one JSON line per entry, synced before `append` resolves. */
import { open } from "node:fs/promises";
import { readTextIfAny, writeFileDurably } from "../../shared/node/files.ts";
import { CodedError } from "../../shared/errors.ts";
import { roundLogEntry, type RoundLog, type RoundLogEntry } from "./round-log.ts";

/** Opens or begins the log. STORE_CORRUPT when a whole line is no entry: then nothing is known and nothing is revealed. */
export async function openRoundLog(path: string): Promise<RoundLog> {
  const text = (await readTextIfAny(path)) ?? "";
  const end = text.lastIndexOf("\n") + 1;
  const lines = text.slice(0, end).split("\n").slice(0, -1);
  const entries = lines.map((line, i) => readEntry(path, i + 1, line));
  // Writes the folder entry; drops a line torn by a crash, whose act never became visible.
  if (text === "" || end < text.length) await writeFileDurably(path, text.slice(0, end), 0o600);
  let last = Promise.resolve();
  return {
    entries: () => entries,
    append(entry) {
      const written = last.then(async () => {
        const file = await open(path, "a", 0o600);
        try {
          await file.appendFile(`${JSON.stringify(entry)}\n`);
          await file.sync();
        } finally {
          await file.close();
        }
        entries.push(entry);
      });
      last = written.catch(() => {});
      return written;
    },
  };
}

function readEntry(path: string, line: number, text: string): RoundLogEntry {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // refused below
  }
  const parsed = roundLogEntry.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CodedError("STORE_CORRUPT", `${path}: line ${line} is no entry of the round log`, { file: path, line });
}
