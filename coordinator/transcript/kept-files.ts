/** The files of one session's evidence, as an auditor reads them; each refusal names the file. */
import type { z } from "zod";
import { CodedError } from "../../shared/errors.ts";
import type { ReleaseFolder } from "../../shared/release/verify.ts";

export class KeptFiles {
  readonly #folder: ReleaseFolder;

  constructor(folder: ReleaseFolder) {
    this.#folder = folder;
  }

  /** TRANSCRIPT_EVIDENCE where it is missing. */
  async bytes(path: string): Promise<Uint8Array> {
    return (await this.#folder.read(path)) ?? wrong(path, "it is missing");
  }

  /** TRANSCRIPT_EVIDENCE where it is missing or damaged. */
  async json<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    const text = new TextDecoder().decode(await this.bytes(path));
    try {
      const parsed = schema.safeParse(JSON.parse(text));
      if (parsed.success) return parsed.data;
    } catch {
      // Refused below.
    }
    return wrong(path, "it is damaged");
  }

  async has(path: string): Promise<boolean> {
    return (await this.#folder.read(path)) !== null;
  }
}

/** The beginning of a hash, for people. */
export function short(hash: string): string {
  return `${hash.slice(0, 16)}…`;
}

export function wrong(field: string, what: string): never {
  throw new CodedError("TRANSCRIPT_EVIDENCE", `${field}: ${what}`, { field });
}
