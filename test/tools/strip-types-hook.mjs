/** `node --import` this file to run the TypeScript sources in a child process of a test, on every Node. */
import { readFile } from "node:fs/promises";
import { register } from "node:module";
import { fileURLToPath } from "node:url";
import { transformSync } from "amaro";

/** Module hook: removes the types. */
export async function load(url, context, next) {
  if (!url.startsWith("file:") || !url.endsWith(".ts")) return next(url, context);
  const source = await readFile(fileURLToPath(url), "utf8");
  return { format: "module", shortCircuit: true, source: transformSync(source, { mode: "strip-only" }).code };
}

if (!import.meta.url.endsWith("?hook")) register(`${import.meta.url}?hook`);
