/** `allulook transcript`: an auditor's check of what a federation's sessions left behind, and the bundle to take to one. */
import { cp, mkdir, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import { loadPlan } from "../../client/plan/approvals.ts";
import { readCopies } from "../../client/session/copies.ts";
import { sitePaths } from "../../client/site-folder.ts";
import { readAuthorityFile, authorityPaths } from "../../coordinator/enrol/authority.ts";
import { readFederationYaml } from "../../coordinator/enrol/init.ts";
import {
  findTranscripts,
  KEYS_FILE,
  keysFileText,
  readKeysFile,
  type PublicKeys,
} from "../../coordinator/transcript/folder.ts";
import { verifyTranscripts, type Verification } from "../../coordinator/transcript/verify.ts";
import type { TrainingPlan } from "../../shared/config/plan.ts";
import { CodedError } from "../../shared/errors.ts";
import { sha256Hex, type Sha256 } from "../../shared/ids.ts";
import { brotli } from "../../shared/node/brotli.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { fingerprint, readSecretFile } from "../../shared/node/identity.ts";
import { fromBase64 } from "../../shared/secagg/encoding.ts";
import type { SiteCopy } from "../../shared/transcript/copy.ts";
import type { Finding } from "../../shared/transcript/findings.ts";
import { printResult } from "../output.ts";

interface VerifyOptions {
  readonly identity?: string;
  readonly authority?: string;
  readonly coordinator?: string;
  readonly with?: string[];
  readonly json?: boolean;
}

export function register(program: Command): void {
  const transcript = program.command("transcript").description("signed records of a federation's sessions");
  transcript
    .command("verify")
    .description(
      "check transcripts, offline: signatures, members, lists, the chain and, from what was kept, every sum and step",
    )
    .argument("<paths...>", "a federation's folder, a folder of transcripts, or single files")
    .option("--identity <file>", "a site's identity.json, or federation.json: whose keys to trust")
    .option("--authority <key>", "the authority's public key (hex), or its authority.json")
    .option("--coordinator <key>", "the coordinator's public key (hex)")
    .option("--with <sites...>", "folders of sites, whose own copies are compared")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook transcript verify ./federation --identity ./hospital-a/identity.json")
    .action(verify);
  transcript
    .command("export")
    .description("copy transcripts, evidence, releases and public keys into a folder for an auditor")
    .option("--config <file>", "the federation's file", "federation.yaml")
    .requiredOption("--out <dir>", "a new folder")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook transcript export --out ./for-the-auditor")
    .action(exportBundle);
}

async function verify(paths: string[], options: VerifyOptions): Promise<void> {
  const found = await findTranscripts(paths);
  const { keys, pinned } = await keysFor(options, found.keys);
  const crypto = new NodeCrypto();
  const verification = await verifyTranscripts(crypto, brotli, {
    ...found,
    copies: await copiesOf(options.with ?? []),
    plans: await plansOf(options.with ?? []),
    keys: {
      federation: keys.federationId ?? null,
      authorityKey: hexToBytes(keys.authorityKey),
      coordinatorKey: keys.coordinatorKey === undefined ? null : hexToBytes(keys.coordinatorKey),
    },
  });
  const coordinatorKey = keys.coordinatorKey ?? signerOf(found.transcripts);
  const trust = { authorityKey: keys.authorityKey, coordinatorKey, pinned };
  printResult(options.json, { ...verification, trust }, inWords(verification, trust));
  if (!verification.ok) process.exitCode = 3;
}

/** What sites kept of the sessions that they were in; throws USAGE where a folder is no site's. */
async function copiesOf(folders: readonly string[]): Promise<SiteCopy[]> {
  const copies: SiteCopy[] = [];
  for (const folder of folders) {
    const own = await readCopies(sitePaths(resolve(folder)).transcripts);
    if (own.length === 0) throw new CodedError("USAGE", `${folder} holds no copies of sessions`, { file: folder });
    copies.push(...own);
  }
  return copies;
}

/** The plans that sites have received last. */
async function plansOf(folders: readonly string[]): Promise<Map<Sha256, TrainingPlan>> {
  const plans = new Map<Sha256, TrainingPlan>();
  for (const folder of folders) {
    const stored = await loadPlan(sitePaths(resolve(folder)).plan);
    if (stored !== null) plans.set(stored.configHash, stored.plan);
  }
  return plans;
}

interface ChosenKeys {
  readonly federationId?: Sha256;
  readonly authorityKey: Sha256;
  readonly coordinatorKey?: Sha256 | undefined;
}

/** What the person gives goes before what lies beside the transcripts: whoever forged these could forge that. */
async function keysFor(
  { identity, authority, coordinator }: VerifyOptions,
  beside: PublicKeys | null,
): Promise<{ keys: ChosenKeys; pinned: boolean }> {
  const site = identity === undefined ? null : await readKeysFile(identity);
  const own =
    authority === undefined ? null : /^[0-9a-f]{64}$/i.test(authority) ? hexKey(authority, "--authority") : null;
  const file = authority !== undefined && own === null ? await readKeysFile(authority) : null;
  const authorityKey = own ?? file?.authorityKey ?? site?.authorityKey ?? beside?.authorityKey;
  if (authorityKey === undefined) {
    throw new CodedError("USAGE", "whose members to believe: give --identity FILE or --authority KEY", {
      field: "authority",
    });
  }
  const given = coordinator === undefined ? site?.coordinatorKey : hexKey(coordinator, "--coordinator");
  const coordinatorKey = given ?? beside?.coordinatorKey;
  const federationId = [file, site, beside].find((keys) => keys?.authorityKey === authorityKey)?.federationId;
  const keys = { authorityKey, coordinatorKey, ...(federationId !== undefined && { federationId }) };
  return { keys, pinned: (site ?? file ?? own) !== null && given !== undefined };
}

function hexKey(text: string, option: string): Sha256 {
  const parsed = sha256Hex.safeParse(text.toLowerCase());
  if (parsed.success) return parsed.data;
  throw new CodedError("USAGE", `${option}: expected 64 hexadecimal digits`, { field: option, got: text });
}

/** The key that the transcripts name themselves. */
function signerOf(transcripts: ReadonlyMap<string, string>): string | null {
  for (const text of transcripts.values()) {
    const key = fromBase64(/"signedBy":"([A-Za-z0-9_-]+)"/.exec(text)?.[1] ?? "=");
    if (key !== null) return bytesToHex(key);
  }
  return null;
}

function inWords(
  { ok, sessions, findings, head }: Verification,
  trust: { authorityKey: string; coordinatorKey: string | null; pinned: boolean },
): string {
  const failed = findings.filter(({ status }) => status === "failed");
  const lines = sessions.map(({ name, outcome, roster, survivors, recomputed }) => {
    const own = findings.filter(({ session }) => session === name);
    const passed = own.filter(({ status }) => status === "passed").length;
    const wrong = own.some(({ status }) => status === "failed") ? "  CONTRADICTED" : "";
    const summed = own.some(({ check, status }) => check.endsWith("sum") && status === "passed");
    const again = recomputed ? ", result made again" : summed ? ", sum made again, the step not" : "";
    return `${name}  ${outcome}, ${survivors} of ${roster} in the sum  ${passed} checks passed${again}${wrong}`;
  });
  const keys = [
    `Authority ${fingerprint(trust.authorityKey)}`,
    trust.coordinatorKey === null ? "" : `Coordinator ${fingerprint(trust.coordinatorKey)}`,
    trust.pinned ? "" : "Compare these keys with what a site pinned when it joined: they were not given.",
  ].filter((line) => line !== "");
  const skipped = notMade(findings);
  const verdict = ok
    ? [`Good: ${sessions.length} sessions, no contradiction. Head of the chain: ${head ?? "-"}`]
    : [
        `CONTRADICTED at ${failed.length} place${failed.length === 1 ? "" : "s"}, the first one:`,
        ...failed.map(({ session, check, code, message }) => `  ${session ?? "all"}, ${check}: ${message} (${code})`),
      ];
  return [...lines, "", ...keys, ...(skipped.length > 0 ? ["", "Not checked:", ...skipped] : []), "", ...verdict].join(
    "\n",
  );
}

/** What could not be checked and why, each reason once. */
function notMade(findings: readonly Finding[]): string[] {
  const reasons = new Map<string, string[]>();
  for (const { session, check, status, message } of findings) {
    if (status !== "skipped") continue;
    const reason = `${check}: ${message}`;
    reasons.set(reason, [...(reasons.get(reason) ?? []), session ?? "all"]);
  }
  return [...reasons].map(([reason, names]) => {
    const few = names.length <= 3 ? names.join(", ") : `${names.length} sessions`;
    return `  ${reason} (${few})`;
  });
}

async function exportBundle(options: { config: string; out: string; json?: boolean }): Promise<void> {
  const { paths } = await readFederationYaml(options.config);
  const out = resolve(options.out);
  if ((await stat(out).catch(() => null)) !== null)
    throw new CodedError("USAGE", `${out} exists already`, { field: "out" });
  const authority = await readAuthorityFile(authorityPaths(paths.authority).public);
  const key = new NodeCrypto().signingKey(await readSecretFile(paths.key));
  const folders: string[] = [];
  await mkdir(out, { recursive: true });
  // The transcripts last: of what ends meanwhile there is a transcript without the rest, and not the reverse.
  for (const name of ["releases", "evidence", "transcripts"]) {
    const from = join(paths.root, name);
    if ((await stat(from).catch(() => null)) === null) continue;
    // What is being written is hidden until it is whole.
    const whole = (source: string) => !/(^|[/\\])\.[^/\\]+$|\.tmp$/.test(source.slice(from.length));
    await cp(from, join(out, name), { recursive: true, filter: whole });
    folders.push(name);
  }
  const coordinatorKey = bytesToHex(key.publicKey) as Sha256;
  await writeFile(join(out, KEYS_FILE), keysFileText({ ...authority, coordinatorKey }));
  printResult(
    options.json,
    { folder: out, holds: [...folders, KEYS_FILE] },
    `${out} holds ${[...folders, KEYS_FILE].join(", ")}. Check it with: allulook transcript verify ${options.out}`,
  );
}
