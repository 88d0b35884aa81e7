/** `allulook join`: a site becomes a member of a federation. */
import { isAbsolute, relative, resolve } from "node:path";
import type { Command } from "commander";
import { joinFederation } from "../../client/enrol/join.ts";
import { sitePaths } from "../../client/site-folder.ts";
import { CodedError } from "../../shared/errors.ts";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { readTextIfAny } from "../../shared/node/files.ts";
import { fingerprint, readSecretFile } from "../../shared/node/identity.ts";
import { note, printResult } from "../output.ts";

interface JoinCommandOptions {
  readonly data: string;
  readonly dataset?: string;
  readonly ca?: string;
  readonly proxy?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command("join")
    .description("make this site's keys, enrol with an invitation, and write site.yaml")
    .argument("<token>", "the line the operator gave you")
    .option("--data <dir>", "the site folder to make", ".")
    .option("--dataset <dir>", "the folder with pictures or annotations.json, written into site.yaml")
    .option("--ca <file>", "PEM of a certificate authority to trust (later: NODE_EXTRA_CA_CERTS)")
    .option("--proxy <url>", "HTTP(S) proxy (later: HTTPS_PROXY)")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook join allulook1.eyJ1cmwi… --data ./hospital-a --dataset /data/ultrasound")
    .action(join);
}

async function join(token: string, options: JoinCommandOptions): Promise<void> {
  const crypto = new NodeCrypto();
  const folder = resolve(options.data);
  const paths = sitePaths(folder);
  const kept = (await readTextIfAny(paths.config)) !== null;
  const identity = await joinFederation(token, folder, crypto, systemRandom(), {
    ...(options.dataset === undefined ? {} : { data: datasetPath(folder, options.dataset) }),
    ...(options.ca === undefined ? {} : { ca: await certificateOf(options.ca) }),
    ...(options.proxy === undefined ? {} : { proxy: options.proxy }),
  });
  if (kept) note(`${paths.config} was there before and is left as it is, also its coordinator and its data`);
  const key = Buffer.from(crypto.signingKey(await readSecretFile(paths.signingKey)).publicKey).toString("hex");
  const waits = identity.certificate === null;
  printResult(
    options.json,
    { name: identity.name, federation: identity.federation, folder, key, member: !waits },
    `${identity.name} ${waits ? "has asked to join" : "is a member of"} "${identity.federation}". This site's key:
  ${fingerprint(key)}
${waits ? "The authority signs memberships by hand: tell it this key. `allulook client` goes on once it has signed.\n" : ""}Next: read ${paths.config}, then
  allulook plan show --data ${options.data}
  allulook plan approve --data ${options.data}
  allulook client --data ${options.data}`,
  );
}

async function certificateOf(file: string): Promise<string> {
  const text = await readTextIfAny(file);
  if (text === null) throw new CodedError("USAGE", `--ca: there is no file ${file}`, { field: "ca", file });
  return text;
}

/** Relative to the site folder where it lies inside, so that the folder can be moved as a whole. */
function datasetPath(folder: string, dataset: string): string {
  const inside = relative(folder, resolve(dataset));
  return inside.startsWith("..") || isAbsolute(inside) ? resolve(dataset) : `./${inside}`;
}
