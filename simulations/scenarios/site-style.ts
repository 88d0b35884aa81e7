/**
 * What makes one site's pictures unlike another's: light, camera, colours, which rooms and how many people it sees, and
 * how good its depth sensor is. With skew 0 all sites draw from the same world.
 */
import type { Rng } from "../../shared/rng/rng.ts";
import { dirichlet } from "../partition/dirichlet.ts";
import type { Color } from "./geometry.ts";
import { SCENES } from "./labels.ts";

export interface SiteStyle {
  readonly name: string;
  /** Brightness of the lamps; about 1. */
  readonly light: number;
  /** Colour of the light, warm to cold. */
  readonly lightColor: Color;
  readonly camera: {
    readonly heightMeters: number;
    /** Radians; negative looks down. */
    readonly pitch: number;
    /** Horizontal field of view in radians. */
    readonly fov: number;
  };
  /** Hues in [0, 1) that this site prefers. */
  readonly wallHue: number;
  readonly fabricHue: number;
  readonly clothesHue: number;
  /** How much hues of one picture stray from them: 1 is any hue. */
  readonly hueSpread: number;
  readonly floor: "checker" | "planks" | "plain";
  /** Shares of {@link SCENES}. */
  readonly sceneShares: readonly number[];
  /** People a room on average, about 1. */
  readonly people: number;
  /** Multiplies the depth sensor's noise, and its share of holes. */
  readonly depthNoise: number;
  readonly depthHoles: number;
}

/** The style of one site. `skew` in [0, 1] moves it from the common world to its own. */
export function siteStyle(rng: Rng, name: string, skew: number): SiteStyle {
  const mix = (common: number, own: number): number => common + skew * (own - common);
  const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
  const warmth = mix(0, between(-1, 1));
  const floors = ["checker", "planks", "plain"] as const;
  const own = dirichlet(rng, 0.7, SCENES.length);
  return {
    name,
    light: mix(1, between(0.55, 1.35)),
    lightColor: [1 + 0.16 * warmth, 1, 1 - 0.22 * warmth],
    camera: {
      heightMeters: mix(1.6, between(1.1, 2.35)),
      pitch: mix(-0.18, between(-0.34, -0.04)),
      fov: mix(1.13, between(0.92, 1.36)),
    },
    wallHue: rng.uniform(),
    fabricHue: rng.uniform(),
    clothesHue: rng.uniform(),
    hueSpread: mix(1, between(0.08, 0.5)),
    floor: floors[rng.below(3)] as SiteStyle["floor"],
    sceneShares: own.map((share) => mix(1 / SCENES.length, share)),
    people: mix(1, between(0.4, 1.8)),
    depthNoise: mix(1, between(0.5, 2.5)),
    depthHoles: mix(1, between(0.4, 2.5)),
  };
}

/** Linear RGB of hue, saturation and value, each in [0, 1]. */
export function hsv(hue: number, saturation: number, value: number): Color {
  const channel = (offset: number): number => {
    const k = (offset + hue * 6) % 6;
    return value - value * saturation * Math.max(0, Math.min(k, 4 - k, 1));
  };
  return [channel(5), channel(3), channel(1)];
}
