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

/** A whole number of at least 1. */
export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError("expected a whole number of at least 1");
  }
  return value;
}

/** A finite number. */
export function number(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || text.trim() === "") throw new InvalidArgumentError("expected a number");
  return value;
}
