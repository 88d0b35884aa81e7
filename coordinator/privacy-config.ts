/** What `privacy` needs of the rest of federation.yaml, and the noise that its epsilon asks for. */
import type { FederationConfig } from "../shared/config/federation.ts";
import { invalidField } from "../shared/config/parse.ts";
import { isCoded } from "../shared/errors.ts";
import { checkAccountable } from "../shared/privacy/accountable.ts";
import { leastNoise, type Use } from "../shared/privacy/mechanism.ts";
import { plannedUses, privateGrid } from "../shared/privacy/plan.ts";

/** Throws CONFIG_INVALID, CONFIG_HEADROOM. @returns the configuration with the noise filled in */
export function withPrivacy(config: FederationConfig): FederationConfig {
  const { privacy } = config;
  if (privacy.unit === "none") return config;
  checkAccountable(config);
  if (privacy.scores === "none" && config.schedule.untilMetric !== null) {
    throw invalidField("schedule.untilMetric", "null, or privacy.scores: exact", config.schedule.untilMetric.metric);
  }
  const { noise, ...written } = privacy;
  const derived = written.noiseMultiplier === undefined ? derivedNoise(config) : undefined;
  if (noise !== undefined && noise !== derived) {
    throw invalidField("privacy.noise", `nothing, or ${derived ?? "nothing"}, which is what epsilon asks for`, noise);
  }
  const made = { ...config, privacy: { ...written, ...(derived !== undefined && { noise: derived }) } };
  // The integers must fit with this very noise.
  if (privacy.unit === "client") privateGrid(made);
  return made;
}

/** `privacy` as a person would write it: the noise is derived anew, for other rounds, too. */
export function withoutNoise(privacy: FederationConfig["privacy"]): FederationConfig["privacy"] {
  if (privacy.unit === "none") return privacy;
  const { noise: _noise, ...written } = privacy;
  return written;
}

function derivedNoise(config: FederationConfig): number {
  const { privacy } = config;
  if (privacy.unit === "none") throw new Error("there is no noise to derive");
  const { epsilon, delta } = privacy;
  const noise = leastNoise((multiplier) => usesWith(config, multiplier), epsilon, delta);
  if (noise === null) throw invalidField("privacy.epsilon", "more: no noise is enough", epsilon);
  return noise;
}

/** Noise that is too fine for the words is no noise: more of it may do. */
function usesWith(config: FederationConfig, multiplier: number): readonly Use[] {
  try {
    return plannedUses(config, multiplier);
  } catch (error) {
    if (!isCoded(error, "CONFIG_HEADROOM")) throw error;
    return [{ mechanism: { kind: "sampled-gaussian", rate: 1, noiseMultiplier: 0, steps: 1 }, times: 1 }];
  }
}
