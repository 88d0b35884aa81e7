/** Key files: an ed25519 seed (or another secret of 32 bytes) as 64 hexadecimal digits, readable by its owner only. */
import { chmod, readFile, stat } from "node:fs/promises";
import { CodedError } from "../errors.ts";
import type { SecureRng } from "../rng/secure.ts";
import { writeFileDurably } from "./files.ts";

const SECRET_BYTES = 32;

/** Makes a new secret and writes it durably with mode 0600; throws KEY_FILE when the file exists. */
export async function createSecretFile(path: string, rng: SecureRng): Promise<Uint8Array> {
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (exists) throw new CodedError("KEY_FILE", `${path} exists already and is not overwritten`, { file: path });
  const secret = rng.bytes(SECRET_BYTES);
  await writeFileDurably(path, `${Buffer.from(secret).toString("hex")}\n`, 0o600);
  await chmod(path, 0o600);
  return secret;
}

/** The secret of a file; throws KEY_FILE when it is missing, damaged, or readable by others. */
export async function readSecretFile(path: string): Promise<Uint8Array> {
  const info = await stat(path).catch(() => null);
  if (info === null) throw new CodedError("KEY_FILE", `${path} is missing`, { file: path });
  if (process.platform !== "win32" && (info.mode & 0o077) !== 0) {
    const mode = (info.mode & 0o777).toString(8);
    throw new CodedError("KEY_FILE", `${path} can be read by others (mode ${mode}); run chmod 600 on it`, {
      file: path,
      mode,
    });
  }
  const hex = (await readFile(path, "utf8")).trim();
  if (!/^[0-9a-f]{64}$/.test(hex)) {
    throw new CodedError("KEY_FILE", `${path}: expected 64 hexadecimal digits`, { file: path });
  }
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

/** A public key in a short form that two people can compare over the telephone. */
export function fingerprint(publicKeyHex: string): string {
  return (publicKeyHex.slice(0, 40).match(/.{4}/g) ?? []).join(" ");
}
