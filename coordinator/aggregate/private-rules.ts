/** The coordinator's half of client-level privacy, as the plan has it. Its other half is `client/update/encode-private.ts`. */
import { systemRandom } from "../../shared/node/crypto.ts";
import { discreteGaussian } from "../../shared/privacy/discrete-gaussian.ts";
import { firstClip } from "../../shared/privacy/adaptive-clip.ts";
import { denominatorOf, privateGrid, type PrivacyTerms } from "../../shared/privacy/plan.ts";
import { SecureNumbers } from "../../shared/privacy/secure-numbers.ts";
import { privateFixedPoint } from "../../shared/privacy/private-fixed-point.ts";
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
  const sample = mode === "off" ? discreteGaussian(new SecureNumbers(systemRandom()), grid.stddev) : null;
  return {
    layout,
    fixed: privateFixedPoint(grid, { wordBits, cohortMax: schedule.cohort.max, clipNorm }),
    clipNorm,
    noisy: { grid, denominator, sample },
  };
}
