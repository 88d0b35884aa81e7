/** Reads federation.yaml: the schema of every field, then what only several fields together can get wrong. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parse, YAMLParseError } from "yaml";
import { federationConfig, type FederationConfig } from "../shared/config/federation.ts";
import { factsOf, MODEL_NAMES, modelTitle, withModelDefaults } from "../shared/config/models.ts";
import { shippedFor } from "../shared/config/pretrained.ts";
import { headsOf } from "../shared/config/own-model.ts";
import { invalidField, parseConfig } from "../shared/config/parse.ts";
import { CodedError } from "../shared/errors.ts";
import { proveHeadroom } from "../shared/quantize/fixed-point.ts";
import { limbsFor } from "../shared/quantize/limbs.ts";
import { HEAD_METRICS, HEADS, type Head } from "../shared/release/scores.ts";
import { checkGraph, graphRule } from "../shared/secagg/sharing-graph.ts";
import { checkThresholds } from "../shared/secagg/thresholds.ts";
import { completeConfig } from "./own-model.ts";
import { withTeacher } from "./teacher.ts";
import { checkAggregation } from "./aggregate/robust/config.ts";
import { checkStrategy } from "./optimizer/config.ts";
import { checkTrainingFeatures } from "./training-features.ts";
import { withPrivacy } from "./privacy-config.ts";
import { parseSchedule } from "./schedule/schedule.ts";

export interface CheckedConfig {
  readonly config: FederationConfig;
  /** Dropouts that a round of the smallest cohort tolerates, to be told to the operator. */
  readonly tolerated: number;
}

/** Throws CONFIG_INVALID with file, field, what was expected and what came, or CONFIG_HEADROOM. */
export async function readFederationConfig(path: string): Promise<CheckedConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? "there is no such file" : String(error);
    throw new CodedError("CONFIG_INVALID", `${path}: ${why}`, { file: path }, { cause: error });
  }
  const raw = await completeConfig(yamlOf(text, path), dirname(resolve(path)), path);
  const { config, tolerated } = checkFederationConfig(parseConfig(federationConfig, raw, path), path);
  return { config: await withTeacher(config, dirname(resolve(path))), tolerated };
}

/** As {@link readFederationConfig}, from the text of a file that names no other file. */
export function parseFederationConfig(text: string, file = "federation.yaml"): CheckedConfig {
  return checkFederationConfig(parseConfig(federationConfig, withModelDefaults(yamlOf(text, file)), file), file);
}

function yamlOf(text: string, file: string): unknown {
  try {
    return parse(text, { uniqueKeys: true });
  } catch (error) {
    const line = error instanceof YAMLParseError ? error.linePos?.[0].line : undefined;
    const where = line === undefined ? "" : ` line ${line}:`;
    const message = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw new CodedError("CONFIG_INVALID", `${file}:${where} not YAML: ${message}`, { file, line }, { cause: error });
  }
}

/** The checks across fields; returns the configuration with FedProx's mu, or FedDyn's alpha, as the clients' proximal term. */
export function checkFederationConfig(config: FederationConfig, file = "federation.yaml"): CheckedConfig {
  try {
    checkModelName(config);
    const tolerated = checkCohort(config);
    checkSums(config);
    checkAggregation(config);
    parseSchedule(config.schedule.every);
    checkStopRule(config);
    checkTraining(config);
    checkStrategy(config);
    checkTrainingFeatures(config);
    checkModel(config);
    checkListen(config);
    return { config: withPrivacy(withStart(withProximal(config))), tolerated };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    throw new CodedError(error.code, `${file}: ${error.message}`, { file, ...error.details }, { cause: error });
  }
}

/** What the strategy makes the clients' proximal term: it stands in the plan where they read it. */
function withProximal(config: FederationConfig): FederationConfig {
  const { strategy, training } = config;
  const proximal =
    strategy.name === "fedprox" ? strategy.mu : strategy.name === "feddyn" ? strategy.alpha : training.proximal;
  return proximal === training.proximal ? config : { ...config, training: { ...training, proximal } };
}

/** The weights that ship with this package are what a model begins with, unless the file says otherwise. */
function withStart(config: FederationConfig): FederationConfig {
  const { model } = config;
  if (model.own !== undefined || model.base !== undefined) return config;
  const shipped = shippedFor(model);
  const { init = shipped === undefined ? "random" : "pretrained", weights, ...rest } = model;
  if (init === "pretrained" && shipped === undefined) {
    throw invalidField("model.init", `random, as no weights ship for ${modelTitle(model)}`, init);
  }
  const begins = init === "pretrained" ? shipped : undefined;
  if (weights !== undefined && weights !== begins) {
    throw invalidField("model.weights", `nothing, or ${begins ?? "nothing"}, which is what init stands for`, weights);
  }
  return { ...config, model: { ...rest, init, ...(begins !== undefined && { weights: begins }) } };
}

/** The model as a person would write it: what it begins with is decided anew, also for another preset. */
export function withoutStart({
  weights: _weights,
  init,
  ...model
}: FederationConfig["model"]): FederationConfig["model"] {
  return { ...model, ...(init !== undefined && init !== "pretrained" && { init }) };
}

function checkModelName({ model: { name, own } }: FederationConfig): void {
  if (own === undefined && factsOf(name) === null) {
    throw invalidField("model.name", `${MODEL_NAMES.join(", ")}, or init: the .yaml file of a model of your own`, name);
  }
}

function checkCohort({ schedule, secureAggregation }: FederationConfig): number {
  const { cohort, minSurvivors } = schedule;
  const { mode } = secureAggregation;
  if (mode !== "off") {
    const tolerated = checkThresholds({ mode, minSurvivors, cohort });
    checkGraph(cohort, mode, graphRule(secureAggregation));
    return tolerated;
  }
  if (cohort.max < cohort.min)
    throw invalidField("schedule.cohort.max", `at least cohort.min (${cohort.min})`, cohort.max);
  if (minSurvivors > cohort.min) {
    throw invalidField("schedule.minSurvivors", `at most cohort.min (${cohort.min})`, minSurvivors);
  }
  return cohort.min - minSurvivors;
}

function checkSums({ schedule: { cohort }, secureAggregation: { wordBits, maxWeight } }: FederationConfig): void {
  proveHeadroom({ wordBits, cohortMax: cohort.max, maxWeight });
  limbsFor(wordBits, cohort.max);
}

function checkStopRule({ schedule: { untilMetric } }: FederationConfig): void {
  if (untilMetric === null) return;
  const { head, metric, atLeast, atMost } = untilMetric;
  const known: readonly string[] = HEAD_METRICS[head];
  if (!known.includes(metric)) throw invalidField("schedule.untilMetric.metric", `one of ${known.join(", ")}`, metric);
  if ((atLeast === undefined) === (atMost === undefined)) {
    throw invalidField("schedule.untilMetric", "one of atLeast and atMost", JSON.stringify({ atLeast, atMost }));
  }
}

function checkTraining({ labels, training, strategy, evaluation }: FederationConfig): void {
  const heads = labels.detection.length + labels.segmentation.length + labels.scene.length;
  if (heads === 0 && labels.depth.kind === "none") {
    throw invalidField("labels", "classes for at least one head, or depth", "none");
  }
  for (const head of ["detection", "segmentation", "scene"] as const) {
    const twice = labels[head].find((name, i) => labels[head].indexOf(name) !== i);
    if (twice !== undefined) throw invalidField(`labels.${head}`, "every class once", twice);
  }
  if (strategy.name === "fedprox" && training.proximal > 0 && training.proximal !== strategy.mu) {
    throw invalidField("training.proximal", `0 or strategy.mu (${strategy.mu})`, training.proximal);
  }
  checkLosses(labels, training.losses);
  if (evaluation.holdout > 0.9) throw invalidField("evaluation.holdout", "at most 0.9", evaluation.holdout);
}

/** Losses that say where metric depth is, and those that leave its scale or shift open. What others do is not known here. */
const FIXES_METRES = new Set<string>(["l1", "l2", "scaleInvariant", "edgeGuided"]);
const LEAVES_OPEN = new Set<string>(["scaleAndShiftInvariant", "ssim", "smoothness", "edgeAware", "ranking"]);

function checkLosses(labels: FederationConfig["labels"], losses: FederationConfig["training"]["losses"]): void {
  const { detection, depth } = losses;
  if (labels.detection.length > 0 && detection.every((name) => name === "giou")) {
    throw invalidField("training.losses.detection", "focal or crossEntropy, or nothing learns the classes", detection);
  }
  if (labels.depth.kind === "none" || depth === null) return;
  if (depth.every((name) => name === "smoothness")) {
    throw invalidField("training.losses.depth", "another loss beside smoothness, which knows no truth", depth);
  }
  if (labels.depth.kind === "metric" && depth.every((name) => LEAVES_OPEN.has(name))) {
    throw invalidField("training.losses.depth", `one of ${[...FIXES_METRES].join(", ")}, as depth is metric`, depth);
  }
}

/** Labels, inputs and what is trained must be what the model has. What only the model itself can tell is checked when it is built. */
function checkModel({ model, labels, input, training }: FederationConfig): void {
  const { name, init, own, base } = model;
  const facts = factsOf(name);
  const named = own !== undefined || base !== undefined;
  if (!named && init !== undefined && init !== "random" && init !== "pretrained")
    throw invalidField("model.init", "a file or folder read with federation.yaml", init);
  const heads: ReadonlySet<Head> = own === undefined ? new Set(facts?.heads) : headsOf(own);
  const wanted = HEADS.filter((head) => (head === "depth" ? labels.depth.kind !== "none" : labels[head].length > 0));
  const lacking = wanted.find((head) => !heads.has(head));
  if (lacking !== undefined)
    throw invalidField(`labels.${lacking}`, `no more than ${name} learns: ${[...heads].join(", ")}`, lacking);
  if (facts?.depth !== undefined && labels.depth.kind === "metric") {
    throw invalidField("labels.depth.kind", `${facts.depth}, all that ${name} can learn`, labels.depth.kind);
  }
  const idle = own === undefined ? undefined : [...heads].find((head) => !wanted.includes(head));
  if (idle !== undefined) throw invalidField(`labels.${idle}`, `something for the output that ${name} has`, "nothing");
  const strange =
    facts === null ? undefined : input.modalities.find((modality) => !facts.modalities.includes(modality));
  if (strange !== undefined) throw invalidField("input.modalities", facts?.modalities.join(", ") ?? "", strange);
  if (training.augmentation.weather.share > 0 && !input.modalities.includes("rgb")) {
    throw invalidField("training.augmentation.weather.share", "0 without rgb in input.modalities", input.modalities);
  }
}

function checkListen({ listen: { tls, behindProxy } }: FederationConfig): void {
  if (tls !== null && behindProxy) throw invalidField("listen.behindProxy", "false where tls is given", behindProxy);
}
