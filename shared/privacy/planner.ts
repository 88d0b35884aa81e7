/**
 * What differential privacy leaves of an update, before anything is trained: the noise that a budget asks for against the
 * largest signal that clipping lets through.
 */
import { leastNoise, type Use } from "./mechanism.ts";

/** Below it the averaged update is mostly noise; no training is known to learn from it. */
const HOPELESS = 0.05;
/** Above it noise is a minor matter. */
const COMFORTABLE = 0.5;

export interface PlanQuestion {
  readonly unit: "client" | "example";
  readonly sites: number;
  /** Training examples of the smallest site. */
  readonly examples: number;
  readonly rounds: number;
  readonly localSteps: number;
  readonly batchSize: number;
  readonly epsilon: number;
  readonly delta: number;
  readonly params: number;
}

export interface PlanAnswer {
  /** Standard deviation of the noise over the clipping norm; null: no noise is enough. */
  readonly noiseMultiplier: number | null;
  /** Probability of an example to be in a step; 1 for a client in a round. */
  readonly rate: number;
  /**
   * Length of the averaged update if all clipped parts point the same way, over the length of its noise: the most that can be
   * hoped for. Over all params, of one round.
   */
  readonly signalToNoise: number;
  /** The same of one param that the whole clipped update moves: what a small part of the model, such as its heads, sees. */
  readonly signalToNoisePerCoordinate: number;
  readonly verdict: "comfortable" | "possible" | "hopeless";
  readonly why: string;
}

export function answerPlan(question: PlanQuestion): PlanAnswer {
  const { unit, sites, examples, rounds, localSteps, batchSize, epsilon, delta, params } = question;
  const rate = unit === "example" ? Math.min(1, batchSize / examples) : 1;
  const steps = unit === "example" ? localSteps : 1;
  const uses = (noiseMultiplier: number): readonly Use[] => [
    { mechanism: { kind: "sampled-gaussian", rate, noiseMultiplier, steps }, times: rounds },
  ];
  const noiseMultiplier = leastNoise(uses, epsilon, delta);
  if (noiseMultiplier === null) {
    const why = `no noise keeps epsilon ${epsilon} at delta ${delta} over ${rounds} rounds`;
    return { noiseMultiplier, rate, signalToNoise: 0, signalToNoisePerCoordinate: 0, verdict: "hopeless", why };
  }
  // Signals of one direction add up, noise by its root: over sites, and over the steps and the batch of a site.
  const perCoordinate =
    unit === "client"
      ? sites / noiseMultiplier
      : (Math.sqrt(sites * steps) * Math.min(batchSize, examples)) / noiseMultiplier;
  const signalToNoise = perCoordinate / Math.sqrt(params);
  const verdict = signalToNoise < HOPELESS ? "hopeless" : signalToNoise < COMFORTABLE ? "possible" : "comfortable";
  return {
    noiseMultiplier,
    rate,
    signalToNoise,
    signalToNoisePerCoordinate: perCoordinate,
    verdict,
    why: reasonOf(question, signalToNoise, verdict),
  };
}

function reasonOf(
  { unit, sites, params, epsilon }: PlanQuestion,
  ratio: number,
  verdict: PlanAnswer["verdict"],
): string {
  if (verdict === "comfortable") return "the averaged update stands out from its noise";
  const share = `the averaged update is at most ${ratio.toPrecision(2)} times as long as its noise over ${params.toLocaleString("en")} params`;
  if (verdict === "possible")
    return `${share}: expect slow learning; more examples or sites, or fewer trained params, help`;
  const help =
    unit === "client"
      ? `with ${sites} sites a whole site cannot hide at epsilon ${epsilon}: protect single examples (--unit example), or train fewer params (adapters, heads)`
      : "more examples at every site, larger batches, fewer trained params (adapters, heads) or a larger epsilon would help";
  return `${share}; ${help}`;
}
