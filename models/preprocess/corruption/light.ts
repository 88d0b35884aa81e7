/** Too little light, and a noisy sensor. */
import { atSeverity, type Corruption } from "./picture.ts";

/** Exposure left of full exposure: one stop less a severity, down to five. */
const STOPS = [1, 2, 3, 4, 5] as const;
/** Electrons of a white pixel at full exposure, and deviation of reading them out: a small sensor's. */
const FULL_WELL = 2000;
const READ_NOISE = 5;
const GAMMA = 2.2;

/**
 * A picture taken with an exposure of 2^-severity, without gain. Photons arrive by chance and reading adds its own noise
 * (Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data"): what a white
 * pixel of N electrons loses in the dark is signal N against noise of sqrt(N + read noise^2).
 */
export const lowLight: Corruption = ({ rgb }, severity, rng) => {
  const exposure = 2 ** -atSeverity(STOPS, 0, severity);
  const electrons = Float64Array.from({ length: 256 }, (_, byte) => exposure * FULL_WELL * (byte / 255) ** GAMMA);
  return rgb.map((byte) => {
    const mean = electrons[byte] as number;
    const counted = mean + Math.sqrt(mean + READ_NOISE ** 2) * rng.normal();
    return Math.round(255 * Math.min(1, Math.max(0, counted) / FULL_WELL) ** (1 / GAMMA));
  });
};

/** Deviations of ImageNet-C's Gaussian noise (Hendrycks and Dietterich 2019), as shares of white. */
const DEVIATIONS = [0.08, 0.12, 0.18, 0.26, 0.38] as const;

/** What a sensor adds at a high gain: independent noise in every pixel and channel. */
export const noise: Corruption = ({ rgb }, severity, rng) => {
  const deviation = 255 * atSeverity(DEVIATIONS, 0, severity);
  return rgb.map((byte) => Math.round(Math.min(255, Math.max(0, byte + deviation * rng.normal()))));
};
