/** `allulook release verify`: an auditor's check of a release folder. Needs no coordinator and no network. */
import { stat } from "node:fs/promises";
import { hexToBytes } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import { CodedError } from "../../shared/errors.ts";
import { sha256Hex } from "../../shared/ids.ts";
import { brotli } from "../../shared/node/brotli.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { folderOnDisk, neighboursOnDisk } from "../../shared/node/release-folder.ts";
import { verifyRelease, type Verified } from "../../shared/release/verify.ts";
import { printResult } from "../output.ts";

interface VerifyOptions {
  readonly key?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const release = program.command("release").description("signed releases of a federation");
  release
    .command("verify")
    .description("check signature, hashes, params and model of a release folder, offline")
    .argument("<dir>", "release folder, the one with manifest.json")
    .option("--key <hex>", "the coordinator's public key, as the operator told you")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample:\n  allulook release verify out/releases/5 --key 3d4017c3…")
    .action(verify);
}

async function verify(dir: string, options: VerifyOptions): Promise<void> {
  const found = await stat(dir).catch(() => null);
  if (found?.isDirectory() !== true) throw new CodedError("USAGE", `${dir} is not a folder`, { field: "dir" });
  const verified = await verifyRelease(
    {
      crypto: new NodeCrypto(),
      compression: brotli,
      trustedKey: options.key === undefined ? null : parseKey(options.key),
      neighbour: neighboursOnDisk(dir),
    },
    folderOnDisk(dir),
  );
  const { manifest, files, params, model, absent } = verified;
  const value = {
    ok: true,
    version: manifest.version,
    sha256: manifest.paramsHash,
    parentSha256: manifest.parentHash,
    configHash: manifest.configHash,
    signedBy: manifest.signedBy,
    keyChecked: options.key !== undefined,
    files,
    params,
    model,
    absent,
  };
  printResult(options.json, value, inWords(verified, options.key !== undefined));
}

function parseKey(text: string): Uint8Array {
  const parsed = sha256Hex.safeParse(text.toLowerCase());
  if (!parsed.success)
    throw new CodedError("USAGE", "--key: expected 64 hexadecimal digits", { field: "key", got: text });
  return hexToBytes(parsed.data);
}

function inWords({ manifest, files, params, model, absent }: Verified, keyChecked: boolean): string {
  const lines = [
    `Release ${manifest.version} of ${manifest.name} (round ${manifest.round}) is intact.`,
    `  signature   good, by ${manifest.signedBy}`,
    keyChecked
      ? "              which is the key you gave"
      : "              compare this key with what the operator told you, or give it with --key",
    `  files       ${files} of ${manifest.files.length} here, each with its signed hash`,
    params === "rebuilt"
      ? `  params      rebuilt from keyframe and updates: sha256 ${manifest.paramsHash}`
      : "  params      not rebuilt: the releases back to a keyframe are not beside this folder",
  ];
  if (model === "derived") lines.push("  model/      byte for byte what these params give");
  if (model === "hash-only") lines.push("  model/      has its signed hash; not compared with the params");
  if (absent.length > 0) lines.push(`  not here    ${absent.join(", ")} (belongs to the release, was not checked)`);
  return lines.join("\n");
}
