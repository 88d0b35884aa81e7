/** Follows the chain of versions: fetches what was committed, and scores every release here before it is switched on. */
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { checkLink } from "../../shared/release/link.ts";
import { readManifest } from "../../shared/release/manifest.ts";
import { sha256Of } from "../../shared/release/ports.ts";
import type { ChainLink } from "../../shared/wire/release.ts";
import { metricsFromStatistics } from "../../models/metrics/statistics.ts";
import type { SessionParts, Workplace } from "./ports.ts";
import type { Sender } from "./sender.ts";
import type { Work } from "./work.ts";

export class Versions {
  readonly #parts: SessionParts;
  readonly #place: Workplace;
  readonly #work: Work;
  readonly #sender: Sender;
  readonly #stopped: AbortSignal;
  #queue: Promise<void> = Promise.resolve();

  constructor(parts: SessionParts, place: Workplace, work: Work, sender: Sender, stopped: AbortSignal) {
    this.#parts = parts;
    this.#place = place;
    this.#work = work;
    this.#sender = sender;
    this.#stopped = stopped;
  }

  /** Fetches the version, so that the next round can begin at once. */
  committed(link: ChainLink): void {
    this.#inTurn("fetch", link.version, async () => {
      const { crypto, pinned } = this.#parts;
      checkLink(crypto, pinned.coordinatorKey, pinned.federation, link);
      await this.#place.models.ensure(link.version, link.paramsHash, this.#stopped);
    });
  }

  /** Verifies the manifest, scores the version on this site's held-out data, keeps the score, then switches it on. */
  released(version: number, manifestHash: Sha256): void {
    this.#inTurn("install", version, async () => {
      const { crypto, pinned, transport, keepScore } = this.#parts;
      const { trainer, models } = this.#place;
      const bytes = await transport.manifest(version, this.#stopped);
      if (sha256Of(crypto, bytes) !== manifestHash) {
        throw new CodedError("WIRE_HASH", `the manifest of version ${version} does not match its hash`, { version });
      }
      const manifest = readManifest(crypto, bytes, pinned.coordinatorKey);
      const link = await models.link(version);
      if (manifest.version !== version || manifest.federation !== pinned.federation) {
        throw new CodedError("RELEASE_MANIFEST", `the manifest is not that of version ${version}`, { version });
      }
      if (link !== null && link.paramsHash !== manifest.paramsHash) {
        throw new CodedError("RELEASE_PARAMS", `manifest and chain disagree about version ${version}`, { version });
      }
      const params = await models.ensure(version, manifest.paramsHash, this.#stopped);
      const statistics = await this.#work.score(manifest.paramsHash, params, this.#stopped);
      const metrics = metricsFromStatistics(trainer.statistics, statistics);
      await keepScore({ version, paramsHash: manifest.paramsHash, metrics, samples: trainer.evaluationExamples });
      const message = { type: "installed", version, paramsHash: manifest.paramsHash } as const;
      await this.#sender.deliver(message, null, this.#stopped);
      this.#parts.log.info({ version, metrics }, `version ${version} is installed`);
    });
  }

  /** Resolves when nothing is under way any more. */
  settled(): Promise<void> {
    return this.#queue;
  }

  /** One version that cannot be had leaves the previous one in place. */
  #inTurn(what: string, version: number, work: () => Promise<void>): void {
    this.#queue = this.#queue.then(work).catch((error: unknown) => {
      if (this.#stopped.aborted) return;
      const facts = isCoded(error) ? { code: error.code, ...error.details } : { error };
      this.#parts.log.error({ ...facts, version }, `could not ${what} version ${version}: ${String(error)}`);
    });
  }
}
