/** `allulook privacy plan`, as a person types it; the worked examples of docs/privacy.md are among the cases. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { register } from "../../../bin/commands/privacy.ts";
import { epsilonOf } from "../../../shared/privacy/mechanism.ts";
import { runCommand } from "./run-command.ts";

async function plan(...words: string[]): Promise<Record<string, unknown>> {
  const { out, code } = await runCommand(register, "privacy", "plan", "--json", ...words);
  expect(code).toBe(0);
  return JSON.parse(out) as Record<string, unknown>;
}

describe("allulook privacy plan", () => {
  test("finds noise that keeps the budget, and says what is left", async () => {
    const answer = await plan("--sites", "5", "--examples", "2000", "--rounds", "50", "--epsilon", "8");
    const noiseMultiplier = answer["noiseMultiplier"] as number;
    const mechanism = { kind: "sampled-gaussian", rate: 8 / 2000, noiseMultiplier, steps: 20 } as const;
    expect(epsilonOf([{ mechanism, times: 50 }], 1e-5)).toBeLessThanOrEqual(8);
    expect(answer).toMatchObject({ unit: "example", verdict: "possible" });
  });

  test("says that five hospitals cannot hide as whole sites, and why", async () => {
    const answer = await plan("--unit", "client", "--sites", "5", "--examples", "2000", "--epsilon", "2");
    expect(answer).toMatchObject({ verdict: "hopeless" });
    expect(answer["why"]).toContain("protect single examples");
    const many = await plan("--unit", "client", "--sites", "5000", "--examples", "50", "--epsilon", "8");
    expect(many).toMatchObject({ verdict: "comfortable" });
  });

  test("more noise for less epsilon, for more rounds, for fewer examples", async () => {
    const noise = async (...words: string[]) =>
      (await plan("--sites", "5", "--rounds", "10", "--examples", "500", ...words))["noiseMultiplier"] as number;
    const usual = await noise();
    expect(await noise("--epsilon", "1")).toBeGreaterThan(usual);
    expect(await noise("--rounds", "40")).toBeGreaterThan(usual);
    expect(await noise("--examples", "100")).toBeGreaterThan(usual);
  });

  test.each([
    [["--unit", "hospital"], "--unit"],
    [["--delta", "2"], "--delta"],
  ])("refuses %j", async (words, field) => {
    const { code, err } = await runCommand(register, "privacy", "plan", "--sites", "5", "--examples", "10", ...words);
    expect(code).toBe(2);
    expect(err).toContain(field);
  });

  test("prints what docs/privacy.md shows", async () => {
    const page = readFileSync(new URL("../../../docs/privacy.md", import.meta.url), "utf8");
    const shown = [...page.matchAll(/```console\n\$ npx allulook (privacy plan [^\n]*)\n([^`]*)```/g)];
    expect(shown.length).toBeGreaterThanOrEqual(2);
    for (const [, words, printed] of shown) {
      const { out } = await runCommand(register, ...(words as string).split(" "));
      expect(out.trim()).toBe((printed as string).trim());
    }
  });
});
