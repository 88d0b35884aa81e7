/** `--set training.optimizer.name=sgd`: single fields of federation.yaml from the command line. */
import { parse } from "yaml";
import { CodedError } from "../shared/errors.ts";

/**
 * A copy of `config` with fields replaced; values are YAML. Throws USAGE; the caller's schema judges the result.
 *
 * @param elsewhere fields that have an option of their own, by the option
 */
export function withSettings<T extends object>(
  config: T,
  settings: readonly string[] = [],
  elsewhere: Readonly<Record<string, string>> = {},
): T {
  const copy = structuredClone(config);
  for (const setting of settings) {
    const [, path, text] = /^([\w.]+)=(.*)$/s.exec(setting) ?? [];
    if (path === undefined) throw new CodedError("USAGE", `--set: expected field=value, got "${setting}"`);
    const option = Object.entries(elsewhere).find(([field]) => path === field || path.startsWith(`${field}.`))?.[1];
    if (option !== undefined) throw new CodedError("USAGE", `--set ${path}: use ${option}`, { field: path });
    const keys = path.split(".");
    const last = keys.pop() as string;
    let at = copy as Record<string, unknown>;
    for (const key of keys) {
      if (typeof at[key] !== "object" || at[key] === null || !Object.hasOwn(at, key))
        throw new CodedError("USAGE", `--set: there is no ${path} in federation.yaml`, { field: path });
      at = at[key] as Record<string, unknown>;
    }
    // As a plain property, whatever it is called: the schema refuses what it does not know.
    Object.defineProperty(at, last, {
      value: valueOf(text as string, path),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return copy;
}

function valueOf(text: string, path: string): unknown {
  try {
    return parse(text) as unknown;
  } catch (error) {
    throw new CodedError("USAGE", `--set ${path}: ${String(error)}`, { field: path }, { cause: error });
  }
}
