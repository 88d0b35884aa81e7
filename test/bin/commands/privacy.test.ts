/** `allulook privacy`, as a person types it; the worked examples of docs/privacy.md are among the cases. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { register } from "../../../bin/commands/privacy.ts";
import { storePlan } from "../../../client/plan/approvals.ts";
import { openPrivacyLedger } from "../../../client/policy/privacy-ledger.ts";
import { sitePaths } from "../../../client/site-folder.ts";
import { parseFederationConfig } from "../../../coordinator/config.ts";
import { planOf, planText } from "../../../shared/config/plan.ts";
import { epsilonOf } from "../../../shared/privacy/mechanism.ts";
import { runCommand } from "./run-command.ts";

const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

async function plan(...words: string[]): Promise<Record<string, unknown>> {
  const { out, code } = await runCommand(register, "privacy", "plan", "--json", ...words);
  expect(code).toBe(0);
  return JSON.parse(out) as Record<string, unknown>;
}

describe("allulook privacy spent", () => {
  const mechanism = { kind: "sampled-gaussian", rate: 0.01, noiseMultiplier: 1, steps: 20 } as const;

  async function site(policy: string, uses: number, plan?: string): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), "allulook-spent-"));
    folders.push(folder);
    const paths = sitePaths(folder);
    writeFileSync(paths.config, `coordinator: http://127.0.0.1:9\npolicy: ${policy}\n`);
    mkdirSync(paths.state, { recursive: true });
    const ledger = await openPrivacyLedger(paths.privacy);
    for (let i = 0; i < uses; i++) await ledger.append({ at: i, round: 1 + (i >> 1), mechanism });
    if (plan !== undefined) {
      const config = `federation: test\nlabels: { scene: [a, b] }\nprivacy: ${plan}`;
      await storePlan(paths.plan, planText(planOf(parseFederationConfig(config).config)), 0);
    }
    return folder;
  }

  test("counts the site's own ledger at its own delta, or the plan's smaller one", async () => {
    const folder = await site("{ privacy: { maxEpsilon: 3 } }", 4);
    const spent = await runCommand(register, "privacy", "spent", "--data", folder, "--json");
    const epsilon = epsilonOf([{ mechanism, times: 4 }], 1e-5);
    expect(JSON.parse(spent.out)).toEqual({
      unit: "example",
      epsilon,
      delta: 1e-5,
      budget: 3,
      left: 3 - epsilon,
      results: 4,
      rounds: 2,
    });
    const text = await runCommand(register, "privacy", "spent", "--data", folder);
    expect(text.out).toContain(`epsilon ${epsilon.toFixed(3)} of 3 spent (${(3 - epsilon).toFixed(3)} left)`);
    expect(text.out).toContain("4 noisy results of 2 rounds left this site");
    const small = await site("{}", 4, "{ unit: example, epsilon: 4, delta: 1.0e-7 }");
    const strict = await runCommand(register, "privacy", "spent", "--data", small, "--json");
    expect(JSON.parse(strict.out)).toMatchObject({ delta: 1e-7, budget: null, left: null });
    expect((JSON.parse(strict.out) as { epsilon: number }).epsilon).toBeGreaterThan(epsilon);
  });

  test("says that nothing was spent, and guesses nothing from a damaged ledger", async () => {
    const folder = await site("{}", 0);
    const { out } = await runCommand(register, "privacy", "spent", "--data", folder);
    expect(out).toContain("epsilon 0.000 spent, no limit, delta 0.00001, for nobody so far");
    // What a client is just writing is not there yet, and stays as it is.
    const file = sitePaths(folder).privacy;
    writeFileSync(file, '{"at":3,"rou');
    expect((await runCommand(register, "privacy", "spent", "--data", folder)).code).toBe(0);
    expect(readFileSync(file, "utf8")).toBe('{"at":3,"rou');
    writeFileSync(file, "what?\n");
    const damaged = await runCommand(register, "privacy", "spent", "--data", folder);
    expect(damaged.code).not.toBe(0);
    expect(damaged.err).toContain("STORE_CORRUPT");
  });
});

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
