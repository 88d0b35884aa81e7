/** The import rules of the architecture hold, and a planted violation of each is caught. */
import { describe, expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const oxlint = join(root, "node_modules/.bin/oxlint");

/** Lints the given files alone, under the project's own configuration. */
function lint(files: Record<string, string>): { status: number | null; output: string } {
  const folder = mkdtempSync(join(tmpdir(), "import-rules-"));
  try {
    cpSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
    for (const [path, source] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), source);
    }
    const run = spawnSync(oxlint, ["--deny-warnings"], { cwd: folder, encoding: "utf8" });
    return { status: run.status, output: run.stdout + run.stderr };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const target = {
  "client/a.ts": "export const a = 1;\n",
  "coordinator/a.ts": "export const a = 1;\n",
  "models/a.ts": "export const a = 1;\n",
};

describe("import rules", () => {
  test.each([
    ["shared/x.ts", 'import { readFileSync } from "node:fs";\nexport const x = readFileSync;\n'],
    ["shared/x.ts", 'import * as tf from "@tensorflow/tfjs";\nexport const x = tf;\n'],
    ["shared/config/x.ts", 'import { a } from "../../client/a.ts";\nexport const x = a;\n'],
    ["shared/node/x.ts", 'import { a } from "../../coordinator/a.ts";\nexport const x = a;\n'],
    ["models/x.ts", 'import { readFileSync } from "node:fs";\nexport const x = readFileSync;\n'],
    ["models/allulook4/x.ts", 'import { a } from "../../client/a.ts";\nexport const x = a;\n'],
    ["models/allulook4/x.ts", 'import * as tf from "@tensorflow/tfjs";\nexport const x = tf;\n'],
    ["client/x.ts", 'import { a } from "../coordinator/a.ts";\nexport const x = a;\n'],
    ["coordinator/round/x.ts", 'import { a } from "../../models/a.ts";\nexport const x = a;\n'],
    ["coordinator/store/x.ts", 'import { PrismaClient } from "@prisma/client";\nexport const x = PrismaClient;\n'],
    ["coordinator/x.ts", 'import { a } from "../client/a.ts";\nexport const x = a;\n'],
    ["simulations/x.ts", 'import { a } from "../test/a.ts";\nexport const x = a;\n'],
  ])("%s may not contain its planted import", (path, source) => {
    const { status, output } = lint({ ...target, [path]: source });
    expect(output).toContain("no-restricted-imports");
    expect(status).not.toBe(0);
  });

  test("a planted cycle is caught", () => {
    const { status, output } = lint({
      "shared/a.ts": 'import { b } from "./b.ts";\nexport const a = () => b;\n',
      "shared/b.ts": 'import { a } from "./a.ts";\nexport const b = () => a;\n',
    });
    expect(output).toContain("no-cycle");
    expect(status).not.toBe(0);
  });

  test("allowed imports pass", () => {
    const { status, output } = lint({
      ...target,
      "client/x.ts": 'import { a } from "../models/a.ts";\nexport const x = a;\n',
    });
    expect(output).not.toContain("no-restricted-imports");
    expect(status).toBe(0);
  });
});
