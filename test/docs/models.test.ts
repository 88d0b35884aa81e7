/** The table of docs/models.md has a row for every model, and says what its row in the code says. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { expect, test } from "@jest/globals";
import { federationConfig } from "../../shared/config/federation.ts";
import { factsOf, MODEL_NAMES, withModelDefaults } from "../../shared/config/models.ts";

const page = readFile(resolve(import.meta.dirname, "../../docs/models.md"), "utf8");

test.each(MODEL_NAMES)("%s stands in the table as it is", async (name) => {
  const rows = (await page).split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  const [, , learns, reads, , optimizer, sides] = rows.find((cells) => cells[1] === `\`${name}\``) ?? [];
  const facts = factsOf(name);
  const { training } = federationConfig.parse(withModelDefaults({ federation: "docs", model: { name } }));
  expect(reads).toBe(facts?.modalities.join(", "));
  expect(sides).toBe(`multiples of ${facts?.multiple}`);
  expect(optimizer?.toLowerCase()).toBe(`${training.optimizer.name}, ${training.optimizer.learningRate}`);
  if (facts?.depth === "relative") expect(learns).toBe("relative depth");
});
