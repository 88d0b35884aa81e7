/** What a suite has measured so far, in one file that is replaced whole: a suite that was interrupted goes on from it. */
import { z } from "zod";
import { hashOf } from "../../shared/canonical.ts";
import { CodedError } from "../../shared/errors.ts";
import { sha256Hex } from "../../shared/ids.ts";
import { readTextIfAny, writeFileDurably } from "../../shared/node/files.ts";
import { ATTACKS } from "./attackers.ts";
import { MODES, ROBUST_RULES, type Cell, type CellResult, type SuiteSetting } from "./suite.ts";

const cellResult = z.strictObject({
  mode: z.enum(MODES),
  rule: z.enum(ROBUST_RULES),
  attack: z.enum(ATTACKS).nullable(),
  share: z.number().min(0).max(1),
  attackers: z.int().min(0),
  accuracy: z.number().nullable(),
  backdoor: z.number().nullable(),
  seconds: z.number().min(0),
});
const file = z.strictObject({ format: z.literal(1), setting: sha256Hex, results: z.array(cellResult) });

/** What decides a cell's result; which cells there are does not. */
function identityOf({ modes: _modes, rules: _rules, attacks: _attacks, shares: _shares, ...deciding }: SuiteSetting) {
  return hashOf(deciding);
}

export class Results {
  readonly #path: string;
  readonly #setting;
  readonly all: CellResult[];

  private constructor(path: string, setting: ReturnType<typeof identityOf>, all: CellResult[]) {
    this.#path = path;
    this.#setting = setting;
    this.all = all;
  }

  /** Throws USAGE where the file is of another setting, or no such file. */
  static async open(path: string, setting: SuiteSetting): Promise<Results> {
    const identity = identityOf(setting);
    const text = await readTextIfAny(path);
    if (text === null) return new Results(path, identity, []);
    let value: unknown = null;
    try {
      value = JSON.parse(text);
    } catch {
      // Said below.
    }
    const found = file.safeParse(value);
    if (!found.success || found.data.setting !== identity) {
      const message = `${path} is of another setting: choose another --out, or remove the file`;
      throw new CodedError("USAGE", message, { path });
    }
    return new Results(path, identity, found.data.results);
  }

  of({ mode, rule, attack, share }: Cell): CellResult | null {
    const same = (one: CellResult) =>
      one.mode === mode && one.rule === rule && one.attack === attack && one.share === share;
    return this.all.find(same) ?? null;
  }

  /** Durable when resolved. */
  async add(result: CellResult): Promise<void> {
    this.all.push(result);
    await writeFileDurably(this.#path, `${JSON.stringify({ format: 1, setting: this.#setting, results: this.all })}\n`);
  }
}
