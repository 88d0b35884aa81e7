/** Weather in training: `training.augmentation.weather` of federation.yaml. */
import type { Labels } from "../../../shared/config/federation.ts";
import type { Weather } from "../../../shared/config/robustness.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import type { PreparedSample } from "../prepare.ts";
import { corrupted } from "./suite.ts";

/** The sample in the weather that is drawn for it: of any kind and severity, or none. Labels and geometry stay. */
export function inWeather(
  sample: PreparedSample,
  rng: Rng,
  { share, severity, kinds }: Weather,
  kind: Labels["depth"]["kind"],
): PreparedSample {
  // Off, it draws nothing: trainings without weather are what they were.
  if (share === 0) return sample;
  const drawn = rng.uniform() < share;
  const name = kinds[rng.below(kinds.length)] as (typeof kinds)[number];
  const strength = severity * rng.uniform();
  const own = Rng.of("weather", rng.uint32());
  return drawn ? corrupted(sample, name, strength, own, kind) : sample;
}
