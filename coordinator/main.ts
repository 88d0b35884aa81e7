/** Composition root of a deployed coordinator: builds and wires, nothing else. */
import { availableParallelism } from "node:os";
import { hexToBytes } from "@noble/hashes/utils.js";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Logger } from "pino";
import { readBaseBytes } from "./base-model.ts";
import { roundAudit, startActs } from "./audit/log.ts";
import { createCoordinator, type Coordinator } from "./create.ts";
import { memberActions } from "./enrol/actions.ts";
import { openFederation, removeEndpoint, writeEndpoint } from "./enrol/folder.ts";
import { readFederationYaml } from "./enrol/init.ts";
import { ReleaseChain } from "./release/chain.ts";
import { begunWith, initialModel, type InitialModel } from "./release/initial-model.ts";
import { publish } from "./release/publish.ts";
import { systemClock } from "./round/clock.ts";
import { DEPLOYED, type CoordinatorOptions, type Observer } from "./round/parts.ts";
import { SocketCoordinatorTransport } from "./transport/server.ts";
import { evaluatorFor } from "./evaluate/score.ts";
import { hashOfText } from "../shared/canonical.ts";
import type { FederationConfig } from "../shared/config/federation.ts";
import { configHashOf, planOf, planText } from "../shared/config/plan.ts";
import { CodedError, isCoded } from "../shared/errors.ts";
import { brotli } from "../shared/node/brotli.ts";
import { NodeCrypto, systemRandom } from "../shared/node/crypto.ts";
import { keepEvidence } from "../shared/node/evidence-folder.ts";
import { removeUnfinished, writeFileDurably } from "../shared/node/files.ts";
import { readSecretFile } from "../shared/node/identity.ts";
import { MaskPool } from "../shared/node/mask-pool.ts";
import { lockFolder } from "../shared/node/lock.ts";
import { boxSecretOfSeed } from "../shared/secagg/box-key.ts";
import type { RevocationList } from "../shared/secagg/certificate.ts";
import { withVerificationCache } from "../shared/secagg/verification-cache.ts";

export interface RunningCoordinator {
  readonly coordinator: Coordinator;
  /** The federation's folder, and where its releases and transcripts are written. */
  readonly folder: string;
  readonly releases: string;
  readonly transcripts: string;
  /** Where it listens, once `coordinator.run` has opened the port. */
  url(): string;
  close(): Promise<void>;
}

/**
 * Opens the federation that `configFile` (federation.yaml) belongs to; `coordinator.run()` starts it.
 * `begin`: the model to begin with, instead of the one the configuration names.
 * Throws CONFIG_ codes, COORDINATOR_RUNNING, KEY_FILE, STORE_ codes.
 */
export async function openCoordinator(
  configFile: string,
  log: Logger,
  observer: Observer,
  options: CoordinatorOptions = DEPLOYED,
  begin?: InitialModel,
): Promise<RunningCoordinator> {
  const { config } = await readFederationYaml(configFile);
  const folder = dirname(resolve(configFile));
  const data = join(folder, "data");
  const unlock = await lockFolder(join(data, "lock"), "COORDINATOR_RUNNING");
  try {
    const crypto = withVerificationCache(new NodeCrypto());
    const rng = systemRandom();
    const federation = await openFederation(folder, config, crypto, rng, Date.now);
    const { identity, key, members, store, blobs, paths } = federation;
    const { model, labels, input, training } = config;
    const plain = begin ?? (await initialModel({ model, labels, input, training }, config.seed, data));
    const { layout, params } = begunWith(plain, config.strategy);
    const configHash = configHashOf(planText(planOf(config)));
    const { dtype, keyframeEvery } = config.release;
    const chain = await ReleaseChain.open({
      federation: identity.federationId,
      configHash,
      layout,
      dtype,
      keyframeEvery,
      key,
      crypto,
      compression: brotli,
      store,
      blobs,
    }).catch((error: unknown) => {
      throw isCoded(error, "RELEASE_FORMAT") ? otherModel(configFile, error) : error;
    });
    const started = { configHash, config: hashOfText(await readFile(configFile, "utf8")) };
    await federation.audit.append(...(await startActs(paths.audit, started)));
    const base = model.base === undefined ? null : await readBaseBytes(model.init, model.base);
    if (base !== null) await blobs.put(base);
    const releases = join(folder, "releases");
    const transcripts = join(folder, "transcripts");
    await removeUnfinished(transcripts);
    let revocations: RevocationList | null = await federation.revocations();
    // A member that joins again with new keys has its old certificate revoked.
    members.onChange(() => {
      federation.revocations().then(
        (list) => void (revocations = list),
        (error: unknown) => log.error({ err: error }, "cannot read the revocation list"),
      );
    });
    const actions = memberActions(federation, crypto, Date.now);
    const sockets = new SocketCoordinatorTransport({
      listen: { ...config.listen, tls: tlsBeside(folder, config.listen.tls) },
      federation: { name: config.federation, id: identity.federationId },
      crypto,
      key,
      rng,
      members,
      enrolment: federation.enrolment,
      blobs,
      offered: model.base === undefined ? [] : [model.base.sha256],
      uploads: federation.uploads,
      log,
      admin: {
        token: federation.adminToken,
        actions: {
          ...actions,
          import: async (answers) => {
            const result = await actions.import(answers);
            revocations = await federation.revocations();
            return result;
          },
          revoke: async (names) => {
            const result = await actions.revoke(names);
            revocations = await federation.revocations();
            return result;
          },
          status: async () => coordinator.status(),
          pause: async () => coordinator.pause(),
          resume: async () => coordinator.resume(),
          trigger: async () => coordinator.trigger(),
          stop: async () => coordinator.stop("the operator has ended the federation"),
        },
      },
    });
    const threads = availableParallelism();
    const masking = new MaskPool(threads);
    const coordinator = createCoordinator({
      config,
      federation: identity.federationId,
      authorityKey: hexToBytes(identity.authorityKey),
      keys: { signing: key, box: crypto.agreementKey(boxSecretOfSeed(await readSecretFile(paths.key))) },
      crypto,
      store,
      blobs,
      transport: {
        start: async (events) => {
          await sockets.start(events);
          await writeEndpoint(paths, sockets.url);
          observer.listening?.(sockets.url);
        },
        send: (client, message) => sockets.send(client, message),
        room: () => sockets.room(),
        traffic: () => sockets.traffic(),
        stop: () => sockets.stop(),
      },
      collect: (live, graceMs) => blobs.collect(live, graceMs),
      clock: systemClock,
      layout,
      initialParams: params,
      evaluator: evaluatorFor(labels, model.own),
      chain,
      publish: (round) => publish({ chain, name: config.federation, config, folder: releases, base }, round),
      audit: await roundAudit(federation.audit, key),
      keepTranscript: (name, text) => writeFileDurably(join(transcripts, `${name}.json`), text),
      keepEvidence: (name, files) => keepEvidence(join(folder, "evidence"), name, files, config.transcripts.keepInputs),
      enrolled: () => members.all(),
      revocations: () => revocations,
      unmasker: { threads, mask: masking.mask },
      pause: () => new Promise((done) => setImmediate(done)),
      observer,
      options,
    });
    return {
      coordinator,
      folder,
      releases,
      transcripts,
      url: () => sockets.url,
      close: async () => {
        await coordinator.close();
        await masking.close();
        await removeEndpoint(paths);
        await federation.audit.sign(key, { act: "coordinator stopped", facts: {} });
        await federation.close();
        await unlock();
      },
    };
  } catch (error) {
    await unlock();
    throw error;
  }
}

/** Labels, model and what is trained are fixed by the first version, which is made when a coordinator first starts. */
function otherModel(file: string, cause: CodedError): CodedError {
  const message = `${file}: model, labels or training.trainable: expected those that this federation's versions were made with, got others; put them back, or begin anew with allulook init`;
  return new CodedError("CONFIG_INVALID", message, { file, field: "model" }, { cause });
}

/** federation.yaml names its files from the folder it lies in, wherever the coordinator is started. */
function tlsBeside(folder: string, tls: FederationConfig["listen"]["tls"]): FederationConfig["listen"]["tls"] {
  return tls === null ? null : { cert: resolve(folder, tls.cert), key: resolve(folder, tls.key) };
}
