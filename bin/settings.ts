/** `--set training.optimizer.name=sgd`: single fields of federation.yaml from the command line. */
import { parse } from "yaml";
import { CodedError } from "../shared/errors.ts";

/** Fields that choose a kind: the fields beside them are those of the kind, and another kind begins with its own. */
const KINDS = new Set(["strategy.name", "aggregation.rule"]);

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
  const choosesKind = (setting: string) => KINDS.has(setting.split("=", 1)[0] as string);
  for (const setting of [...settings.filter(choosesKind), ...settings.filter((one) => !choosesKind(one))]) {
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
    const value = valueOf(text as string, path);
    if (KINDS.has(path) && at[last] !== value) for (const key of Object.keys(at)) delete at[key];
    // As a plain property, whatever it is called: the schema refuses what it does not know.
    Object.defineProperty(at, last, {
      value,
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
