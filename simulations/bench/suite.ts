/** The benchmarks by name. Each runs in a process of its own, so that its peak memory is its own. */
import { engineConvolutions } from "./engine.ts";
import { maskStream, masking } from "./masks.ts";

/** Figures of one benchmark: numbers with their unit in the key. */
export type Figures = Record<string, number | string>;

export interface Benchmark {
  readonly name: string;
  /** One sentence for people. */
  readonly what: string;
  run(): Promise<Figures> | Figures;
}

export const BENCHMARKS: readonly Benchmark[] = [
  {
    name: "engine-convolution",
    what: "3x3 convolution 64->64 at 56x56, batch 8, forward and backward",
    run: engineConvolutions,
  },
  { name: "mask-stream", what: "AES-256-CTR mask stream of one core against memcpy", run: maskStream },
  ...[1_000_000, 27_000_000].flatMap((params) =>
    [9, 20].map((neighbours) => ({
      name: `masking-${params / 1e6}M-${neighbours}`,
      what: `one client's masking of ${params / 1e6}M params for ${neighbours} neighbours`,
      run: () => masking(params, neighbours),
    })),
  ),
];
