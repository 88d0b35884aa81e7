/** Schema of `strategy` in federation.yaml: what the clients' updates are scaled by, and the server's step. */
import { z } from "zod";

const serverLearningRate = z.number().positive().max(10).default(1);
const serverMomentum = z.number().min(0).lt(1).default(0);

const adaptive = {
  serverLearningRate: z.number().positive().max(10).default(0.01),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.99),
  tau: z.number().positive().default(1e-3),
};

/** All clients there are, of which a round has some; null: every round has all. */
const population = z.int().min(1).max(1_000_000).nullable().default(null);

export const strategy = z.discriminatedUnion("name", [
  z.strictObject({ name: z.literal("fedavg"), serverLearningRate, serverMomentum }),
  z.strictObject({ name: z.literal("fedprox"), mu: z.number().positive().default(0.01) }),
  z.strictObject({ name: z.literal("fedadam"), ...adaptive }),
  z.strictObject({ name: z.literal("fedyogi"), ...adaptive }),
  z.strictObject({
    name: z.literal("fedadagrad"),
    serverLearningRate: adaptive.serverLearningRate,
    tau: adaptive.tau,
  }),
  /** `steps`: updates travel as if a client had taken so many. */
  z.strictObject({
    name: z.literal("fednova"),
    serverLearningRate,
    serverMomentum,
    steps: z.int().min(1).max(1_000_000).default(20),
  }),
  /** `lipschitz`: null: 1 / learning rate. Losses outside `lossRange` count as at its ends. */
  z.strictObject({
    name: z.literal("qfedavg"),
    q: z.number().min(0).max(20).default(1),
    lipschitz: z.number().positive().nullable().default(null),
    lossRange: z.tuple([z.number().positive(), z.number().positive()]).default([0.01, 10]),
  }),
  z.strictObject({ name: z.literal("scaffold"), serverLearningRate, population }),
  /** `buffer`: updates that make a step; others go on training. Older ones than `maxStaleness` versions are begun anew. */
  z.strictObject({
    name: z.literal("fedbuff"),
    serverLearningRate,
    buffer: z.int().min(1).max(10_000).default(3),
    maxStaleness: z.int().min(0).max(10_000).default(10),
  }),
  z.strictObject({ name: z.literal("feddyn"), alpha: z.number().positive().max(100).default(0.01), population }),
]);

export type Strategy = z.infer<typeof strategy>;
