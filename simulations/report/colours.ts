/** Colours of the report's pictures: classes far apart for colour-blind readers, depth by viridis. */

export type Colour = readonly [red: number, green: number, blue: number];

/** Okabe and Ito 2008, without black; then the same again, darker and lighter. */
const CLASSES: readonly Colour[] = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [0, 114, 178],
  [213, 94, 0],
  [204, 121, 167],
];

/** The colour of the class at this index among those drawn. */
export function classColour(index: number): Colour {
  const base = CLASSES[index % CLASSES.length] as Colour;
  const turn = Math.floor(index / CLASSES.length) % 3;
  const mix = (value: number) => (turn === 0 ? value : turn === 1 ? value * 0.6 : value + (255 - value) * 0.5);
  return [Math.round(mix(base[0])), Math.round(mix(base[1])), Math.round(mix(base[2]))];
}

export function cssColour([red, green, blue]: Colour): string {
  return `#${[red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** Viridis (van der Walt and Smith 2015) at nine points. */
const VIRIDIS: readonly Colour[] = [
  [68, 1, 84],
  [71, 44, 122],
  [59, 81, 139],
  [44, 113, 142],
  [33, 144, 141],
  [39, 173, 129],
  [92, 200, 99],
  [170, 220, 50],
  [253, 231, 37],
];

/** The colour of a share in [0, 1]; dark is 0. */
export function viridis(share: number): Colour {
  const at = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
  const low = Math.min(VIRIDIS.length - 2, Math.floor(at));
  const rest = at - low;
  const from = VIRIDIS[low] as Colour;
  const to = VIRIDIS[low + 1] as Colour;
  const mix = (k: 0 | 1 | 2) => Math.round(from[k] + (to[k] - from[k]) * rest);
  return [mix(0), mix(1), mix(2)];
}
