/** What docs/training.md shows of federation.yaml is accepted, and defaults that it names are the defaults. */
import { expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { parseFederationConfig } from "../../coordinator/config.ts";

const page = readFileSync(join(resolve(import.meta.dirname, "../.."), "docs/training.md"), "utf8");
const blocks = [...page.matchAll(/```yaml\n(training:[\s\S]*?)```/g)].map(([, text]) => text as string);
const configOf = (text: string) =>
  parseFederationConfig(`federation: docs\nlabels: { segmentation: [background, lesion] }\n${text}`).config;

test.each(blocks)("%s", (text) => {
  expect(configOf(text).federation).toBe("docs");
});

test("augmentation is shown with its defaults", () => {
  const shown = blocks.map((text) => (parse(text) as { training: { augmentation?: object } }).training.augmentation);
  expect(shown.find((block) => block !== undefined)).toEqual(configOf("").training.augmentation);
});
