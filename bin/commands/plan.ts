/** `allulook plan show` and `plan approve`: nothing runs at a site before a person has read and approved the plan. */
import { userInfo } from "node:os";
import type { Command } from "commander";
import { openSite, siteTransport, type OpenSite } from "../../client/main.ts";
import { loadPlan, readApprovals, recordApproval, storePlan } from "../../client/plan/approvals.ts";
import { describePlan } from "../../client/plan/describe.ts";
import { fetchPlan } from "../../client/plan/fetch.ts";
import { planRefusals } from "../../client/policy/plan-policy.ts";
import { lockFolder } from "../../shared/node/lock.ts";
import { CodedError } from "../../shared/errors.ts";
import { AuditFile } from "../../shared/node/audit-file.ts";
import { printResult } from "../output.ts";

const PATIENCE_MS = 15_000;

export function register(program: Command): void {
  const plan = program.command("plan").description("read and approve the training plan");
  plan
    .command("show")
    .description("what will be trained, on what, what leaves this site and how it is protected")
    .option("--data <dir>", "the site folder", ".")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook plan show --data ./hospital-a")
    .action(show);
  plan
    .command("approve")
    .description("record that a person of this site approves the plan last shown")
    .argument("[hash]", "first digits of the plan's hash, to be sure which plan it is")
    .option("--data <dir>", "the site folder", ".")
    .option("--by <name>", "who approves; by default the user of this computer")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook plan approve 3f9c --data ./hospital-a --by 'Dr. Ada Quist'")
    .action(approve);
}

async function show(options: { data: string; json?: boolean }): Promise<void> {
  const site = await openSite(options.data);
  const { plan, configHash, receivedAt } = await currentPlan(site);
  const sections = describePlan(plan, site.config.policy);
  const approvals = (await readApprovals(site.paths.approvals)).filter((item) => item.configHash === configHash);
  const refusals = planRefusals(site.config.policy, plan).map(({ code, message }) => ({ code, message }));
  const text = sections.map(({ title, lines }) => [`${title}`, ...lines.map((line) => `  ${line}`)].join("\n"));
  const standing = approvals.map(({ at, by }) => `Approved by ${by} at ${at}.`);
  const verdict =
    standing.length > 0 ? standing : [`Not approved yet: allulook plan approve ${configHash.slice(0, 8)}`];
  printResult(
    options.json,
    { plan, configHash, receivedAt, approvals, refusals },
    [`Training plan ${configHash}`, ...text, ...verdict].join("\n\n"),
  );
}

async function approve(
  hash: string | undefined,
  options: { data: string; by?: string; json?: boolean },
): Promise<void> {
  const site = await openSite(options.data);
  const { plan, configHash } = await currentPlan(site);
  if (hash !== undefined && !configHash.startsWith(hash.toLowerCase())) {
    throw new CodedError("USAGE", `the plan last received is ${configHash}, not ${hash}; read it again`, {
      configHash,
    });
  }
  const [refusal] = planRefusals(site.config.policy, plan);
  if (refusal !== undefined) throw refusal;
  const by = options.by ?? userInfo().username;
  const approval = { configHash, at: new Date().toISOString(), by };
  await recordApproval(site.paths.approvals, approval);
  await new AuditFile(site.paths.audit).append({ act: "plan approved", facts: { configHash, by } });
  printResult(options.json, approval, `${by} has approved plan ${configHash}.`);
}

/** The plan last received; asked of the coordinator when there is none. */
async function currentPlan(site: OpenSite): Promise<NonNullable<Awaited<ReturnType<typeof loadPlan>>>> {
  const { paths } = site;
  const held = await loadPlan(paths.plan);
  if (held !== null) return held;
  // A second connection under this name would cut off a running client.
  const unlock = await lockFolder(paths.lock, "SITE_LOCKED");
  try {
    await storePlan(paths.plan, await fetchPlan(siteTransport(site), PATIENCE_MS), Date.now());
  } finally {
    await unlock();
  }
  return (await loadPlan(paths.plan)) as NonNullable<Awaited<ReturnType<typeof loadPlan>>>;
}
