/**
 * The benchmarks by name. Each runs in a process of its own, so that its peak memory is its own, and loads only what it
 * measures: a round that does not train loads no engine.
 */
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
    run: async () => (await import("./engine.ts")).engineConvolutions(),
  },
  {
    name: "mask-stream",
    what: "AES-256-CTR mask stream of one core against memcpy",
    run: async () => (await import("./masks.ts")).maskStream(),
  },
  ...[1_000_000, 27_000_000].flatMap((params) =>
    [9, 20].map((neighbours) => ({
      name: `masking-${short(params)}-${neighbours}`,
      what: `one client's masking of ${short(params)} params for ${neighbours} neighbours`,
      run: async () => (await import("./masks.ts")).masking(params, neighbours, 32),
    })),
  ),
  {
    name: "masking-27M-20-16-bit",
    what: "the same in 16-bit words, half the bytes",
    run: async () => (await import("./masks.ts")).masking(27_000_000, 20, 16),
  },
  ...([10_000, 1_000_000, 27_000_000] as const).map((params) => ({
    name: `round-${short(params)}`,
    what: `simulated round of 10 clients that do not train, ${short(params)} params, no secure aggregation`,
    run: async () => (await import("./rounds.ts")).noOpRounds(params, 10, "off"),
  })),
  ...([100_000, 1_000_000, 27_000_000] as const).map((params) => ({
    name: `secure-round-${short(params)}`,
    what: `the same with secure aggregation against a malicious coordinator, ${short(params)} params`,
    run: async () => (await import("./rounds.ts")).noOpRounds(params, 10, "malicious"),
  })),
  ...[0, 2].map((threads) => ({
    name: threads === 0 ? "unmasking-100" : `unmasking-100-${threads}-threads`,
    what: `unmasking 100 clients on a complete graph, 10 of them gone, 1M params, on ${threads === 0 ? "the event loop" : `${threads} threads`}`,
    run: async () => (await import("./unmasking.ts")).unmasking(100, 1_000_000, threads),
  })),
  ...[10, 100, 300, 1_000].map((clients) => ({
    name: `cohort-${clients}`,
    what: `secure round of ${clients} simulated clients, 100k params, one in ten of them gone after sharing its keys`,
    run: async () => (await import("./cohort.ts")).cohortRound(clients),
  })),
  ...[70, 200, 500, 1_000].map((clients) => ({
    name: `deployed-cohort-${clients}`,
    what: `the same with a deployed coordinator in one process and ${clients} real clients in others`,
    run: async () => (await import("./deployed-cohort.ts")).deployedCohort(clients),
  })),
  {
    name: "deployed-round-1M",
    what: "secure round of a coordinator and 4 client processes over loopback that do not train, 1M params",
    run: async () => (await import("./deployed.ts")).deployedRounds(1_000_000),
  },
  {
    name: "transfer-108MB",
    what: "upload and download through the real server against receive + hash + fsync, and read + send",
    run: async () => (await import("./transfer.ts")).transfers(108),
  },
  {
    name: "nano-training",
    what: "Allulook4 nano at 128x128, batch 8, a worker per core",
    run: async () => (await import("./training.ts")).nanoTraining(),
  },
  {
    name: "nano-step-phases",
    what: "the phases of one such step, and inference of a batch, in one process with one thread",
    run: async () => (await import("./step-phases.ts")).nanoStepPhases(),
  },
  {
    name: "federated-against-plain",
    what: "a 155k-param CNN at 10 clients of 32 pictures of 64x64, against the plain training loop",
    run: async () => (await import("./training.ts")).federatedAgainstPlain(),
  },
];

function short(params: number): string {
  return params >= 1e6 ? `${params / 1e6}M` : `${params / 1e3}k`;
}
