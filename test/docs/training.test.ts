/** What docs/training.md shows of federation.yaml is accepted, and defaults that it names are the defaults. */
import { expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { withSettings } from "../../bin/settings.ts";
import { parseFederationConfig } from "../../coordinator/config.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import { drawTrials, objectiveOf, searchFile, settingText } from "../../simulations/tuning/space.ts";

const page = readFileSync(join(resolve(import.meta.dirname, "../.."), "docs/training.md"), "utf8");
const blocks = [...page.matchAll(/```yaml\n(training:[\s\S]*?)```/g)].map(([, text]) => text as string);
const configOf = (text: string) =>
  parseFederationConfig(`federation: docs\nlabels: { segmentation: [background, lesion] }\n${text}`).config;

test.each(blocks)("%s", (text) => {
  expect(configOf(text).federation).toBe("docs");
});

test("the search that is shown is one, of fields that there are", () => {
  const [, text] = /```yaml\n(metric:[\s\S]*?)```/.exec(page) as RegExpExecArray;
  const { metric, space } = searchFile.parse(parse(text as string));
  expect(objectiveOf(metric as string).better).toBe("higher");
  const trials = drawTrials({ seed: 1, trials: 20, space }, () => null);
  for (const settings of trials) {
    const set = withSettings(configOf(""), Object.entries(settings).map(settingText));
    expect(() => federationConfig.parse(set)).not.toThrow();
  }
});

test.each(["augmentation", "semiSupervised", "curriculum"] as const)("%s is shown with its defaults", (field) => {
  const shown = blocks.map((text) => (parse(text) as { training: Record<string, object | undefined> }).training[field]);
  const filled = configOf(`training: { ${field}: {} }`).training[field];
  expect(shown.find((block) => block !== undefined)).toEqual(filled);
});
