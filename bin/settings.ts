/** `--set training.optimizer.name=sgd`: single fields of federation.yaml from the command line. */
import { parse } from "yaml";
import { CodedError } from "../shared/errors.ts";

/** A copy of `config` with fields replaced; values are YAML. Throws USAGE; the caller's schema judges the result. */
export function withSettings<T extends object>(config: T, settings: readonly string[] = []): T {
  const copy = structuredClone(config);
  for (const setting of settings) {
    const [, path, text] = /^([\w.]+)=(.*)$/s.exec(setting) ?? [];
    if (path === undefined) throw new CodedError("USAGE", `--set: expected field=value, got "${setting}"`);
    const keys = path.split(".");
    const last = keys.pop() as string;
    let at = copy as Record<string, unknown>;
    for (const key of keys) {
      if (typeof at[key] !== "object" || at[key] === null || !Object.hasOwn(at, key))
        throw new CodedError("USAGE", `--set: there is no ${path} in federation.yaml`, { field: path });
      at = at[key] as Record<string, unknown>;
    }
    at[last] = valueOf(text as string, path);
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
