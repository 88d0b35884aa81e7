/**
 * The robustness suite: what can be wrong with a sample, in five severities. Works at the size that the model reads, so
 * that a severity means the same for large pictures and small ones. Picture, depth map and labels keep their geometry.
 */
import type { CorruptionName } from "../../../shared/config/robustness.ts";
import type { Labels } from "../../../shared/config/federation.ts";
import type { Rng } from "../../../shared/rng/rng.ts";
import type { PreparedSample } from "../prepare.ts";
import { lowLight, noise } from "./light.ts";
import { occluded, withoutDepth, withoutText } from "./missing.ts";
import { type Corruption, pictureOf, withColours } from "./picture.ts";
import { fog, rain } from "./weather.ts";

export const SEVERITIES = [1, 2, 3, 4, 5] as const;

type Change = (sample: PreparedSample, severity: number, rng: Rng, kind: Labels["depth"]["kind"]) => PreparedSample;

const CHANGES: Readonly<Record<CorruptionName, Change>> = {
  "low-light": ofColours(lowLight),
  noise: ofColours(noise),
  fog: ofColours(fog),
  rain: ofColours(rain),
  occlusion: occluded,
  "no-depth": withoutDepth,
  "no-text": withoutText,
};

/**
 * The sample as it would be seen; the given one is not changed.
 *
 * @param severity 0 (nothing) to 5; those between are allowed
 * @param rng the same stream for every severity, so that only the severity differs
 * @param kind of the federation's depth: fog reads distances
 */
export function corrupted(
  sample: PreparedSample,
  name: CorruptionName,
  severity: number,
  rng: Rng,
  kind: Labels["depth"]["kind"],
): PreparedSample {
  if (severity <= 0) return sample;
  return CHANGES[name](sample, Math.min(5, severity), rng, kind);
}

/** What a sample must have, and a model must read, for the corruption to mean anything. */
export function corruptedModality(name: CorruptionName): "rgb" | "depth" | "text" {
  return name === "no-text" ? "text" : name === "no-depth" ? "depth" : "rgb";
}

function ofColours(corruption: Corruption): Change {
  return (sample, severity, rng, kind) => {
    if (sample.rgb === null) return sample;
    const picture = pictureOf(sample, kind);
    return withColours(sample, picture, corruption(picture, severity, rng));
  };
}
