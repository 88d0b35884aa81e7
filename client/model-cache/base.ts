/** The weights that frozen and personal params begin with, where no seed gives them: fetched once, kept by hash. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { bytesToHex } from "@noble/hashes/utils.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { isCoded } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import type { BlobRef } from "../../shared/wire/release.ts";
import type { ClientTransport } from "../transport/port.ts";

const RETRY_MS = 500;

/** The file with these bytes; asks again after a lost connection. Rejects as the transport does, or with the signal's reason. */
export async function baseFile(
  folder: string,
  ref: BlobRef,
  transport: Pick<ClientTransport, "download">,
  signal: AbortSignal,
): Promise<string> {
  const path = join(folder, `${ref.sha256}.base`);
  const held = await readFile(path).catch(() => null);
  if (held !== null && bytesToHex(sha256(held)) === ref.sha256) return path;
  for (;;) {
    try {
      const bytes = await transport.download(ref, signal);
      await mkdir(folder, { recursive: true });
      await writeFileDurably(path, bytes);
      return path;
    } catch (error) {
      signal.throwIfAborted();
      if (!isCoded(error, "DISCONNECTED")) throw error;
      await wait(RETRY_MS, undefined, { signal });
    }
  }
}
