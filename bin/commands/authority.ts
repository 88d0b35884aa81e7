/**
 * The membership authority. Embedded, it needs none of these commands but `revoke`. Offline, two small files travel
 * between the machines: requests.json to the authority, answers.json back.
 */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { answersFile, requestsFile } from "../../coordinator/enrol/actions.ts";
import { doMemberAction } from "../../coordinator/enrol/admin-client.ts";
import {
  Authority,
  authorityPaths,
  createAuthority,
  parseJson,
  readRevocations,
} from "../../coordinator/enrol/authority.ts";
import { readFederationYaml } from "../../coordinator/enrol/init.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import { duration } from "../../shared/config/units.ts";
import { CodedError } from "../../shared/errors.ts";
import { certificate as certificateSchema } from "../../shared/secagg/certificate.ts";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { readTextIfAny } from "../../shared/node/files.ts";
import { fingerprint } from "../../shared/node/identity.ts";
import { note, printResult } from "../output.ts";

export function register(program: Command): void {
  const authority = program.command("authority").description("sign and revoke memberships");
  authority
    .command("init")
    .description("make an authority's key and folder, on a machine that the coordinator cannot reach")
    .argument("<dir>", "a new folder")
    .requiredOption("--name <name>", "the federation's name")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook authority init ./authority --name chest-ultrasound")
    .action(init);
  authority
    .command("requests")
    .description(
      "at the coordinator: write the sites that wait for a signature, or whose membership ends soon, to a file",
    )
    .option("--config <file>", "the federation's file", "federation.yaml")
    .option("--out <file>", "the file to carry to the authority", "requests.json")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook authority requests --out requests.json")
    .action(requests);
  authority
    .command("sign")
    .description("at the authority: sign the memberships asked for; compare the keys with the sites first")
    .argument("<requests>", "the file from `authority requests`")
    .requiredOption("--key <dir>", "the authority's folder")
    .option("--only <names...>", "sign these sites only")
    .option("--valid <duration>", "how long the memberships hold", "366d")
    .option("--out <file>", "the file to carry back", "answers.json")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook authority sign requests.json --key ./authority --only hospital-a")
    .action(sign);
  authority
    .command("import")
    .description("at the coordinator: take in what the authority has signed")
    .argument("<answers>", "the file from `authority sign` or `authority revoke`")
    .option("--config <file>", "the federation's file", "federation.yaml")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook authority import answers.json")
    .action(importAnswers);
  authority
    .command("revoke")
    .description("end memberships: at the coordinator (embedded, --config) or at the authority (--key)")
    .argument("<names...>", "the sites' names")
    .option("--key <dir>", "the offline authority's folder; writes the file to carry to the coordinator")
    .option("--config <file>", "the federation's file, where the authority is embedded", "federation.yaml")
    .option("--out <file>", "the file to carry to the coordinator", "answers.json")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook authority revoke hospital-a --key ./authority")
    .action(revoke);
}

async function init(folder: string, options: { name: string; json?: boolean }): Promise<void> {
  const root = resolve(folder);
  const file = await createAuthority(root, options.name, new NodeCrypto(), systemRandom());
  await (await openAuthority(root)).record({ act: "authority made", facts: { ...file } });
  const path = authorityPaths(root).public;
  printResult(
    options.json,
    { folder: root, file: path, ...file },
    `The authority of "${file.federation}" is in ${root}; keep authority.key there and nowhere else.
Key: ${fingerprint(file.authorityKey)}
Next, on the coordinator's machine, with a copy of ${path}:
  allulook init DIR --authority authority.json`,
  );
}

async function requests(options: { config: string; out: string; json?: boolean }): Promise<void> {
  const { paths, config } = await readFederationYaml(options.config);
  const list = await doMemberAction(paths, config, "requests", {}, new NodeCrypto(), systemRandom());
  const content = parseConfig(requestsFile, list, "requests");
  await writeFile(options.out, `${JSON.stringify(content, null, 2)}\n`);
  printResult(
    options.json,
    { file: resolve(options.out), requests: content.requests },
    [
      `${content.requests.length} sites want a signature; carry ${options.out} to the authority:`,
      ...shown(content.requests),
    ].join("\n"),
  );
}

async function sign(
  file: string,
  options: { key: string; only?: string[]; valid: string; out: string; json?: boolean },
): Promise<void> {
  const authority = await openAuthority(options.key);
  const asked = parseConfig(requestsFile, await carried(file), file);
  if (asked.federationId !== authority.file.federationId) {
    throw new CodedError("USAGE", `${file} is from federation "${asked.federation}" with another authority`);
  }
  const validMs = parseConfig(duration, options.valid, "--valid");
  const chosen = asked.requests.filter(({ name }) => options.only === undefined || options.only.includes(name));
  const unknown = (options.only ?? []).filter((name) => !asked.requests.some((request) => request.name === name));
  if (unknown.length > 0) throw new CodedError("USAGE", `${file} has no request of ${unknown.join(", ")}`);
  note(["Compare these keys with what each site saw when it joined:", ...shown(chosen)].join("\n"));
  const certificates = [];
  for (const { name, signingKey } of chosen) {
    certificates.push(parseJson(await authority.sign(name, signingKey, validMs), "certificate"));
  }
  const signed = certificates.map((given) => certificateSchema.parse(given));
  const facts = { memberships: signed.map(({ name, serial, expiresAt }) => ({ client: name, serial, expiresAt })) };
  await authority.record({ act: "memberships signed", facts });
  await writeAnswers(options.out, certificates, options.key);
  printResult(
    options.json,
    { file: resolve(options.out), signed: chosen.map(({ name }) => name) },
    `${chosen.length} memberships signed. Carry ${options.out} back, then: allulook authority import ${options.out}`,
  );
}

async function importAnswers(file: string, options: { config: string; json?: boolean }): Promise<void> {
  const { paths, config } = await readFederationYaml(options.config);
  const answers = parseConfig(answersFile, await carried(file), file);
  const result = await doMemberAction(paths, config, "import", answers, new NodeCrypto(), systemRandom());
  const { certificates, revocationVersion } = result as { certificates: string[]; revocationVersion: number | null };
  const news = certificates.length === 0 ? "No new members" : `Members now: ${certificates.join(", ")}`;
  const list = revocationVersion === null ? "" : ` Revocation list: version ${revocationVersion}.`;
  printResult(options.json, result, `${news}.${list}`);
}

async function revoke(
  names: string[],
  options: { key?: string; config: string; out: string; json?: boolean },
): Promise<void> {
  if (options.key !== undefined) {
    const authority = await openAuthority(options.key);
    const list = await authority.revoke(names);
    await authority.record({
      act: "memberships revoked",
      facts: { clients: names, revocationVersion: list.version },
    });
    await writeAnswers(options.out, [], options.key);
    printResult(
      options.json,
      { names, revocationVersion: list.version, file: resolve(options.out) },
      `Revoked. Carry ${options.out} to the coordinator, then: allulook authority import ${options.out}`,
    );
    return;
  }
  const { paths, config } = await readFederationYaml(options.config);
  const result = await doMemberAction(paths, config, "revoke", { names }, new NodeCrypto(), systemRandom());
  printResult(options.json, result, `Revoked: ${names.join(", ")}.`);
}

/** What came from the other machine. */
async function carried(file: string): Promise<unknown> {
  const text = await readTextIfAny(file);
  if (text === null) throw new CodedError("USAGE", `there is no file ${file}`, { file });
  return parseJson(text, file);
}

function openAuthority(folder: string): Promise<Authority> {
  return Authority.open(resolve(folder), new NodeCrypto(), systemRandom(), Date.now);
}

async function writeAnswers(file: string, certificates: unknown[], folder: string): Promise<void> {
  const answers = parseConfig(answersFile, { certificates, revocations: await readRevocations(resolve(folder)) }, file);
  await writeFile(file, `${JSON.stringify(answers, null, 2)}\n`);
}

function shown(list: readonly { name: string; signingKey: string }[]): string[] {
  return list.map(({ name, signingKey }) => `  ${name}  ${fingerprint(signingKey)}`);
}
