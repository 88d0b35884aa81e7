/** Numbers on the command line. */
import { InvalidArgumentError } from "commander";

/** A whole number of at least 0. */
export function integer(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0 || text.trim() === "") {
    throw new InvalidArgumentError("expected a whole number of at least 0");
  }
  return value;
}

/** A finite number. */
export function number(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || text.trim() === "") throw new InvalidArgumentError("expected a number");
  return value;
}
