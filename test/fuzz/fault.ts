/** What a decoder may do with any bytes: give a value or throw a coded error, soon. */
import { isCoded } from "../../shared/errors.ts";
import type { Target } from "./targets.ts";

/** Longer than this is a way to keep a coordinator busy. */
const SLOW_MS = 2_000;

/** What is wrong with how these bytes were read, without what differs from input to input; null: nothing. */
export async function fault(target: Target, bytes: Uint8Array): Promise<string | null> {
  const started = performance.now();
  try {
    await target.read(bytes);
  } catch (error) {
    if (!isCoded(error)) {
      const { name, message, stack = "" } = error as Error;
      const at = stack.split("\n").find((line) => /\((?:file:\/\/)?\/.*(?:shared|client|coordinator)\//.test(line));
      return `${name}: ${message.slice(0, 60)} ${at?.trim().replace(/\(.*\/((?:shared|client|coordinator)\/)/, "($1") ?? ""}`;
    }
  }
  const ms = performance.now() - started;
  return ms > SLOW_MS ? `took ${Math.round(ms / 1_000)} s` : null;
}
