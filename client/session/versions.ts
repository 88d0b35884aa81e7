/** Follows the chain of versions: fetches what was committed, and scores every release here before it is switched on. */
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { checkLink } from "../../shared/release/link.ts";
import { readManifest, type Manifest } from "../../shared/release/manifest.ts";
import { sha256Of } from "../../shared/release/ports.ts";
import type { ChainLink } from "../../shared/wire/release.ts";
import { metricsFromStatistics } from "../../models/metrics/statistics.ts";
import type { LocalScore, SessionParts, Workplace } from "./ports.ts";
import type { Sender } from "./sender.ts";
import type { Work } from "./work.ts";

export class Versions {
  readonly #parts: SessionParts;
  readonly #place: Workplace;
  readonly #work: Work;
  readonly #sender: Sender;
  readonly #stopped: AbortSignal;
  #queue: Promise<void> = Promise.resolve();
  /** The release taken into use last. */
  #installed = -1;

  constructor(parts: SessionParts, place: Workplace, work: Work, sender: Sender, stopped: AbortSignal) {
    this.#parts = parts;
    this.#place = place;
    this.#work = work;
    this.#sender = sender;
    this.#stopped = stopped;
  }

  /** Fetches the version, so that the next round can begin at once. */
  committed(link: ChainLink): void {
    this.#inTurn("fetch", link.version, () => this.#fetch(link));
  }

  /** Verifies the manifest, scores the model on this site's held-out data, keeps the score, then switches it on. */
  released(version: number, manifestHash: Sha256): void {
    this.#inTurn("install", version, async () => {
      const bytes = await this.#parts.transport.manifest(version, this.#stopped);
      if (sha256Of(this.#parts.crypto, bytes) !== manifestHash) {
        throw new CodedError("WIRE_HASH", `the manifest of version ${version} does not match its hash`, { version });
      }
      await this.#install(version, bytes);
    });
  }

  /** After an absence: the newest version, and its release if there is one. */
  catchUp(): void {
    const { transport } = this.#parts;
    this.#inTurn("catch up with", null, async () => {
      const held = (await this.#place.models.installed())?.link.version ?? -1;
      const newest = (await transport.chain(held, this.#stopped)).at(-1);
      if (newest !== undefined) await this.#fetch(newest);
      const version = newest?.version ?? held;
      if (version <= this.#installed) return;
      const bytes = await transport.manifest(version, this.#stopped).catch((error: unknown) => {
        // Not published yet: it will be announced.
        if (isCoded(error)) return null;
        throw error;
      });
      if (bytes !== null) await this.#install(version, bytes);
    });
  }

  /** Resolves when nothing is under way any more. */
  settled(): Promise<void> {
    return this.#queue;
  }

  async #fetch(link: ChainLink): Promise<void> {
    const { crypto, pinned } = this.#parts;
    checkLink(crypto, pinned.coordinatorKey, pinned.federation, link);
    await this.#place.models.ensure(link.version, link.paramsHash, this.#stopped);
  }

  async #install(version: number, bytes: Uint8Array): Promise<void> {
    const { crypto, pinned, log } = this.#parts;
    if (version <= this.#installed) return;
    const manifest = readManifest(crypto, bytes, pinned.coordinatorKey);
    if (manifest.version !== version || manifest.federation !== pinned.federation) {
      throw new CodedError("RELEASE_MANIFEST", `the manifest is not that of version ${version}`, { version });
    }
    const { paramsHash } = manifest;
    const params = await this.#place.models.ensure(version, paramsHash, this.#stopped);
    if (manifest.model === null || this.#place.install === null) {
      await this.#keepScore(manifest, "params", await this.#work.scoreParams(manifest, params, this.#stopped));
    } else {
      const { fallbacks } = manifest.model;
      const judge = async ({ model }: { readonly model: Float32Array }): Promise<boolean> => {
        await this.#keepScore(
          manifest,
          "model",
          await this.#work.scoreModel(manifest, fallbacks, model, this.#stopped),
        );
        return true;
      };
      await this.#place.install(bytes, judge, this.#stopped);
    }
    this.#installed = version;
    const facts = { version, manifestHash: sha256Of(crypto, bytes), paramsHash };
    await this.#parts.audit?.append({ act: "release installed", facts });
    await this.#sender.deliver({ type: "installed", version, paramsHash }, null, this.#stopped);
    log.info({ version }, `version ${version} is installed`);
  }

  async #keepScore({ version, paramsHash }: Manifest, of: LocalScore["of"], statistics: Float64Array): Promise<void> {
    const { trainer } = this.#place;
    const metrics = metricsFromStatistics(trainer.statistics, statistics);
    await this.#parts.keepScore({ version, paramsHash, of, metrics, samples: trainer.evaluationExamples });
  }

  /** One version that cannot be had leaves the previous one in place. */
  #inTurn(what: string, version: number | null, work: () => Promise<void>): void {
    this.#queue = this.#queue.then(work).catch((error: unknown) => {
      if (this.#stopped.aborted) return;
      const facts = isCoded(error) ? { code: error.code, ...error.details } : { error };
      const words = `could not ${what} ${version === null ? "the federation" : `version ${version}`}: ${String(error)}`;
      this.#parts.log.error({ ...facts, version }, words);
    });
  }
}
