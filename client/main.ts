/** Composition root of a deployed client: builds a session from a site folder, and nothing else. */
import { appendFile } from "node:fs/promises";
import { resolve } from "node:path";
import { hexToBytes } from "@noble/hashes/utils.js";
import type { SiteConfig } from "../shared/config/site.ts";
import { CodedError } from "../shared/errors.ts";
import { brotli } from "../shared/node/brotli.ts";
import { NodeCrypto, systemRandom } from "../shared/node/crypto.ts";
import { readSecretFile } from "../shared/node/identity.ts";
import type { SigningKey } from "../shared/secagg/crypto-port.ts";
import { withVerificationCache } from "../shared/secagg/verification-cache.ts";
import { HEARTBEAT_MS } from "../shared/wire/messages.ts";
import { consoleLog } from "./console-log.ts";
import { ModelCache } from "./model-cache/cache.ts";
import { installRelease } from "./model-cache/install.ts";
import { FileParamStore } from "./model-cache/store.ts";
import { FileOutbox } from "./outbox/outbox.ts";
import { FileApprovals, storePlan } from "./plan/approvals.ts";
import { applyCpuPolicy } from "./policy/resources.ts";
import { openRoundLog } from "./secagg/round-log-file.ts";
import { ClientSession } from "./session.ts";
import type { Log } from "./session/ports.ts";
import { lockSite } from "./site-lock.ts";
import { readIdentity, readSiteConfig, sitePaths, type SiteIdentity, type SitePaths } from "./site-folder.ts";
import { TrainerPool } from "./training/pool.ts";
import { SocketClientTransport } from "./transport/socket.ts";

const APPROVAL_POLL_MS = 500;

/** A site folder, read and checked. */
export interface OpenSite {
  readonly paths: SitePaths;
  readonly config: SiteConfig;
  readonly identity: SiteIdentity;
  readonly signingKey: SigningKey;
}

/** Throws SITE_INCOMPLETE, CONFIG_INVALID, KEY_FILE. */
export async function openSite(folder: string): Promise<OpenSite> {
  const paths = sitePaths(resolve(folder));
  const config = await readSiteConfig(paths);
  const identity = await readIdentity(paths);
  const signingKey = new NodeCrypto().signingKey(await readSecretFile(paths.signingKey));
  return { paths, config, identity, signingKey };
}

/** The connection of a site, not yet opened. */
export function siteTransport({ config, identity, signingKey }: OpenSite): SocketClientTransport {
  return new SocketClientTransport({
    url: config.coordinator,
    client: identity.name,
    key: signingKey,
    federation: identity.federationId,
    coordinatorKey: identity.coordinatorKey,
    crypto: new NodeCrypto(),
    rng: systemRandom(),
    bandwidth: config.policy.bandwidth,
  });
}

export interface RunningClient {
  /** See {@link ClientSession.finished}. */
  readonly finished: Promise<string>;
  stop(): Promise<void>;
}

/**
 * Locks the site folder, connects, and takes part until the federation ends or `stop`.
 * Throws SITE_LOCKED, AUTH_PENDING (the authority has not signed yet) and what {@link openSite} throws.
 */
export async function createClient(folder: string, log: Log = consoleLog()): Promise<RunningClient> {
  const site = await openSite(folder);
  const { paths, config, identity, signingKey } = site;
  const { certificate } = identity;
  if (certificate === null) throw new CodedError("AUTH_PENDING", `${identity.name} has no certificate yet`);
  const unlock = await lockSite(paths.lock);
  try {
    applyCpuPolicy(config.policy.cpu);
    const crypto = withVerificationCache(new NodeCrypto());
    const transport = siteTransport(site);
    const coordinatorKey = hexToBytes(identity.coordinatorKey);
    // One worker: a site is one client, and the policy's threads are threads of one operation.
    const pool = new TrainerPool(1, { threads: config.policy.cpu.threads });
    const data = { dir: resolve(paths.root, config.data), map: config.labels.map };
    const session = new ClientSession({
      self: { name: identity.name, signingKey, certificate },
      pinned: {
        federation: identity.federationId,
        coordinatorKey,
        authorityKey: hexToBytes(identity.authorityKey),
      },
      policy: config.policy,
      transport,
      approvals: new FileApprovals(paths.approvals, config.policy.approve),
      roundLog: await openRoundLog(paths.rounds),
      outbox: new FileOutbox(paths.outbox),
      crypto,
      random: systemRandom(),
      log,
      now: Date.now,
      workplace: async (plan) => {
        const trainer = await pool.create({ clientName: identity.name, config: plan, seed: plan.seed, data });
        const models = new ModelCache({
          federation: identity.federationId,
          coordinatorKey,
          layout: trainer.layout,
          store: new FileParamStore(paths.models),
          transport,
          crypto,
          compression: brotli,
        });
        return {
          trainer,
          models,
          install: (manifest, judge, signal) =>
            installRelease({ cache: models, folder: paths.releases, plan }, manifest, judge, signal),
          checkpoints: paths.checkpoints,
          dispose: () => trainer.dispose(),
        };
      },
      keepPlan: (text) => storePlan(paths.plan, text, Date.now()),
      keepScore: (score) =>
        appendFile(paths.scores, `${JSON.stringify({ at: new Date().toISOString(), ...score })}\n`, { mode: 0o600 }),
      pause: () => new Promise((done) => setImmediate(done)),
      options: { heartbeatMs: HEARTBEAT_MS, approvalPollMs: APPROVAL_POLL_MS, keepResult: true },
    });
    session.start();
    return {
      finished: session.finished,
      stop: async () => {
        await session.stop();
        await pool.close();
        await unlock();
      },
    };
  } catch (error) {
    await unlock();
    throw error;
  }
}
