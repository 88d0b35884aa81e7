/** An append-only file of one JSON value a line, each synced before `append` resolves. */
import { open } from "node:fs/promises";
import type { ZodType } from "zod";
import { CodedError } from "../errors.ts";
import { readTextIfAny, writeFileDurably } from "./files.ts";

export interface JsonLines<T> {
  entries(): readonly T[];
  /** Resolves when the entry would survive a power cut; one that rejects leaves nothing in those that follow. */
  append(entry: T): Promise<void>;
}

/** The whole lines of a file that another process may be writing; STORE_CORRUPT as {@link openJsonLines}. */
export async function readJsonLines<T>(path: string, schema: ZodType<T>, what: string): Promise<readonly T[]> {
  return (await read(path, schema, what)).entries;
}

/** Opens or begins the file. STORE_CORRUPT when a whole line is no `what`: then nothing is known and nothing goes on. */
export async function openJsonLines<T>(path: string, schema: ZodType<T>, what: string): Promise<JsonLines<T>> {
  const { text, end, entries } = await read(path, schema, what);
  // Writes the folder entry; drops a line torn by a crash, whose act never became visible.
  if (text === "" || end < text.length) await writeFileDurably(path, text.slice(0, end), 0o600);
  let length = Buffer.byteLength(text.slice(0, end));
  let torn = false;
  let last = Promise.resolve();
  return {
    entries: () => entries,
    append(entry) {
      const written = last.then(async () => {
        const line = `${JSON.stringify(entry)}\n`;
        const file = await open(path, "a", 0o600);
        try {
          // What an append left that failed, as on a full disk, would run on into this line.
          if (torn) await file.truncate(length);
          torn = true;
          await file.appendFile(line);
          await file.sync();
        } finally {
          await file.close();
        }
        torn = false;
        length += Buffer.byteLength(line);
        entries.push(entry);
      });
      last = written.catch(() => {});
      return written;
    },
  };
}

async function read<T>(
  path: string,
  schema: ZodType<T>,
  what: string,
): Promise<{ readonly text: string; readonly end: number; readonly entries: T[] }> {
  const text = (await readTextIfAny(path)) ?? "";
  const end = text.lastIndexOf("\n") + 1;
  const lines = text.slice(0, end).split("\n").slice(0, -1);
  return { text, end, entries: lines.map((line, i) => readLine(path, i + 1, line, schema, what)) };
}

function readLine<T>(path: string, line: number, text: string, schema: ZodType<T>, what: string): T {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // refused below
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CodedError("STORE_CORRUPT", `${path}: line ${line} is no ${what}`, { file: path, line });
}
