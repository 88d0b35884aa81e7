/** The client process of the transfer benchmark: `node transfer-client.js JOB` uploads and downloads, and reports the seconds. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { SocketClientTransport } from "../../client/transport/socket.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { secondsAsync } from "./clock.ts";

export type TransferJob = { readonly url: string; readonly bytes: number; readonly runs: number } & (
  | { readonly kind: "plain" }
  | {
      readonly kind: "real";
      readonly name: ClientName;
      /** Seed of the client's key, hexadecimal. */
      readonly secret: string;
      readonly federation: string;
      readonly coordinatorKey: string;
    }
);

/** Seconds of each run. */
export interface TransferTimes {
  readonly upload: number[];
  readonly download: number[];
}

interface Ends {
  upload(bytes: Uint8Array, hash: Sha256): Promise<void>;
  download(hash: Sha256, bytes: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

function plainEnds(url: string): Ends {
  return {
    async upload(bytes, hash) {
      const sent = request(url, { method: "PUT", headers: { "content-length": bytes.length } });
      sent.end(bytes);
      const [response] = (await once(sent, "response")) as [AsyncIterable<Buffer>];
      let answer = "";
      for await (const piece of response) answer += piece.toString();
      if (answer !== hash) throw new Error("the plain server received other bytes");
    },
    async download(hash, bytes) {
      const out = new Uint8Array(bytes);
      const digest = createHash("sha256");
      const asked = request(url).end();
      const [response] = (await once(asked, "response")) as [AsyncIterable<Buffer>];
      let at = 0;
      for await (const piece of response) {
        digest.update(piece);
        out.set(piece, at);
        at += piece.length;
      }
      if (digest.digest("hex") !== hash) throw new Error("the plain server sent other bytes");
      return out;
    },
    close: async () => {},
  };
}

async function realEnds(job: Extract<TransferJob, { kind: "real" }>): Promise<Ends> {
  const crypto = new NodeCrypto();
  const transport = new SocketClientTransport({
    url: job.url,
    client: job.name,
    key: crypto.signingKey(Buffer.from(job.secret, "hex")),
    federation: job.federation as Sha256,
    coordinatorKey: job.coordinatorKey as Sha256,
    crypto,
    rng: systemRandom(),
    bandwidth: { up: null, down: null },
    proxy: "",
  });
  await new Promise<void>((connected) => {
    transport.open({ connected, disconnected: () => {}, message: () => {} });
  });
  const { signal } = new AbortController();
  const sid = "5e".repeat(32) as Sha256;
  return {
    upload: (bytes, hash) => transport.upload(sid, hash, bytes, signal),
    download: (hash, bytes) => transport.download({ sha256: hash, bytes }, signal),
    close: () => transport.close(),
  };
}

const job = JSON.parse(process.argv[2] ?? "null") as TransferJob;
const ends = job.kind === "plain" ? plainEnds(job.url) : await realEnds(job);
const times: TransferTimes = { upload: [], download: [] };
// The first run warms both ends up.
for (let run = 0; run <= job.runs; run++) {
  const bytes = randomBytes(job.bytes);
  const hash = createHash("sha256").update(bytes).digest("hex") as Sha256;
  const up = await secondsAsync(() => ends.upload(bytes, hash));
  const down = await secondsAsync(() => ends.download(hash, bytes.length));
  if (run === 0) continue;
  times.upload.push(up);
  times.download.push(down);
}
await ends.close();
process.send?.(times);
