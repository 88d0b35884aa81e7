/** The coordinator's half of client-level privacy, as the plan has it. Its other half is `client/update/encode-private.ts`. */
import { discreteGaussian } from "../../shared/privacy/discrete-gaussian.ts";
import { firstClip } from "../../shared/privacy/adaptive-clip.ts";
import { denominatorOf, privateGrid, type PrivacyTerms } from "../../shared/privacy/plan.ts";
import { SecureNumbers } from "../../shared/privacy/secure-numbers.ts";
import { privateFixedPoint } from "../../shared/privacy/private-fixed-point.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import type { VectorLayout } from "../../shared/secagg/vector-layout.ts";
import type { AggregateRules } from "./decode.ts";

/** Null unless the plan protects whole clients. */
export function privateRules(config: PrivacyTerms, layout: VectorLayout): AggregateRules | null {
  const { privacy, secureAggregation, schedule } = config;
  if (privacy.unit !== "client") return null;
  const grid = privateGrid(config);
  const { wordBits, mode } = secureAggregation;
  // Where it adapts, that of the first round: `atClip` has the others.
  const clipNorm = firstClip(privacy);
  const denominator = denominatorOf(privacy, schedule);
  return {
    layout,
    fixed: privateFixedPoint(grid, { wordBits, cohortMax: schedule.cohort.max, clipNorm }),
    clipNorm,
    noisy: { grid, denominator, noise: mode === "off" ? "open" : "clients" },
  };
}

/** The rules of one sum, to which a trusted coordinator adds noise from `random`; all others stay as they are. */
export function withNoise(rules: AggregateRules, random: () => SecureRng): AggregateRules {
  const { noisy } = rules;
  if (noisy?.noise !== "open") return rules;
  const noise = discreteGaussian(new SecureNumbers(random()), noisy.grid.stddev);
  return { ...rules, noisy: { ...noisy, noise } };
}
