/**
 * Many sites in one process, each with its own keys, round log and connection: `node cohort-client.js PARAMS SITE...`.
 * They share what was verified and read; a SITE that begins with "-" vanishes when it is asked to train.
 */
import { resolve } from "node:path";
import { hexToBytes } from "@noble/hashes/utils.js";
import { openSite, siteTransport } from "../../client/main.ts";
import { ModelCache } from "../../client/model-cache/cache.ts";
import { FileParamStore } from "../../client/model-cache/store.ts";
import { NO_OUTBOX } from "../../client/outbox/outbox.ts";
import { FileApprovals } from "../../client/plan/approvals.ts";
import { sharedReading } from "../../client/secagg/reading.ts";
import { openRoundLog } from "../../client/secagg/round-log-file.ts";
import { ClientSession } from "../../client/session.ts";
import { brotli } from "../../shared/node/brotli.ts";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { MaskPool } from "../../shared/node/mask-pool.ts";
import type { Certificate } from "../../shared/secagg/certificate.ts";
import { withVerificationCache } from "../../shared/secagg/verification-cache.ts";
import { noOpTrainer } from "../population/no-op-trainer.ts";
import { vanishingTrainer } from "./cohort.ts";

const [params, ...sites] = process.argv.slice(2);
const length = Number(params);
const silent = { info: () => {}, warn: () => {}, error: () => {} };
const crypto = withVerificationCache(new NodeCrypto(), 400_000);
const reading = sharedReading();
const masks = new MaskPool(1);
const present = noOpTrainer(length);
const sessions: ClientSession[] = [];
for (const folder of sites) {
  const site = await openSite(resolve(folder.replace(/^-/, "")));
  const { paths, config, identity, signingKey } = site;
  const transport = siteTransport(site);
  const coordinatorKey = hexToBytes(identity.coordinatorKey);
  const trainer = folder.startsWith("-") ? vanishingTrainer(length) : present;
  const session = new ClientSession({
    self: { name: identity.name, signingKey, certificate: identity.certificate as Certificate },
    pinned: { federation: identity.federationId, coordinatorKey, authorityKey: hexToBytes(identity.authorityKey) },
    policy: config.policy,
    transport,
    approvals: new FileApprovals(paths.approvals, config.policy.approve),
    roundLog: await openRoundLog(paths.rounds),
    outbox: NO_OUTBOX,
    crypto,
    reading,
    masker: masks.mask,
    random: systemRandom(),
    log: silent,
    now: Date.now,
    workplace: async () => ({
      trainer,
      models: new ModelCache({
        federation: identity.federationId,
        coordinatorKey,
        layout: trainer.layout,
        store: new FileParamStore(paths.models),
        transport,
        crypto,
        compression: brotli,
      }),
      install: null,
      dispose: () => {},
    }),
    keepPlan: async () => {},
    keepScore: async () => {},
    pause: () => new Promise((done) => setImmediate(done)),
    options: { heartbeatMs: 2_000, approvalPollMs: 1_000, keepResult: false },
  });
  sessions.push(session);
}
const idleMB = process.memoryUsage.rss() / 1e6;
for (const session of sessions) session.start();
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuSeconds: (user + system) / 1e6, idleMB, peakMB: process.resourceUsage().maxRSS / 1024 });
});
