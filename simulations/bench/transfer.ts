/**
 * Upload and download through the real server, its store on disk, against the least that can be done with the same
 * bytes: received over HTTP, hashed, written and synced; read from disk and sent. The client is a process of its own.
 */
import { fork, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { openFederation, federationPaths } from "../../coordinator/enrol/folder.ts";
import { createAuthority } from "../../coordinator/enrol/authority.ts";
import { SocketCoordinatorTransport } from "../../coordinator/transport/server.ts";
import { CodedError } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { createSecretFile } from "../../shared/node/identity.ts";
import { middle } from "./clock.ts";
import type { Figures } from "./suite.ts";
import type { TransferJob, TransferTimes } from "./transfer-client.ts";

const RUNS = 5;
const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const hex = (bytes: Uint8Array): Sha256 => Buffer.from(bytes).toString("hex") as Sha256;

/** Every upload has other bytes, so that none is there already. */
export async function transfers(megabytes: number): Promise<Figures> {
  const root = await mkdtemp(join(tmpdir(), "allulook-bench-"));
  try {
    const bytes = megabytes * 1e6;
    const plain = await plainTimes(root, bytes);
    const real = await serverTimes(root, bytes);
    const rate = (seconds: readonly number[]) => bytes / 1e6 / middle(seconds);
    return {
      megabytes,
      uploadMBps: rate(real.upload),
      receiveHashSyncMBps: rate(plain.upload),
      uploadShare: middle(plain.upload) / middle(real.upload),
      downloadMBps: rate(real.download),
      readAndSendMBps: rate(plain.download),
      downloadShare: middle(plain.download) / middle(real.download),
    };
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** The shipped server with its uploads and blobs, and the shipped client transport. */
async function serverTimes(root: string, bytes: number): Promise<TransferTimes> {
  const crypto = new NodeCrypto();
  const rng = systemRandom();
  const folder = join(root, "federation");
  const paths = federationPaths(folder);
  await createAuthority(paths.authority, "bench", crypto, rng);
  await createSecretFile(paths.key, rng);
  await createSecretFile(paths.admin, rng);
  const federation = await openFederation(
    folder,
    { federation: "bench", authority: "embedded" },
    crypto,
    rng,
    Date.now,
  );
  const secret = rng.bytes(32);
  const name = "client-1" as ClientName;
  const signingKey = hex(crypto.signingKey(secret).publicKey);
  const certificate = await federation.authority?.sign(name, signingKey);
  if (certificate === undefined) throw new Error("an embedded authority signs");
  await federation.members.update({ name, signingKey, certificate, enrolledAt: Date.now(), revoked: false });
  const server = new SocketCoordinatorTransport({
    listen: { host: "127.0.0.1", port: 0, tls: null, behindProxy: false, insecurePlainText: false },
    federation: { name: "bench", id: federation.identity.federationId },
    crypto,
    key: federation.key,
    rng,
    members: federation.members,
    enrolment: federation.enrolment,
    blobs: federation.blobs,
    uploads: federation.uploads,
    admin: { token: federation.adminToken, actions: {} },
    log: SILENT,
  });
  const offered: { sha256: Sha256; bytes: number }[] = [];
  await server.start({
    connected: () => {},
    disconnected: () => {},
    message: async () => {},
    uploadLimit: () => bytes,
    uploaded: async (_client, _sid, hash, length) => {
      offered.push({ sha256: hash, bytes: length });
    },
    // What a link names may be downloaded.
    chain: async () => offered.map((update) => ({ update, keyframe: null }) as never),
    manifest: async () => null,
  });
  try {
    return await inClient({
      kind: "real",
      url: server.url,
      bytes,
      runs: RUNS,
      secret: hex(secret),
      name,
      federation: federation.identity.federationId,
      coordinatorKey: hex(federation.key.publicKey),
    });
  } finally {
    await server.stop();
    await federation.close();
  }
}

/** node:http alone: what arrives is hashed, written as it comes and synced; what is asked for is streamed from disk. */
async function plainTimes(root: string, bytes: number): Promise<TransferTimes> {
  const folder = join(root, "plain");
  await mkdir(folder);
  const server = createServer((request, response) => {
    const path = join(folder, "blob");
    const answered =
      request.method === "GET"
        ? pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), response)
        : receive(request, path).then((hash) => void response.end(hash));
    answered.catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return await inClient({ kind: "plain", url, bytes, runs: RUNS });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function receive(request: IncomingMessage, path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, "w");
  try {
    for await (const piece of request as AsyncIterable<Uint8Array>) {
      hash.update(piece);
      await file.write(piece);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}

async function inClient(job: TransferJob): Promise<TransferTimes> {
  const entry = fileURLToPath(new URL("./transfer-client.js", import.meta.url));
  const child: ChildProcess = fork(entry, [JSON.stringify(job)], { execArgv: ["--no-warnings"] });
  try {
    const ended = once(child, "exit").then(([code]) => {
      throw new CodedError("DISCONNECTED", `the client of the benchmark ended with ${code}`);
    });
    const [times] = (await Promise.race([once(child, "message"), ended])) as [TransferTimes];
    return times;
  } finally {
    child.kill();
  }
}
