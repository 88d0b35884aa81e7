/** Every TypeScript block in the documentation compiles against the code as it is. */
import { expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const pages = [
  "README.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

test("TypeScript blocks of README and docs compile", () => {
  // Beside the sources, so that the same relative imports and node_modules resolve.
  const folder = join(root, ".snippets");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  try {
    let count = 0;
    for (const page of pages) {
      for (const [, code] of readFileSync(join(root, page), "utf8").matchAll(/```ts\n([\s\S]*?)```/g)) {
        writeFileSync(join(folder, `${page.replaceAll(/\W/g, "-")}-${count}.ts`), `${code}\nexport {};\n`);
        count++;
      }
    }
    expect(count).toBeGreaterThan(0);
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ extends: "../tsconfig.json", compilerOptions: { noEmit: true }, include: ["*.ts"] }),
    );
    const run = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" });
    expect(run.stdout + run.stderr).toBe("");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
