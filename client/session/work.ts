/** What an attempt sums: this site's update of a round, or its statistics of a version; made here, encoded, never kept. */
import type { TrainingPlan } from "../../shared/config/plan.ts";
import type { SitePolicy } from "../../shared/config/site.ts";
import { CodedError } from "../../shared/errors.ts";
import type { ClientName } from "../../shared/ids.ts";
import { adaptiveClip, firstClip } from "../../shared/privacy/adaptive-clip.ts";
import { privateGrid, type PrivateGrid } from "../../shared/privacy/plan.ts";
import { atClip, privateFixedPoint } from "../../shared/privacy/private-fixed-point.ts";
import { fixedPoint } from "../../shared/quantize/fixed-point.ts";
import type { Fallback } from "../../shared/quantize/dtype.ts";
import { deriveModel } from "../../shared/quantize/model.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { encodeEvaluation, evaluationLayout, type EvaluationLayout } from "../../shared/secagg/evaluation-vector.ts";
import { newWords, type Words } from "../../shared/secagg/mask.ts";
import { newSealableWords } from "../../shared/secagg/sealed.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { l2Norm } from "../../shared/privacy/clip.ts";
import { localScaling, scales, SHARE } from "../../shared/strategies/scaling.ts";
import { trainingLayout } from "../../shared/secagg/vector-layout.ts";
import { keepsWhatCounted } from "../training/drift.ts";
import type { TrainingProgress, TrainingResult } from "../training/trainer.ts";
import { checkBudget, siteMechanism, type PrivacyLedger } from "../policy/privacy-ledger.ts";
import { encodeUpdate, type UpdateRules } from "../update/encode.ts";
import { encodePrivately } from "../update/encode-private.ts";
import type { SessionParts, Workplace } from "./ports.ts";

/** A version and its quantized model, of the newest and the one before. */
const KEPT_SCORES = 4;

interface Training {
  readonly round: number;
  readonly version: number;
  readonly parentHash: string;
  readonly result: Promise<TrainingResult>;
  readonly abort: AbortController;
  /** Its vector was handed out: whether it was counted is the coordinator's to know. */
  handedOut: boolean;
  /** Its cost stands in the ledger. */
  recorded: boolean;
}

interface WorkOptions {
  readonly name: ClientName;
  readonly keepResult: boolean;
  readonly room: SessionParts["room"];
  readonly random: SessionParts["random"];
  readonly ledger: PrivacyLedger;
  /** Of site.yaml. */
  readonly limit: SitePolicy["privacy"];
  readonly now: () => number;
}

export class Work {
  readonly #plan: TrainingPlan;
  readonly #place: Workplace;
  readonly #options: WorkOptions;
  readonly #rules: UpdateRules;
  /** Of client-level privacy, else null. */
  readonly #grid: PrivateGrid | null;
  readonly #evaluation: EvaluationLayout;
  #training: Training | null = null;
  #progress: TrainingProgress | null = null;
  /** What this site keeps if the sum has the vector that it handed out last. */
  #pending: { readonly round: number; readonly version: number; readonly values: Float32Array } | null = null;
  /** What is being kept or forgotten; the next training begins behind it. */
  #keeping: Promise<void> = Promise.resolve();
  /** Statistics of what was scored last, by the caller's names: an evaluation and the installation after it share them. */
  readonly #scored = new Map<string, Promise<Float64Array>>();

  constructor(plan: TrainingPlan, place: Workplace, options: WorkOptions) {
    this.#plan = plan;
    this.#place = place;
    this.#options = options;
    const { wordBits, maxWeight, examplesPerWeight } = plan.secureAggregation;
    const cohortMax = plan.schedule.cohort.max;
    const { layout, statistics } = place.trainer;
    const { privacy } = plan;
    this.#grid = privacy.unit === "client" ? privateGrid(plan) : null;
    const clipBit = adaptiveClip(privacy) !== null;
    const clipNorm = privacy.unit === "client" ? firstClip(privacy) : plan.clip.norm;
    this.#rules = {
      layout: trainingLayout(
        { wordBits, cohortMax, coordinates: layout.length, clipBit },
        scales(plan.strategy) ? [SHARE] : [],
      ),
      fixed:
        this.#grid === null || clipNorm === null
          ? fixedPoint({ wordBits, cohortMax, maxWeight, coordinateBound: plan.clip.coordinate })
          : privateFixedPoint(this.#grid, { wordBits, cohortMax, clipNorm }),
      clipNorm,
      examplesPerWeight,
    };
    this.#evaluation = evaluationLayout({ wordBits, cohortMax, counters: statistics.length });
  }

  /** Length of the vector that a session sums. */
  words(session: Session): number {
    return session.purpose === "training" ? this.#rules.layout.words : this.#evaluation.words;
  }

  /** Steps done and to do of the training under way; null when none is. */
  progress(): { step: number; steps: number } | null {
    return this.#training === null || this.#progress === null
      ? null
      : { step: this.#progress.step, steps: this.#progress.steps };
  }

  /** The vector of one attempt. Rejects with whatever went wrong in training. */
  vector(session: Session, version: number, signal: AbortSignal): Promise<Words> {
    return session.purpose === "training"
      ? this.#update(session, version, signal)
      : this.#statistics(session, version, signal);
  }

  /**
   * Statistics of the params of the version that a round made, on the held-out data, with what this site had kept for
   * itself by then; the same version is scored once.
   */
  scoreParams(
    version: { readonly paramsHash: string; readonly round: number },
    params: Float32Array,
    signal: AbortSignal,
  ): Promise<Float64Array> {
    return this.#score(`${version.paramsHash} ${version.round}`, version.round, params, signal);
  }

  /** Statistics of the quantized model that these fallbacks make of a version. */
  scoreModel(
    version: { readonly paramsHash: string; readonly round: number },
    fallbacks: readonly Fallback[],
    model: Float32Array,
    signal: AbortSignal,
  ): Promise<Float64Array> {
    const { paramsHash, round } = version;
    return this.#score(`${paramsHash} ${round} ${JSON.stringify(fallbacks)}`, round, model, signal);
  }

  #score(name: string, round: number, params: Float32Array, signal: AbortSignal): Promise<Float64Array> {
    const before = this.#scored.get(name);
    if (before !== undefined) return before;
    const { trainer, personal } = this.#place;
    const statistics =
      personal === undefined
        ? trainer.evaluate(params, signal)
        : personal.through(round).then((own) => trainer.evaluate(params, signal, own ?? undefined));
    this.#scored.set(name, statistics);
    const [oldest] = this.#scored.keys();
    if (this.#scored.size > KEPT_SCORES && oldest !== undefined) this.#scored.delete(oldest);
    statistics.catch(() => this.#scored.delete(name));
    return statistics;
  }

  /** The coordinator has this site's vector. Resolves when what belongs to it is kept; rejects when it cannot be. */
  delivered({ round, purpose }: Session): Promise<void> {
    const { personal } = this.#place;
    const pending = this.#pending;
    if (purpose !== "training" || pending?.round !== round || personal === undefined) return Promise.resolve();
    return this.#inTurn(() => personal.keep(round, pending.values, pending.version));
  }

  /** A session ended whose sum does not have this site's vector, or that has none. */
  notCounted({ round, purpose }: Session): Promise<void> {
    const { personal } = this.#place;
    if (purpose !== "training" || personal === undefined || !keepsWhatCounted(this.#plan.strategy)) {
      return Promise.resolve();
    }
    return this.#inTurn(() => personal.drop(round));
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#keeping.then(work);
    this.#keeping = done.catch(() => undefined);
    return done;
  }

  /** The round is over for good: what was trained for it is of no more use, unless the strategy takes it later. */
  roundOver(): void {
    if (this.#plan.strategy.name === "fedbuff" && this.#training?.handedOut === false) return;
    this.forgetTraining();
  }

  forgetTraining(): void {
    this.#training?.abort.abort(new CodedError("ATTEMPT_OVER", "the round is over"));
    this.#training = null;
    this.#progress = null;
  }

  async #update(session: Session, version: number, signal: AbortSignal): Promise<Words> {
    const { trainer } = this.#place;
    this.#afford(session);
    const result = await this.#trained(session, version, signal);
    const { delta, examplesSeen, lossSum, lossCount, personal } = result;
    signal.throwIfAborted();
    const meanLoss = lossCount > 0 ? lossSum / lossCount : 0;
    const { layout } = trainer;
    const { examples = trainer.examples } = result;
    const { strategy, training } = this.#plan;
    const staleness = version - (this.#training?.version ?? version);
    const facts = {
      steps: lossCount,
      // A pass over the whole update, which few strategies ask for.
      get norm() {
        return l2Norm(delta);
      },
      startLoss: result.startLoss ?? meanLoss,
      staleness,
    };
    const scaling = localScaling(strategy, training.optimizer, facts);
    const update = { delta, examples, examplesSeen, lossSum: meanLoss * examplesSeen, scaling };
    const room = await this.#room(signal);
    await this.#spend(session);
    const rules = atClip(this.#rules, session.clipNorm);
    const { words } =
      this.#grid === null
        ? encodeUpdate(rules, layout, update, room)
        : encodePrivately(rules, layout, update, { grid: this.#grid, random: this.#ownNoise() }, room);
    if (personal !== undefined && keepsWhatCounted(strategy)) {
      this.#pending = { round: session.round, version, values: personal };
    }
    if (this.#training !== null) this.#training.handedOut = true;
    if (!this.#options.keepResult) this.forgetTraining();
    return words;
  }

  /** Refused before it is trained, an attempt costs nothing. PRIVACY_BUDGET. */
  #afford({ round, parentHash }: Session): void {
    const same = this.#training?.round === round && this.#training.parentHash === parentHash;
    const mechanism = siteMechanism(this.#plan, this.#place.trainer.examples);
    if (mechanism === null || (this.#grid === null && same && this.#training?.recorded === true)) return;
    checkBudget(this.#plan, mechanism, this.#options.ledger.entries(), this.#options.limit);
  }

  /** Durable before anything leaves. The same noisy result costs once, however often it is sent. */
  async #spend({ round }: Session): Promise<void> {
    const mechanism = siteMechanism(this.#plan, this.#place.trainer.examples);
    if (mechanism === null || (this.#grid === null && this.#training?.recorded === true)) return;
    await this.#options.ledger.append({ at: this.#options.now(), round, mechanism });
    if (this.#training !== null) this.#training.recorded = true;
  }

  /** Without masks the trusted coordinator adds the noise. */
  #ownNoise(): SessionParts["random"] | null {
    return this.#plan.secureAggregation.mode === "off" ? null : this.#options.random;
  }

  async #room(signal: AbortSignal): Promise<Words> {
    const { wordBits, words } = this.#rules.layout;
    if (this.#options.room !== undefined) return this.#options.room(words, signal);
    // A vector for a trusted coordinator is sealed where it is: nothing of hundreds of megabytes is copied.
    return this.#plan.secureAggregation.mode === "off" ? newSealableWords(wordBits, words) : newWords(wordBits, words);
  }

  /** Seeds depend on client and round, never on the attempt: another attempt of the round takes the same result. */
  async #trained(session: Session, version: number, signal: AbortSignal): Promise<TrainingResult> {
    const { round, parentHash } = session;
    const known = this.#training;
    const same = known?.round === round && known.parentHash === parentHash;
    if (known === null || !(same || this.#goesOn(known, version))) {
      this.forgetTraining();
      const abort = new AbortController();
      const result = this.#train(session, version, abort.signal);
      const training: Training = { round, version, parentHash, abort, handedOut: false, recorded: false, result };
      this.#training = training;
      training.result.catch(() => {
        if (this.#training === training) this.forgetTraining();
      });
    }
    return unlessAborted((this.#training as Training).result, signal);
  }

  /** Buffered asynchronous aggregation: what was begun from an older version is finished, and counts less. */
  #goesOn({ handedOut, version: begun }: Training, version: number): boolean {
    const { strategy } = this.#plan;
    return strategy.name === "fedbuff" && !handedOut && version - begun <= strategy.maxStaleness;
  }

  async #train({ round, parentHash }: Session, version: number, signal: AbortSignal): Promise<TrainingResult> {
    const { trainer, models, checkpoints, personal } = this.#place;
    const params = await models.ensure(version, parentHash, signal);
    const counted = keepsWhatCounted(this.#plan.strategy);
    await this.#keeping;
    // What an earlier attempt of this very round left is not what the round begins with.
    const own = (await (counted ? personal?.before(round, version) : personal?.through(round - 1))) ?? null;
    const result = await trainer.train({
      params,
      ...(own !== null && { personal: own }),
      round,
      rng: Rng.of(this.#plan.seed, "train", this.#options.name, round),
      signal,
      onProgress: (progress) => {
        this.#progress = progress;
      },
      ...(checkpoints !== undefined && { checkpointDir: checkpoints }),
    });
    // Kept before anything of the round is sent: a site is never behind what it has contributed.
    if (result.personal !== undefined && !counted) await personal?.keep(round, result.personal);
    return result;
  }

  async #statistics({ parentHash, round }: Session, version: number, signal: AbortSignal): Promise<Words> {
    const { privacy } = this.#plan;
    if (privacy.unit !== "none" && privacy.scores === "none") {
      const message = "privacy.scores: the plan lets no scores leave, as they have no noise";
      throw new CodedError("POLICY_PRIVACY", message, { field: "privacy.scores", expected: "none" });
    }
    const { trainer, models } = this.#place;
    const params = await models.ensure(version, parentHash, signal);
    const scored = { paramsHash: parentHash, round };
    const reference = await this.scoreParams(scored, params, signal);
    const fallbacks = (await models.link(version))?.fallbacks ?? [];
    const model = deriveModel(params, trainer.layout, this.#plan.release.dtype, fallbacks);
    const quantized = await this.scoreModel(scored, fallbacks, model, signal);
    return encodeEvaluation(this.#evaluation, { reference, quantized });
  }
}

/** The result, or the signal's reason when that comes first; the work itself goes on. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
