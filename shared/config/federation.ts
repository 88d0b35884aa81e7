/** Schema of federation.yaml. Cross-field checks (headroom, thresholds) are in `coordinator/config.ts`. */
import { z } from "zod";
import { aggregation } from "./aggregation.ts";
import { augmentation } from "./augmentation.ts";
import { baseRef } from "./base.ts";
import { curriculum } from "./curriculum.ts";
import { distillation } from "./distillation.ts";
import { losses } from "./losses.ts";
import { isModelName } from "./models.ts";
import { ownModel } from "./own-model.ts";
import { privacy } from "./privacy.ts";
import { modalityDropout } from "./robustness.ts";
import { semiSupervised } from "./semi-supervised.ts";
import { sha256Hex } from "../ids.ts";
import { adapters, personal } from "./shares.ts";
import { strategy } from "./strategy.ts";
import { duration } from "./units.ts";

const name = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[a-z0-9][a-z0-9-]*$/, "lower-case letters, digits and hyphens");
const className = z.string().min(1).max(64);

const optimizer = z
  .strictObject({
    name: z.enum(["sgd", "momentum", "adam", "adamax", "rmsprop", "adagrad", "adadelta"]).default("adam"),
    learningRate: z.number().positive().max(10).default(0.002),
    /** Share of the learning rate that is gone at the end of a round, linearly. */
    decay: z.number().min(0).max(1).default(0.9),
    /** Of "momentum" alone; 0.9 unless given. */
    momentum: z.number().min(0).lt(1).optional(),
  })
  .refine(({ name, momentum }) => momentum === undefined || name === "momentum", {
    path: ["momentum"],
    message: "only the optimizer named momentum has it",
  });

const tls = z.strictObject({ cert: z.string(), key: z.string() });

export const federationConfig = z.strictObject({
  federation: name,
  seed: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(7),
  listen: z
    .strictObject({
      host: z.string().default("127.0.0.1"),
      port: z.int().min(0).max(65535).default(7443),
      tls: tls.nullable().default(null),
      /** TLS ends at a proxy in front, or the operator insists on plain text beyond loopback. */
      behindProxy: z.boolean().default(false),
      insecurePlainText: z.boolean().default(false),
    })
    .prefault({}),
  authority: z.enum(["embedded", "offline"]).default("embedded"),
  model: z
    .strictObject({
      name: z.string().min(1).default("allulook4"),
      preset: z.enum(["nano", "tiny", "small", "base"]).default("nano"),
      /** Parts of allulook4 instead of its usual ones, by their names in models/allulook4/parts.ts. */
      backbone: name.optional(),
      fusion: name.optional(),
      /**
       * What it begins with: weights that ship with this package (pretrained.ts), which is the default where there are
       * some, or those of the seed alone. Or the .yaml file of a model of one's own (own-model.ts), or the folder of a
       * release to go on from.
       */
      init: z
        .union([
          z.enum(["pretrained", "random"]),
          z
            .string()
            .max(4096)
            .regex(
              /\.ya?ml$|[/\\]/,
              "pretrained, random, a model's .yaml file, or the path of a release folder (./NAME)",
            ),
        ])
        .optional(),
      /** The hash of the weights that init: pretrained stands for; never written by hand. */
      weights: sha256Hex.optional(),
      /** What that file and its model.json hold; never written by hand. */
      own: ownModel.optional(),
      /** Of the release that `init` names; never written by hand. */
      base: baseRef.optional(),
    })
    .refine(({ name: given, own }) => own === undefined || !isModelName(given), {
      path: ["name"],
      message: "a model of one's own needs a name of its own",
    })
    .refine(({ name: given, backbone, fusion }) => given === "allulook4" || (backbone ?? fusion) === undefined, {
      path: ["backbone"],
      message: "only allulook4 has a backbone and a fusion to choose",
    })
    .prefault({}),
  labels: z
    .strictObject({
      detection: z.array(className).max(512).default([]),
      segmentation: z.array(className).max(255).default([]),
      scene: z.array(className).max(512).default([]),
      depth: z.strictObject({ kind: z.enum(["metric", "relative", "inverse", "none"]).default("metric") }).prefault({}),
    })
    .prefault({}),
  input: z
    .strictObject({
      size: z.tuple([z.int().min(8).max(2048), z.int().min(8).max(2048)]).default([128, 128]),
      modalities: z
        .array(z.enum(["rgb", "depth", "text"]))
        .min(1)
        .default(["rgb", "depth", "text"]),
    })
    .prefault({}),
  training: z
    .strictObject({
      localSteps: z.int().min(1).max(1_000_000).optional(),
      localEpochs: z.int().min(1).max(10_000).optional(),
      batchSize: z.int().min(1).max(1024).default(8),
      optimizer: optimizer.prefault({}),
      proximal: z.number().min(0).default(0),
      trainable: z.enum(["all", "heads", "adapters"]).default("all"),
      adapters: adapters.prefault({}),
      /** Parts that stay at each site (FedBN, Li et al. 2021): trained there, never sent. */
      personal: personal.default([]),
      losses: losses.prefault({}),
      modalityDropout: modalityDropout.prefault({}),
      augmentation: augmentation.prefault({}),
      semiSupervised: semiSupervised.nullable().default(null),
      curriculum: curriculum.nullable().default(null),
      distillation: distillation.nullable().default(null),
    })
    .prefault({})
    .refine((t) => t.localSteps === undefined || t.localEpochs === undefined, {
      path: ["localEpochs"],
      message: "give localSteps or localEpochs, not both",
    }),
  clip: z
    .strictObject({
      norm: z.number().positive().nullable().default(null),
      coordinate: z.number().positive().max(1000).default(1),
    })
    .prefault({}),
  strategy: strategy.prefault({ name: "fedavg" }),
  /** How the clients' updates become one: their mean, or a rule that bad clients cannot move far. */
  aggregation: aggregation.prefault({ rule: "mean" }),
  schedule: z
    .strictObject({
      rounds: z.int().min(1).max(1_000_000).default(20),
      untilMetric: z
        .strictObject({
          head: z.enum(["segmentation", "detection", "depth", "scene"]),
          metric: z.string(),
          atLeast: z.number().optional(),
          atMost: z.number().optional(),
        })
        .nullable()
        .default(null),
      untilDate: z.iso.datetime({ offset: true }).nullable().default(null),
      every: z.string().default("continuous"),
      cohort: z
        .strictObject({
          fraction: z.number().gt(0).max(1).default(1),
          min: z.int().min(1).max(10_000).default(4),
          max: z.int().min(1).max(10_000).default(64),
          overSelect: z.number().min(1).max(10).default(1.3),
        })
        .prefault({}),
      minSurvivors: z.int().min(1).max(10_000).default(3),
      phaseDeadlines: z
        .strictObject({
          recruit: duration.prefault("10m"),
          shareKeys: duration.prefault("2m"),
          train: z.union([z.literal("progress"), duration]).default("progress"),
          unmask: duration.prefault("2m"),
        })
        .prefault({}),
    })
    .prefault({}),
  secureAggregation: z
    .strictObject({
      mode: z.enum(["malicious", "semi-honest", "off"]).default("malicious"),
      wordBits: z.union([z.literal(32), z.literal(16)]).default(32),
      maxWeight: z.int().min(1).max(65536).default(64),
      examplesPerWeight: z.int().min(1).default(8),
      dropoutRate: z.number().min(0).max(0.3).default(0.1),
      corruptionRate: z.number().min(0).max(0.3).default(0.1),
      /** The cohort is cut into groups, each summed by itself, so that `aggregation` can compare their means. */
      groups: z
        .strictObject({ size: z.int().min(3).max(64).default(3), minSurvivors: z.int().min(3).max(64).default(3) })
        .nullable()
        .default(null),
    })
    .prefault({}),
  /** Training rounds, the newest ones, of which everything is kept that the sum, the step and the version are made again from. */
  transcripts: z.strictObject({ keepInputs: z.int().min(0).max(1_000_000).default(0) }).prefault({}),
  privacy: privacy.prefault({ unit: "none" }),
  release: z
    .strictObject({
      every: z.int().min(1).default(1),
      dtype: z.enum(["int8", "fp16", "fp32"]).default("int8"),
      maxDrop: z.number().min(0).max(1).default(0.01),
      keyframeEvery: z.int().min(1).default(10),
    })
    .prefault({}),
  retry: z.strictObject({ patience: duration.prefault("10m") }).prefault({}),
  evaluation: z
    .strictObject({
      every: z.int().min(1).default(1),
      holdout: z.number().gt(0).lt(1).default(0.2),
      /** `auto`: every site's data decides (`client/data/holdout.ts`). */
      split: z.enum(["auto", "contiguous", "stratified"]).default("auto"),
      patience: duration.prefault("10m"),
    })
    .prefault({}),
});

/** federation.yaml with every default filled in; durations are milliseconds. */
export type FederationConfig = z.infer<typeof federationConfig>;
export type Labels = FederationConfig["labels"];
