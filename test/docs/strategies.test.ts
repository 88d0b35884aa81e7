/** What docs/strategies.md shows is accepted, and its tables have every rule and strategy there is. */
import { expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseFederationConfig } from "../../coordinator/config.ts";
import { aggregation } from "../../shared/config/aggregation.ts";
import { strategy } from "../../shared/config/strategy.ts";

const page = readFileSync(join(resolve(import.meta.dirname, "../.."), "docs/strategies.md"), "utf8");
const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text as string);

test.each(blocks)("%s", (text) => {
  const { config } = parseFederationConfig(`federation: docs\nlabels: { segmentation: [background, lesion] }\n${text}`);
  expect(config.federation).toBe("docs");
});

const names = (field: "rule" | "name", union: typeof aggregation | typeof strategy): string[] =>
  union.options.flatMap(({ shape }) => [...(shape as Record<string, { values?: Set<string> }>)[field]!.values!]);

test.each([...names("rule", aggregation), ...names("name", strategy)])("%s is in a table", (name) => {
  expect(page).toMatch(new RegExp(`^\\|[^|]*\`${name}\``, "m"));
});
