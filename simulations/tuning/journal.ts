/** What a search has found so far, in one file that is replaced whole: a search that was killed goes on from it. */
import { z } from "zod";
import { hashOf } from "../../shared/canonical.ts";
import { CodedError } from "../../shared/errors.ts";
import { sha256Hex } from "../../shared/ids.ts";
import { readTextIfAny, writeFileDurably } from "../../shared/node/files.ts";

const entry = z.strictObject({
  rung: z.int().min(0),
  trial: z.int().min(0),
  /** Null where the trial failed. */
  score: z.number().nullable(),
  reason: z.string().nullable(),
  /** Of this rung alone. */
  seconds: z.number().min(0),
});
export type Entry = z.infer<typeof entry>;

const head = z.strictObject({ format: z.literal(1), search: sha256Hex });

export class Journal {
  readonly #path: string;
  readonly #head: z.infer<typeof head>;
  readonly entries: Entry[];

  private constructor(path: string, first: z.infer<typeof head>, entries: Entry[]) {
    this.#path = path;
    this.#head = first;
    this.entries = entries;
  }

  /** @param search everything that decides a result. Throws USAGE where the file is of another search. */
  static async open(path: string, search: unknown): Promise<Journal> {
    const first = { format: 1, search: hashOf(search) } as const;
    const text = await readTextIfAny(path);
    if (text === null) return new Journal(path, first, []);
    let lines: unknown[];
    try {
      lines = text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown);
    } catch (cause) {
      throw new CodedError("USAGE", `${path} is no journal of a search: choose another --out`, { path }, { cause });
    }
    const found = head.safeParse(lines[0]);
    const entries = z.array(entry).safeParse(lines.slice(1));
    if (found.data?.search !== first.search || !entries.success) {
      throw new CodedError("USAGE", `${path} is of another search: choose another --out, or remove the folder`, {
        path,
      });
    }
    return new Journal(path, first, entries.data);
  }

  of(rung: number, trial: number): Entry | null {
    return this.entries.find((each) => each.rung === rung && each.trial === trial) ?? null;
  }

  /** Durable when resolved. */
  async add(result: Entry): Promise<void> {
    this.entries.push(result);
    const lines = [this.#head, ...this.entries].map((each) => JSON.stringify(each));
    await writeFileDurably(this.#path, `${lines.join("\n")}\n`);
  }
}
