/** What set-up found out about the native engine, kept beside it so that nothing is tried twice. */
import { accessSync, constants } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { z } from "zod";

const statusSchema = z.strictObject({
  schema: z.literal(3),
  installed: z.boolean(),
  /** Name of the engine's folder below the engine root; null when not installed by set-up. */
  folder: z.string().nullable(),
  version: z.string().nullable(),
  /** How it was got, or why not, in words. */
  reason: z.string(),
  /** Tools found when it was tried: another set of tools is worth another try. */
  tools: z.array(z.string()),
  seconds: z.number(),
});

export type EngineStatus = z.infer<typeof statusSchema>;

/** Reads the status; null when there is none, or one of another kind. */
export async function readStatus(root: string): Promise<EngineStatus | null> {
  try {
    return statusSchema.parse(JSON.parse(await readFile(join(root, "status.json"), "utf8")));
  } catch {
    return null;
  }
}

export async function writeStatus(root: string, status: EngineStatus): Promise<void> {
  const temporary = join(root, `status.${process.pid}.json`);
  await writeFile(temporary, `${JSON.stringify(status, null, 2)}\n`);
  await rename(temporary, join(root, "status.json"));
}

/** Paths of the tools that provisioning can use, found without starting any of them. */
export function toolsOnPath(): string[] {
  const names = ["python3", "python", "g++", "clang++", "c++"];
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const found = names.flatMap((name) => {
    const path = folders.map((folder) => join(folder, name)).find(isExecutable);
    return path === undefined ? [] : [path];
  });
  return process.env["CXX"] ? [...found, process.env["CXX"]] : found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
