/** Composition root of a deployed client: builds a session from a site folder, and nothing else. */
import { appendFile, readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { hexToBytes } from "@noble/hashes/utils.js";
import type { SiteConfig } from "../shared/config/site.ts";
import { CodedError } from "../shared/errors.ts";
import { brotli } from "../shared/node/brotli.ts";
import { NodeCrypto, systemRandom } from "../shared/node/crypto.ts";
import { removeUnfinished, writeFileDurably } from "../shared/node/files.ts";
import { readSecretFile } from "../shared/node/identity.ts";
import { lockFolder } from "../shared/node/lock.ts";
import { MaskPool } from "../shared/node/mask-pool.ts";
import { AuditFile } from "../shared/node/audit-file.ts";
import { basePart } from "../shared/release/base.ts";
import type { SigningKey } from "../shared/secagg/crypto-port.ts";
import { withVerificationCache } from "../shared/secagg/verification-cache.ts";
import { HEARTBEAT_MS } from "../shared/wire/messages.ts";
import { collectCertificate } from "./enrol/join.ts";
import { openMembership } from "./enrol/membership.ts";
import { consoleLog } from "./console-log.ts";
import { baseFile } from "./model-cache/base.ts";
import { ModelCache } from "./model-cache/cache.ts";
import { installRelease } from "./model-cache/install.ts";
import { FilePersonalStore } from "./model-cache/personal.ts";
import { FileParamStore } from "./model-cache/store.ts";
import { FileOutbox } from "./outbox/outbox.ts";
import { FileApprovals, storePlan } from "./plan/approvals.ts";
import { openPrivacyLedger } from "./policy/privacy-ledger.ts";
import { applyCpuPolicy } from "./policy/resources.ts";
import { openRoundLog } from "./secagg/round-log-file.ts";
import { ClientSession } from "./session.ts";
import { copyKeeper, revealedLast, toldLast } from "./session/copies.ts";
import type { Log } from "./session/ports.ts";
import {
  readIdentity,
  readRevocations,
  readSiteConfig,
  sitePaths,
  type SiteIdentity,
  type SitePaths,
} from "./site-folder.ts";
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
  /** See {@link ClientSession.finished}; rejects also when the training worker has stopped by itself. */
  readonly finished: Promise<string>;
  stop(): Promise<void>;
}

/**
 * Locks the site folder, waits for its certificate, connects, and takes part until the federation ends or `stop`.
 * Throws SITE_LOCKED, what {@link openSite} throws, and the signal's reason when it is aborted while waiting.
 * `trainers`: where trainers come from instead of a worker thread of its own.
 */
export async function createClient(
  folder: string,
  log: Log = consoleLog(),
  signal: AbortSignal = new AbortController().signal,
  trainers?: Pick<TrainerPool, "create" | "close">,
): Promise<RunningClient> {
  const site = await openSite(folder);
  const { paths, config, identity, signingKey } = site;
  const unlock = await lockFolder(paths.lock, "SITE_LOCKED");
  try {
    for (const written of [paths.state, paths.checkpoints, paths.personal, paths.transcripts])
      await removeUnfinished(written);
    const collect = async () =>
      (await collectCertificate(paths.root, config.coordinator, new NodeCrypto())).certificate;
    const { name, certificate: held } = identity;
    const membership = await openMembership({ name, held, collect, log }, signal);
    const { serial } = membership.certificate;
    applyCpuPolicy(config.policy.cpu);
    const crypto = withVerificationCache(new NodeCrypto());
    const transport = siteTransport(site);
    const coordinatorKey = hexToBytes(identity.coordinatorKey);
    // One worker: a site is one client, and the policy's threads are threads of one operation.
    const pool = trainers ?? new TrainerPool(1, { threads: config.policy.cpu.threads });
    const masks = new MaskPool(1);
    const over = new AbortController();
    const data = [{ dir: resolve(paths.root, config.data), map: config.labels.map }];
    const auditFile = new AuditFile(paths.audit);
    await auditFile.append({ act: "client started", facts: { client: identity.name, serial } });
    const session = new ClientSession({
      self: {
        name,
        signingKey,
        get certificate() {
          return membership.certificate;
        },
      },
      pinned: {
        federation: identity.federationId,
        coordinatorKey,
        authorityKey: hexToBytes(identity.authorityKey),
      },
      policy: config.policy,
      transport,
      approvals: new FileApprovals(paths.approvals, config.policy.approve),
      roundLog: await openRoundLog(paths.rounds),
      ledger: await openPrivacyLedger(paths.privacy),
      revocations: {
        held: await readRevocations(paths),
        keep: (list) =>
          void writeFileDurably(paths.revocations, `${JSON.stringify(list)}\n`, 0o600).catch((error: unknown) =>
            log.error({ error }, "the list of revoked members cannot be written"),
          ),
      },
      told: await toldLast(paths.transcripts),
      revealed: await revealedLast(paths.transcripts),
      keepCopy: copyKeeper(paths.transcripts),
      audit: {
        append: auditFile.append,
        sign: (...acts) => auditFile.sign(signingKey, ...acts),
      },
      outbox: new FileOutbox(paths.outbox),
      crypto,
      masker: masks.mask,
      random: systemRandom(),
      log,
      now: Date.now,
      workplace: async (plan) => {
        const ref = basePart(plan);
        const base = ref === null ? null : await baseFile(paths.models, ref, transport, over.signal);
        const teacher = config.teacher === null ? {} : { teacher: resolve(paths.root, config.teacher) };
        const spec = { clientName: identity.name, config: plan, seed: plan.seed, data, ...teacher };
        const trainer = await pool.create({ ...spec, ...(base !== null && { base }) });
        const own = trainer.personal === undefined ? null : new FilePersonalStore(paths.personal, trainer.personal);
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
          ...(own !== null && { personal: own }),
          install: async (manifest, judge, signal) => {
            const options = {
              cache: models,
              folder: paths.releases,
              plan,
              base: base === null ? null : await readFile(base),
              // What a strategy keeps here is no part of the model.
              ...(own !== null &&
                plan.training.personal.length > 0 && { personal: (round: number) => own.file(round) }),
            };
            return installRelease(options, manifest, judge, signal);
          },
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
    let stopped: Promise<void> | null = null;
    const stop = async () => {
      over.abort(new CodedError("ATTEMPT_OVER", "the client stops"));
      membership.stop();
      // The pool at once: what it is still opening or training is of no more use.
      await Promise.all([session.stop(), pool.close(), masks.close()]);
      await auditFile
        .sign(signingKey, { act: "client stopped", facts: {} })
        .catch((error: unknown) => log.error({ error }, "the audit log cannot be written"));
      await unlock();
    };
    // Without its worker a client would only decline, round after round: whoever looks after the process starts it again.
    const finished = pool instanceof TrainerPool ? Promise.race([session.finished, pool.broken]) : session.finished;
    finished.catch(() => undefined);
    return { finished, stop: () => (stopped ??= stop()) };
  } catch (error) {
    await unlock();
    throw error;
  }
}
