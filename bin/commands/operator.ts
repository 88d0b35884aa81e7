/** The operator's commands: making a federation, inviting sites, and looking after the running coordinator. */
import type { Command } from "commander";
import type { CoordinatorStatus } from "../../coordinator/create.ts";
import { askCoordinator, doMemberAction } from "../../coordinator/enrol/admin-client.ts";
import { readEndpoint, type FederationPaths } from "../../coordinator/enrol/folder.ts";
import { initFederation, readFederationYaml } from "../../coordinator/enrol/init.ts";
import type { PrivacyStatus } from "../../coordinator/round/privacy-budget.ts";
import { isLoopback } from "../../coordinator/transport/listen.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { fingerprint } from "../../shared/node/identity.ts";
import { printResult } from "../output.ts";
import { spentWords } from "../privacy-words.ts";

interface Common {
  readonly config: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command("init")
    .description("make a federation's folder: federation.yaml and the keys")
    .argument("<dir>", "a new or empty folder")
    .option("--name <name>", "the federation's name: lower-case letters, digits, hyphens")
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on", "7443")
    .option("--authority <file>", "authority.json of an offline authority; without it the authority is embedded")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook init ./federation --name chest-ultrasound")
    .action(init);
  withConfig(program.command("invite"))
    .description("make an invitation that one site can use once")
    .argument("<name>", "the site's name in this federation")
    .option("--url <url>", "how sites reach the coordinator, such as https://fl.example.org")
    .option("--valid <duration>", "how long the invitation can be used", "7d")
    .option("--replace", "invite a member again whose keys are lost; its old membership ends")
    .addHelpText("after", "\nExample: allulook invite hospital-a --url https://fl.example.org --valid 48h")
    .action(invite);
  withConfig(program.command("clients"))
    .description("list the members")
    .addHelpText("after", "\nExample: allulook clients --config ./federation/federation.yaml")
    .action(clients);
  withConfig(program.command("rounds"))
    .description("list the rounds so far")
    .addHelpText("after", "\nExample: allulook rounds --json")
    .action(rounds);
  withConfig(program.command("resume"))
    .description("go on after a pause, or begin a round by hand")
    .option(
      "--now",
      "begin the next round at once, whatever the schedule says; how `every: manual` gets its rounds, of which the first scores the model as it begins",
    )
    .addHelpText("after", "\nExample: allulook resume --now --config ./federation/federation.yaml")
    .action(async (options: Common & { now?: boolean }) => {
      await control("resume", options, options.now === true ? ["resume", "trigger"] : ["resume"]);
    });
  for (const [name, description] of [
    ["status", "what the running coordinator is doing"],
    ["pause", "begin no further round; the present one is finished"],
    [
      "stop",
      "end the federation for good; Ctrl-C in its terminal only stops the coordinator, which then goes on later",
    ],
  ] as const) {
    withConfig(program.command(name))
      .description(description)
      .addHelpText("after", `\nExample: allulook ${name} --config ./federation/federation.yaml`)
      .action((options: Common) => control(name, options));
  }
}

function withConfig(command: Command): Command {
  return command
    .option("--config <file>", "the federation's file", "federation.yaml")
    .option("--json", "one JSON document on stdout");
}

async function init(
  folder: string,
  options: { name?: string; host: string; port: string; authority?: string; json?: boolean },
): Promise<void> {
  const port = Number(options.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new CodedError("USAGE", `--port: expected 0 to 65535, got "${options.port}"`);
  }
  const { paths, authority } = await initFederation(
    folder,
    { name: options.name ?? null, host: options.host, port, authorityFile: options.authority ?? null },
    new NodeCrypto(),
    systemRandom(),
  );
  printResult(
    options.json,
    { folder: paths.root, config: paths.config, ...authority },
    `Federation "${authority.federation}" is in ${paths.root}.
Authority key: ${fingerprint(authority.authorityKey)}
Next: read ${paths.config}, then
  allulook coordinator --config ${paths.config}
  allulook invite NAME ${isLoopback(options.host) ? "" : "--url https://THIS-MACHINE "}--config ${paths.config}`,
  );
}

async function invite(
  name: string,
  options: Common & { url?: string; valid: string; replace?: boolean },
): Promise<void> {
  const { paths, config } = await readFederationYaml(options.config);
  const url = options.url ?? (await listenedUrl(paths, config.listen));
  const input = { name, url, valid: options.valid, replace: options.replace === true };
  const answer = await doMemberAction(paths, config, "invite", input, new NodeCrypto(), systemRandom());
  const { token, expiresAt } = answer as { token: string; expiresAt: number };
  printResult(
    options.json,
    { name, url, token, expiresAt },
    `Give this line to ${name} over a channel you trust; it works once, until ${new Date(expiresAt).toISOString()}:

  allulook join ${token}`,
  );
}

/** Where sites on this machine reach the coordinator; elsewhere it has a name that only people know. */
async function listenedUrl(paths: FederationPaths, listen: FederationConfig["listen"]): Promise<string> {
  const { host, port, tls } = listen;
  if (!isLoopback(host)) {
    throw new CodedError("USAGE", `--url: expected the address under which sites reach ${host}, got nothing`);
  }
  if (port === 0) {
    const endpoint = await readEndpoint(paths);
    if (endpoint === null)
      throw new CodedError("USAGE", "--url: the port is chosen when the coordinator starts; start it");
    return endpoint.url;
  }
  return `${tls === null ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

async function clients(options: Common): Promise<void> {
  const { paths, config } = await readFederationYaml(options.config);
  const list = (await doMemberAction(paths, config, "clients", {}, new NodeCrypto(), systemRandom())) as {
    name: string;
    signingKey: string;
    status: string;
    enrolledAt: number;
  }[];
  const width = Math.max(4, ...list.map((client) => client.name.length));
  const lines = list.map(
    ({ name, status, enrolledAt, signingKey }) =>
      `${name.padEnd(width)}  ${new Date(enrolledAt).toISOString()}  ${fingerprint(signingKey)}  ${status}`,
  );
  printResult(options.json, list, lines.length === 0 ? "No site has joined yet." : lines.join("\n"));
}

async function rounds(options: Common): Promise<void> {
  const { paths, config } = await readFederationYaml(options.config);
  const list = (await doMemberAction(paths, config, "rounds", {}, new NodeCrypto(), systemRandom())) as {
    round: number;
    status: string;
    survivors?: number;
    loss?: number | null;
  }[];
  const lines = list.map(
    ({ round, status, survivors, loss }) =>
      `round ${round}: ${status}${survivors === undefined ? "" : `, ${survivors} survivors`}${
        typeof loss === "number" ? `, loss ${loss.toPrecision(4)}` : ""
      }`,
  );
  printResult(options.json, list, lines.length === 0 ? "No round has been completed yet." : lines.join("\n"));
}

/** Asks the running coordinator for `actions`, one after the other; the last one's answer is shown. */
async function control(command: string, options: Common, actions: readonly string[] = [command]): Promise<void> {
  const { paths } = await readFederationYaml(options.config);
  let answer: Awaited<ReturnType<typeof askCoordinator>> = null;
  for (const action of actions) answer = await askCoordinator(paths, action, {});
  if (answer === null) {
    if (command !== "status") {
      throw new CodedError("COORDINATOR_UNREACHABLE", `no coordinator runs on ${paths.root}`);
    }
    printResult(options.json, { running: false }, `No coordinator runs on ${paths.root}.`);
    return;
  }
  const { result } = answer;
  const text =
    command === "status" && options.json !== true ? inWords(result as CoordinatorStatus) : `Done: ${command}.`;
  printResult(options.json, { running: true, ...(result as object | null) }, text);
}

function privacyLine(status: PrivacyStatus): string {
  const { spentRounds, roundsLeft } = status;
  return `privacy: ${spentWords(status)}, in ${spentRounds} rounds; enough for ${roundsLeft} more of those scheduled`;
}

/** What the coordinator is doing, and who is there. */
export function inWords(status: CoordinatorStatus): string {
  const { phase, round, attempt, version, completed, paused, reason, privacy, clients } = status;
  const width = Math.max(0, ...clients.map(({ name }) => name.length));
  const again = attempt > 1 ? `, attempt ${attempt}` : "";
  return [
    `${paused ? "paused, " : ""}${round < 0 ? "no round yet" : `round ${round}`}: ${phase}${again}`,
    ...(reason === null ? [] : [`${reason.code}: ${reason.message}`]),
    `${completed} rounds completed; newest version ${version}`,
    ...(privacy === null ? [] : [privacyLine(privacy)]),
    ...clients.map(({ name, connected, ready, version: held, progress }) => {
      const there = connected ? (ready ? "ready" : "connected, not ready") : "away";
      const steps = progress === null ? "" : `, step ${progress.step} of ${progress.steps}`;
      return `  ${name.padEnd(width)}  ${there}, ${held < 0 ? "no version" : `version ${held}`}${steps}`;
    }),
  ].join("\n");
}
