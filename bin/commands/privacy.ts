/**
 * `allulook privacy plan`: what a privacy budget leaves of the learning, before anything is trained; `privacy spent`: what a
 * site has spent of its own.
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { loadPlan } from "../../client/plan/approvals.ts";
import { readPrivacyLedger, siteSpending } from "../../client/policy/privacy-ledger.ts";
import { readSiteConfig, sitePaths } from "../../client/site-folder.ts";
import { answerPlan, type PlanAnswer, type PlanQuestion } from "../../shared/privacy/planner.ts";
import { CodedError } from "../../shared/errors.ts";
import { number, positive } from "../numbers.ts";
import { printResult } from "../output.ts";
import { spentWords } from "../privacy-words.ts";

export function register(program: Command): void {
  const privacy = program.command("privacy").description("differential privacy");
  privacy
    .command("plan")
    .description("noise for a budget, and what it leaves of the averaged update, or why that is hopeless")
    .requiredOption("--sites <n>", "sites in every round", positive)
    .requiredOption("--examples <n>", "training examples of the smallest site", positive)
    .option("--rounds <n>", "rounds", positive, 20)
    .option("--local-steps <n>", "optimizer steps of a site in a round", positive, 20)
    .option("--batch-size <n>", "examples of one step", positive, 8)
    .option("--epsilon <x>", "privacy budget of all rounds", number, 8)
    .option("--delta <x>", "probability that it does not hold", number, 1e-5)
    .option("--params <n>", "params that are trained (288,524 in allulook4 nano)", positive, 288_524)
    .option("--unit <unit>", "what is protected: example (one picture) or client (a whole site)", "example")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook privacy plan --sites 5 --examples 2000 --rounds 50 --epsilon 8")
    .action(plan);
  privacy
    .command("spent")
    .description("what left this site with noise has cost so far, by its own ledger, and what is left of its limit")
    .option("--data <dir>", "the site folder", ".")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook privacy spent --data ./hospital-a")
    .action(spent);
}

/** Counted anew from the ledger; a client that runs is not disturbed. */
async function spent(options: { data: string; json?: boolean }): Promise<void> {
  const paths = sitePaths(resolve(options.data));
  const { policy } = await readSiteConfig(paths);
  const held = await loadPlan(paths.plan);
  const spending = siteSpending(await readPrivacyLedger(paths.privacy), policy.privacy, held?.plan.privacy);
  const { results, rounds } = spending;
  const words = `${spentWords(spending)}\n${results} noisy results of ${rounds} rounds left this site`;
  printResult(options.json, spending, words);
}

function plan(options: PlanQuestion & { json?: boolean }): void {
  const { json, ...question } = options;
  if (question.unit !== "example" && question.unit !== "client") {
    throw new CodedError("USAGE", `--unit: expected example or client, got "${String(question.unit)}"`, {
      field: "unit",
    });
  }
  if (question.delta < 1e-10 || question.delta >= 1) {
    throw new CodedError("USAGE", `--delta: expected 1e-10 to 1, got ${question.delta}`, { field: "delta" });
  }
  if (!(question.epsilon > 0)) {
    throw new CodedError("USAGE", `--epsilon: expected a positive number, got ${question.epsilon}`, {
      field: "epsilon",
    });
  }
  const answer = answerPlan(question);
  printResult(json, { ...question, ...answer }, words(question, answer));
}

function words(question: PlanQuestion, answer: PlanAnswer): string {
  const { unit, sites, examples, rounds, localSteps, batchSize, epsilon, delta } = question;
  const { noiseMultiplier, rate, signalToNoise, signalToNoisePerCoordinate, verdict, why } = answer;
  const what =
    unit === "example"
      ? `one example of ${examples} at a site; DP-SGD, ${localSteps} steps a round, ${batchSize} examples a step (each with probability ${rate.toPrecision(3)})`
      : "a whole site; discrete Gaussian noise in every round's sum";
  return [
    `protects           ${what}`,
    `budget             epsilon ${epsilon}, delta ${delta}, over ${rounds} rounds of ${sites} sites`,
    `noise multiplier   ${noiseMultiplier ?? "none is enough"}`,
    `signal to noise    at most ${signalToNoise.toPrecision(3)} in one round, over all params (${signalToNoisePerCoordinate.toPrecision(3)} where one param takes it all)`,
    "",
    `${verdict}: ${why}`,
  ].join("\n");
}
