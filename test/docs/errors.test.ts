import { expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { errorPage } from "../../bin/error-page.ts";

test("docs/errors.md lists every error as the code has it", () => {
  expect(readFileSync(resolve(import.meta.dirname, "../../docs/errors.md"), "utf8")).toBe(errorPage());
});
