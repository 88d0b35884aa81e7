/**
 * The work behind three effects: summing and committing a round, summing an evaluation, publishing a version. Each may be
 * asked for again after a restart and then comes to the same result.
 */
import { decodeAggregate, type AggregateRules } from "../aggregate/decode.ts";
import { privateRules, withNoise } from "../aggregate/private-rules.ts";
import { decodeServerState, encodeServerState, type ServerState } from "../optimizer/server-state-codec.ts";
import { initialServerState } from "../optimizer/server-optimizer.ts";
import { takeStep } from "../optimizer/step.ts";
import { hashOf } from "../../shared/canonical.ts";
import type { TrainingPlan } from "../../shared/config/plan.ts";
import { scales, SHARE, shareRange } from "../../shared/strategies/scaling.ts";
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { canonicalBytes } from "../../shared/params/layout.ts";
import { systemRandom } from "../../shared/node/crypto.ts";
import { noiseRandom } from "../../shared/privacy/committed-noise.ts";
import { adaptiveClip } from "../../shared/privacy/adaptive-clip.ts";
import { atClip } from "../../shared/privacy/private-fixed-point.ts";
import { fixedPoint } from "../../shared/quantize/fixed-point.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import { evaluationLayout, type EvaluationLayout } from "../../shared/secagg/evaluation-vector.ts";
import { HEAD_SCORE, HEADS, type Metrics } from "../../shared/release/scores.ts";
import { sha256Of } from "../../shared/release/ports.ts";
import { bytesOf, type Words } from "../../shared/secagg/mask.ts";
import { trainingLayout } from "../../shared/secagg/vector-layout.ts";
import type { CoordinatorParts } from "./parts.ts";
import type { DurableEvent, FederationState, Reason, RoundFacts, SumComplete } from "./state.ts";
import type { SumDesk, VectorShape } from "./sum-desk.ts";

type Distributed<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
/** An event without its time. */
export type Outcome = Distributed<
  Extract<DurableEvent, { type: "committed" | "evaluated" | "sum-failed" | "released" }>,
  "at"
>;

/** The vectors of both purposes, as both sides derive them from the plan. */
export interface Shapes {
  readonly training: AggregateRules;
  readonly evaluation: EvaluationLayout;
}

export function shapesOf(
  config: Pick<TrainingPlan, "secureAggregation" | "clip" | "strategy" | "privacy" | "training" | "schedule">,
  coordinates: number,
  counters: number,
): Shapes {
  const { wordBits, maxWeight } = config.secureAggregation;
  const cohortMax = config.schedule.cohort.max;
  const clipBit = adaptiveClip(config.privacy) !== null;
  const layout = trainingLayout({ wordBits, cohortMax, coordinates, clipBit }, scales(config.strategy) ? [SHARE] : []);
  return {
    training: privateRules(config, layout) ?? {
      layout,
      fixed: fixedPoint({ wordBits, cohortMax, maxWeight, coordinateBound: config.clip.coordinate }),
      clipNorm: config.clip.norm,
      shares: shareRange(config.strategy, config.training.optimizer),
    },
    evaluation: evaluationLayout({ wordBits, cohortMax, counters }),
  };
}

export function shapeOf(shapes: Shapes, purpose: "training" | "evaluation"): VectorShape {
  return purpose === "training" ? shapes.training.layout : shapes.evaluation;
}

export class Work {
  readonly #parts: CoordinatorParts;
  readonly #shapes: Shapes;
  /** The newest server state, so that it need not be read back every round. */
  #held: { readonly hash: Sha256; readonly state: ServerState } | null = null;

  constructor(parts: CoordinatorParts, shapes: Shapes) {
    this.#parts = parts;
    this.#shapes = shapes;
  }

  /** Version 0 and the server state it comes from. */
  async beginning(): Promise<{ paramsHash: Sha256; serverState: Sha256 }> {
    const { initialParams, chain } = this.#parts;
    const params = await initialParams();
    const { link } = await chain.commit(0, params);
    return { paramsHash: link.paramsHash, serverState: await this.#keep(initialServerState(params)) };
  }

  /** Sum, mean, server step, commit. A sum that cannot be right ends the round; other trouble is thrown. */
  async update(state: FederationState, sum: SumComplete, desk: SumDesk): Promise<Outcome> {
    const { config, chain } = this.#parts;
    try {
      const total = await desk.total(sum);
      const keptSum = this.#keepSum(total.words);
      // Where the work fails before, nobody waits for it.
      keptSum.catch(() => undefined);
      const { clipNorm } = sum.session;
      const survivors = total.survivors.length;
      const rules = withNoise(atClip(this.#shapes.training, clipNorm), () => this.#noise(sum));
      const aggregate = decodeAggregate(rules, total.words, survivors);
      if (config.transcripts.keepInputs > 0) await this.#keepParent(sum);
      const before = await this.#serverState(state.serverStates[0] as Sha256);
      const after = takeStep(config, before, aggregate, { survivors, invited: sum.invited.length, clipNorm });
      const [serverState, { version, link }] = await Promise.all([
        this.#keep(after),
        chain.commit(sum.version + 1, after.params),
      ]);
      const { totalWeight, examples, examplesSeen, loss, norm, clippedShare } = aggregate;
      const told = config.privacy.unit === "none" ? loss : null;
      const counts = { weight: totalWeight, examples, examplesSeen };
      const clipped = { clippedShare, ...(clipNorm !== undefined && { clipNorm }) };
      const totals = { ...counts, loss: told, deltaNorm: norm, ...clipped };
      const { rejected } = total;
      const next = after.clipNorm === undefined ? {} : { clipNorm: after.clipNorm };
      const made = { version, paramsHash: link.paramsHash, link: hashOf(link), serverState, ...next };
      return { type: "committed", sid: sum.sid, ...made, sum: await keptSum, totals, rejected };
    } catch (error) {
      return { type: "sum-failed", sid: sum.sid, reason: wrongSum(error) };
    }
  }

  async evaluate(sum: SumComplete, desk: SumDesk): Promise<Outcome> {
    try {
      const { words, survivors } = await desk.total(sum);
      const { reference, quantized } = this.#parts.evaluator.score(this.#shapes.evaluation, words);
      checkScores(reference, "R");
      checkScores(quantized, "model/");
      const summary = { clients: survivors.length, metrics: plain(reference), modelMetrics: plain(quantized) };
      return { type: "evaluated", sid: sum.sid, sum: sha256Of(this.#parts.crypto, bytesOf(words)), summary };
    } catch (error) {
      return { type: "sum-failed", sid: sum.sid, reason: wrongSum(error) };
    }
  }

  async release(facts: RoundFacts, version: number, last: boolean): Promise<Outcome> {
    if (!this.#parts.options.publish) return { type: "released", version, manifestHash: null, reason: null };
    const { evaluation, totals } = facts;
    const counts = {
      cohort: facts.cohort.length,
      survivors: facts.survivors.length,
      evaluated: evaluation?.clients ?? 0,
      examples: totals?.examples ?? 0,
    };
    const scores =
      evaluation === null || evaluation.modelMetrics === null
        ? null
        : { reference: evaluation.metrics, quantized: evaluation.modelMetrics };
    const input = { version, round: facts.round, counts, evaluation: scores };
    const { hash } = await this.#parts.publish(last ? { ...input, withModel: true } : input);
    return { type: "released", version, manifestHash: hash, reason: null };
  }

  async #serverState(hash: Sha256): Promise<ServerState> {
    if (this.#held?.hash === hash) return this.#held.state;
    const { blobs, layout } = this.#parts;
    const state = await readable(hash, async () => decodeServerState(await blobs.get(hash), layout.length));
    this.#held = { hash, state };
    return state;
  }

  /** The same however often the sum is taken; an attempt that an older process began committed to none. */
  #noise({ session, sid, noiseSeed }: SumComplete): SecureRng {
    if (session.noise === undefined) return systemRandom();
    if (noiseSeed === undefined) throw new Error("the seed of the noise is lost");
    return noiseRandom(this.#parts.crypto, sid, noiseSeed);
  }

  /** What the version was trained from, for the evidence of this round; its hash is that of the canonical bytes. */
  async #keepParent(sum: SumComplete): Promise<void> {
    const { blobs, chain } = this.#parts;
    await blobs.put(canonicalBytes((await chain.version(sum.version)).params));
  }

  /** The sum's hash; nothing may be written to the words until it is there. */
  async #keepSum(words: Words): Promise<Sha256> {
    const { options, blobs, crypto } = this.#parts;
    return options.keepSum ? blobs.put(bytesOf(words)) : sha256Of(crypto, bytesOf(words));
  }

  async #keep(state: ServerState): Promise<Sha256> {
    const hash = await this.#parts.blobs.put(encodeServerState(state));
    this.#held = { hash, state };
    return hash;
  }
}

/** What a person can do is said where it is clear what is damaged. */
async function readable(hash: Sha256, read: () => Promise<ServerState>): Promise<ServerState> {
  try {
    return await read();
  } catch (error) {
    if (!isCoded(error, "STORE_CORRUPT")) throw error;
    const message = `the server's state ${hash} cannot be used (${error.message}); restore data/ from a backup`;
    throw new CodedError("STORE_CORRUPT", message, { hash }, { cause: error });
  }
}

/** Of sums in fixed point. */
const ROUNDING = 1e-5;

/** Errors that a repetition cannot mend; all others are thrown on. */
function wrongSum(error: unknown): Reason {
  if (isCoded(error) && /^(AGGREGATE_|SECAGG_|STATISTIC_|UPDATE_|WIRE_HASH|ROUND_TOO_FEW)/.test(error.code)) {
    return { code: error.code, message: error.message };
  }
  throw error;
}

/** AGGREGATE_RANGE for a score outside [0, 1]: some client's counters cannot be right, and nobody can say whose. */
function checkScores(metrics: Metrics, of: string): void {
  for (const head of HEADS) {
    const value = metrics[head]?.[HEAD_SCORE[head]];
    if (value === undefined || value === null || (value >= 0 && value <= 1 + ROUNDING)) continue;
    throw new CodedError("AGGREGATE_RANGE", `${head}.${HEAD_SCORE[head]} of ${of} is ${value}, expected 0 to 1`, {
      field: `${head}.${HEAD_SCORE[head]}`,
      got: value,
    });
  }
}

function plain(
  metrics: Readonly<Partial<Record<string, Record<string, number>>>>,
): Record<string, Record<string, number>> {
  return Object.fromEntries(
    Object.entries(metrics).flatMap(([head, values]) => (values === undefined ? [] : [[head, { ...values }]])),
  );
}
