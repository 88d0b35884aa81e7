/** docs/threat-model.md names every lie that the malicious coordinator of the tests tries, and no other. */
import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { ERRORS } from "../../shared/errors.ts";

const PLAYED = [
  "test/client/secagg/lies.test.ts",
  "test/client/secagg/sparse-lies.test.ts",
  "test/client/session/malicious-coordinator.test.ts",
];
const text = readFileSync("docs/threat-model.md", "utf8");
const rows = [...text.matchAll(/^\| (.+?) +\| `([A-Z_]+)` +\| `(test\/[^`]+)` +\|$/gm)].map(
  ([, lie = "", code = "", file = ""]) => ({ lie, code, file }),
);

/** Codes with which a client refuses in this file. */
function refusedIn(file: string): Set<string> {
  const source = readFileSync(file, "utf8");
  const found = source.matchAll(/(?:refuses\(\s*"|toBe\(\s*")([A-Z]+_[A-Z_]+)"/g);
  return new Set([...found].map(([, code = ""]) => code).filter((code) => code in ERRORS));
}

test("every row is a code that there is, raised in the test that it names", () => {
  expect(rows.length).toBeGreaterThan(35);
  for (const { lie, code, file } of rows) {
    expect([lie, Object.keys(ERRORS).includes(code)]).toEqual([lie, true]);
    expect(PLAYED).toContain(file);
    expect([lie, refusedIn(file).has(code)]).toEqual([lie, true]);
  }
  expect(new Set(rows.map(({ lie, file }) => `${lie} ${file}`)).size).toBe(rows.length);
});

test("every code with which a lie is refused is in the table", () => {
  const listed = new Set(rows.map(({ code }) => code));
  expect(PLAYED.flatMap((file) => [...refusedIn(file)]).filter((code) => !listed.has(code))).toEqual([]);
});

test("the malicious coordinator of the tests never signs with the authority's key", () => {
  for (const file of PLAYED) {
    const source = readFileSync(file, "utf8");
    const signed = [...source.matchAll(/issue(?:Certificate|RevocationList)\(\s*([\w.!]+)/g)].map(([, key]) => key);
    expect([file, signed.filter((key) => /authority/.test(key ?? ""))]).toEqual([file, []]);
  }
});
