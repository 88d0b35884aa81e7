/** `allulook audit`: what was done at a coordinator and at sites, as their logs have it, and whether they agree. */
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { sitePaths } from "../../client/site-folder.ts";
import { federationPaths } from "../../coordinator/enrol/folder.ts";
import { crossCheck } from "../../shared/audit/cross-check.ts";
import type { AuditEntry } from "../../shared/audit/entry.ts";
import { verifyAudit, type VerifiedAudit } from "../../shared/audit/verify.ts";
import { CodedError } from "../../shared/errors.ts";
import { sha256Hex, type Sha256 } from "../../shared/ids.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { readTextIfAny } from "../../shared/node/files.ts";
import { fingerprint } from "../../shared/node/identity.ts";
import { note, printResult } from "../output.ts";

export function register(program: Command): void {
  const audit = program.command("audit").description("the hash-chained logs of a coordinator and of sites");
  audit
    .command("show")
    .description("what was done, in order")
    .argument("[log]", "an audit.jsonl, a federation's folder or a site's", ".")
    .option("--act <word>", "acts whose name contains this")
    .option("--last <n>", "the newest n only")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook audit show ./hospital-a --act revealed")
    .action(show);
  audit
    .command("verify")
    .description("check a log's chain and signatures, and compare the coordinator's with sites'")
    .argument("<log>", "an audit.jsonl, a federation's folder or a site's")
    .option("--key <hex>", "the public key of whose log it is")
    .option("--with <logs...>", "logs of sites, to compare with the coordinator's")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook audit verify ./federation --with ./hospital-a ./hospital-b")
    .action(verify);
}

async function show(path: string, options: { act?: string; last?: string; json?: boolean }): Promise<void> {
  const last = options.last === undefined ? Number.POSITIVE_INFINITY : Number(options.last);
  if (!(last >= 1)) throw new CodedError("USAGE", `--last: expected a number from 1, got "${options.last}"`);
  const { entries } = await verified(path, null);
  const chosen = entries.filter(({ act }) => options.act === undefined || act.includes(options.act));
  const shown = chosen.slice(-Math.min(last, chosen.length || 1));
  printResult(options.json, { entries: shown }, shown.length === 0 ? "Nothing." : shown.map(line).join("\n"));
}

function line({ n, at, act, facts }: AuditEntry): string {
  const words = Object.entries(facts).map(([name, value]) => `${name} ${short(value)}`);
  return `${String(n).padStart(6)}  ${at}  ${act.padEnd(18)}  ${words.join(", ")}`;
}

function short(value: unknown): string {
  if (typeof value === "string") return /^[0-9a-f]{64}$/.test(value) ? value.slice(0, 12) : value;
  return Array.isArray(value) ? value.map(short).join(" ") : JSON.stringify(value);
}

async function verify(path: string, options: { key?: string; with?: string[]; json?: boolean }): Promise<void> {
  const own = await verified(path, options.key === undefined ? null : keyOf(options.key));
  const sites = [];
  for (const other of options.with ?? []) {
    const log = await verified(other, null);
    sites.push({ log: other, ...summary(log), differences: crossCheck(own.entries, log.entries, log.key) });
  }
  const differences = sites.flatMap((site) => site.differences.map((found) => ({ site: site.log, ...found })));
  const result = {
    ok: differences.length === 0,
    log: path,
    ...summary(own),
    keyChecked: options.key !== undefined,
    sites,
  };
  const words = [
    inWords(path, own, options.key !== undefined),
    ...sites.map(({ log, entries, differences: found }) => `${log}: ${entries} entries, ${verdict(found.length)}`),
    ...differences.map(({ site, where, what }) => `  ${site}, ${where}: ${what}`),
  ];
  printResult(options.json, result, words.join("\n"));
  if (differences.length > 0) {
    note("error AUDIT_DIFFERS: the logs contradict each other; the transcripts of these sessions decide");
    process.exitCode = 3;
  }
}

function verdict(differences: number): string {
  return differences === 0 ? "agrees" : `contradicts at ${differences} place${differences === 1 ? "" : "s"}:`;
}

function summary({ entries, head, signedUpTo, key, torn }: VerifiedAudit) {
  return { entries: entries.length, head, signedUpTo, key, tornBytes: Buffer.byteLength(torn) };
}

function inWords(path: string, { entries, head, signedUpTo, key, torn }: VerifiedAudit, keyChecked: boolean): string {
  const after = entries.length - signedUpTo - (entries.at(-1)?.act === "checkpoint" ? 1 : 0);
  return [
    `${path}: ${entries.length} entries, the chain is whole. Head: ${head}`,
    key === null
      ? "  No checkpoint is signed yet."
      : `  Signed up to entry ${signedUpTo} by ${fingerprint(key)}${keyChecked ? "" : "; compare this key: none was given"}.`,
    ...(after > 0 && key !== null ? [`  ${after} entries after it are covered by no signature yet.`] : []),
    ...(torn === ""
      ? []
      : [`  The last line was cut short by a crash (${Buffer.byteLength(torn)} bytes); it counts for nothing.`]),
  ].join("\n");
}

/** Of a file, or of the folder of a federation or a site. */
async function verified(path: string, key: Sha256 | null): Promise<VerifiedAudit> {
  const root = resolve(path);
  const info = await stat(root).catch(() => null);
  const files =
    info?.isDirectory() === true
      ? [federationPaths(root).audit, sitePaths(root).audit, join(root, "audit.jsonl")]
      : [root];
  for (const file of files) {
    const text = await readTextIfAny(file);
    if (text !== null) return verifyAudit(new NodeCrypto(), text, key);
  }
  throw new CodedError("USAGE", `there is no audit log in ${root}`, { file: root });
}

function keyOf(text: string): Sha256 {
  const parsed = sha256Hex.safeParse(text.toLowerCase());
  if (parsed.success) return parsed.data;
  throw new CodedError("USAGE", "--key: expected 64 hexadecimal digits", { field: "key", got: text });
}
