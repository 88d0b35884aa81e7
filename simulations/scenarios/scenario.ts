/**
 * Which modality decides in generated rooms. `rooms`: all say something. `night`: no lamp is lit, so that depth shows
 * what colours do not. `makeshift`: a room of any kind, furniture and all, serves as another, and only the caption says
 * as which.
 */
export const SCENARIOS = ["rooms", "night", "makeshift"] as const;
export type Scenario = (typeof SCENARIOS)[number];

/** Shares of samples without depth and without captions, where nothing else is asked for: never what decides. */
export const MISSING: Readonly<Record<Scenario, { readonly depth: number; readonly captions: number }>> = {
  rooms: { depth: 0.1, captions: 0.1 },
  night: { depth: 0, captions: 0.1 },
  makeshift: { depth: 0.1, captions: 0 },
};
