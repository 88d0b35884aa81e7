/**
 * Many clients in one process, each with keys and a connection of its own: `node cohort-client.js FILE FIRST COUNT`, the file
 * written by `deployed-cohort.ts` and which of its clients these are. They share what was verified and read, and work one at
 * a time: between two of them everybody's heartbeats and answers to pings go out.
 */
import { readFile } from "node:fs/promises";
import { hexToBytes } from "@noble/hashes/utils.js";
import { ModelCache } from "../../client/model-cache/cache.ts";
import { MemoryParamStore } from "../../client/model-cache/store.ts";
import { NO_OUTBOX } from "../../client/outbox/outbox.ts";
import { sharedReading } from "../../client/secagg/reading.ts";
import { memoryLedger } from "../../client/policy/privacy-ledger.ts";
import { memoryRoundLog } from "../../client/secagg/round-log.ts";
import { ClientSession } from "../../client/session.ts";
import { SocketClientTransport } from "../../client/transport/socket.ts";
import { sitePolicy } from "../../shared/config/site.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import { brotli } from "../../shared/node/brotli.ts";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { MaskPool } from "../../shared/node/mask-pool.ts";
import type { Certificate } from "../../shared/secagg/certificate.ts";
import { withVerificationCache } from "../../shared/secagg/verification-cache.ts";
import { HEARTBEAT_MS } from "../../shared/wire/messages.ts";
import { noOpTrainer } from "../population/no-op-trainer.ts";
import { vanishingTrainer } from "./cohort.ts";

export interface Cohort {
  readonly url: string;
  readonly params: number;
  readonly federation: Sha256;
  readonly coordinatorKey: Sha256;
  readonly authorityKey: Sha256;
  readonly sites: readonly {
    readonly name: ClientName;
    /** Hexadecimal. */
    readonly seed: string;
    readonly certificate: Certificate;
    readonly vanishes: boolean;
  }[];
}

const cohort = JSON.parse(await readFile(process.argv[2] ?? "", "utf8")) as Cohort;
const { url, federation } = cohort;
const [first, count] = process.argv.slice(3).map(Number) as [number, number];
const turns: (() => void)[] = [];
const nextTurn = (): void => {
  turns.shift()?.();
  if (turns.length > 0) setImmediate(nextTurn);
};
const takeTurn = (): Promise<void> =>
  new Promise((taken) => {
    turns.push(taken);
    if (turns.length === 1) setImmediate(nextTurn);
  });
const silent = { info: () => {}, warn: () => {}, error: () => {} };
const plain = new NodeCrypto();
const crypto = withVerificationCache(plain, 400_000);
const random = systemRandom();
const reading = sharedReading();
const masks = new MaskPool(1);
const present = noOpTrainer(cohort.params);
let leave: () => void = () => {};
const vanishing = vanishingTrainer(cohort.params, new Promise((resolve) => (leave = resolve)));
const coordinatorKey = hexToBytes(cohort.coordinatorKey);
const policy = sitePolicy.parse({ models: ["allulook4"], requireSecureAggregation: "malicious" });

const sessions = cohort.sites.slice(first, first + count).map(({ name, seed, certificate, vanishes }) => {
  const signingKey = crypto.signingKey(hexToBytes(seed));
  const transport = new SocketClientTransport({
    url,
    client: name,
    key: signingKey,
    federation,
    coordinatorKey: cohort.coordinatorKey,
    crypto: plain,
    rng: random,
    bandwidth: { up: null, down: null },
  });
  const trainer = vanishes ? vanishing : present;
  return new ClientSession({
    self: { name, signingKey, certificate },
    pinned: { federation, coordinatorKey, authorityKey: hexToBytes(cohort.authorityKey) },
    policy,
    transport,
    approvals: {
      covering: async (configHash) => ({ configHash, at: new Date(0).toISOString(), by: "benchmark" }),
    },
    roundLog: memoryRoundLog(),
    ledger: memoryLedger(),
    outbox: NO_OUTBOX,
    crypto,
    reading,
    masker: masks.mask,
    random,
    log: silent,
    now: Date.now,
    workplace: async () => ({
      trainer,
      models: new ModelCache({
        federation,
        coordinatorKey,
        layout: trainer.layout,
        store: new MemoryParamStore(),
        transport,
        crypto,
        compression: brotli,
      }),
      install: null,
      dispose: () => {},
    }),
    keepPlan: async () => {},
    keepScore: async () => {},
    pause: takeTurn,
    options: { heartbeatMs: HEARTBEAT_MS, approvalPollMs: 1_000, keepResult: false },
  });
});
const idleMB = process.memoryUsage.rss() / 1e6;
for (const session of sessions) session.start();
process.on("message", (said) => {
  if (said === "leave") {
    leave();
    return;
  }
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuSeconds: (user + system) / 1e6, idleMB, peakMB: process.resourceUsage().maxRSS / 1024 });
});
