/** The training plan in plain words, for the person who decides whether this site takes part. */
import { graphRule } from "../../shared/secagg/sharing-graph.ts";
import type { TrainingPlan } from "../../shared/config/plan.ts";
import type { Distillation } from "../../shared/config/distillation.ts";
import type { OwnModel } from "../../shared/config/own-model.ts";
import { layerCounts } from "../../shared/config/topology.ts";
import { modelTitle } from "../../shared/config/models.ts";
import type { AdaptiveClip } from "../../shared/config/privacy.ts";
import { adaptiveClip } from "../../shared/privacy/adaptive-clip.ts";
import { noiseOf, plannedEpsilon, stepsPerRound } from "../../shared/privacy/plan.ts";
import type { SitePolicy } from "../../shared/config/site.ts";
import { planRefusals, unaccountablePart } from "../policy/plan-policy.ts";

const MODALITY = { rgb: "colour pictures", depth: "depth maps", text: "captions" } as const;

export interface PlanSection {
  readonly title: string;
  readonly lines: readonly string[];
}

/** What is trained, on what, what leaves this site, how it is protected, and what this site's policy says to it. */
export function describePlan(plan: TrainingPlan, policy: SitePolicy): PlanSection[] {
  return [
    { title: "What is trained", lines: whatIsTrained(plan) },
    { title: "On what", lines: onWhat(plan) },
    { title: "What leaves this site", lines: whatLeaves(plan) },
    { title: "How it is protected", lines: howProtected(plan) },
    { title: "With whom", lines: withWhom(plan, policy) },
    { title: "What this site's policy says", lines: policyVerdict(plan, policy) },
  ];
}

function whatIsTrained(plan: TrainingPlan): string[] {
  const { labels, training, model } = plan;
  const heads = [
    labels.detection.length > 0 ? `find objects (${labels.detection.join(", ")})` : null,
    labels.segmentation.length > 0 ? `outline areas (${labels.segmentation.join(", ")})` : null,
    labels.depth.kind === "none" ? null : `estimate depth (${labels.depth.kind})`,
    labels.scene.length > 0 ? `name the scene (${labels.scene.join(", ")})` : null,
  ].filter((head) => head !== null);
  const work =
    training.localEpochs === undefined
      ? `${stepsPerRound(training, 0)} steps`
      : `${training.localEpochs} passes over the data`;
  return [
    `The model ${modelTitle(model)} of the federation "${plan.federation}" learns to ${heads.join(", ")}.`,
    `At most ${plan.schedule.rounds} rounds. In each, this computer trains ${work} with ${training.batchSize} pictures at a time.`,
    ...(model.own === undefined ? [startWords(model)] : [ownWords(model.own)]),
    ...(["backbone", "fusion"] as const).flatMap((part) =>
      model[part] === undefined ? [] : [`Its ${part} is "${model[part]}", another than the usual one.`],
    ),
    ...(training.semiSupervised === null ? [] : [LABELS_MADE]),
    ...(training.curriculum === null ? [] : ["Easy samples, as the model or their labels tell, come first."]),
    ...(training.distillation === null ? [] : [teacherWords(training.distillation)]),
    ...whatChanges(plan),
  ];
}

function whatChanges({ training: { trainable, adapters, personal } }: TrainingPlan): string[] {
  const { rank, full } = adapters;
  const beside = full.length === 0 ? "" : `, and its ${full.join(", ")}`;
  return [
    {
      all: "The whole model changes.",
      heads: "Only its heads change.",
      adapters: `Only low-rank adapters of its kernels (rank ${rank})${beside} change.`,
    }[trainable],
    ...(personal.length === 0
      ? []
      : [`This site keeps its own ${personal.join(", ")}: trained here, used here, and never sent.`]),
  ];
}

const LABELS_MADE =
  "Pictures without labels are learned from, too: what the model itself is sure of, on this computer, is taken for their labels.";

function teacherWords({ teacher, sha256 }: Distillation): string {
  return `It also learns from a larger model, ${teacher} (${sha256?.slice(0, 12) ?? "not pinned"}), of which this site needs a copy: teacher in site.yaml.`;
}

function startWords({ weights, base }: TrainingPlan["model"]): string {
  if (base !== undefined) return "It begins with the weights of an earlier release, named by their hash.";
  return weights === undefined
    ? "It begins with random numbers that anybody can compute from the plan's seed."
    : `It begins with weights that ship with this software, trained on generated pictures alone (SHA-256 ${weights}).`;
}

function ownWords(own: OwnModel): string {
  const layers = layerCounts(own).map(([kind, count]) => `${count} ${kind}`);
  return `It is a model of the operator's own, built here of layers that TensorFlow.js brings along (${layers.join(", ")}); nothing of it is executed.`;
}

function onWhat(plan: TrainingPlan): string[] {
  const { modalities, size } = plan.input;
  const share = Math.round(plan.evaluation.holdout * 100);
  return [
    `This site's ${modalities.map((name) => MODALITY[name]).join(", ")}, scaled to ${size[0]} x ${size[1]} pixels. They are read here and stay here.`,
    `${share} % of them are held out: never trained on, used to score every new version.`,
  ];
}

function whatLeaves(plan: TrainingPlan): string[] {
  const inSums = plan.secureAggregation.mode !== "off";
  const { personal } = plan.training;
  const { privacy } = plan;
  const silent = privacy.unit !== "none" && privacy.scores === "none";
  const controls = plan.strategy.name === "scaffold";
  const own = personal.length === 0 ? "" : `, or this site's own ${personal.join(", ")} of the model`;
  return [
    `Once a round: by how much training changed the model's numbers, ${besideTheChange(plan)}.`,
    ...(controls
      ? ["With them, as many numbers again: how this site's training pulls compared with the others'."]
      : []),
    ...(plan.strategy.name === "qfedavg" ? ["With them: how well the model does on this site's training data."] : []),
    ...(silent ? [] : ["After a round: counts that make up the scores on the held-out data."]),
    inSums
      ? "This leaves masked; nobody but this site can read them, only its sums over the sites of the round."
      : "The coordinator can read it for this site alone; nobody else can.",
    "Along the way: that this site is ready, how many training steps are done, and cryptographic keys made for one round.",
    `Never: pictures, depth maps, captions, labels or file names${own}.`,
    "Everything that leaves is listed by `allulook outbox`.",
  ];
}

function besideTheChange({ privacy }: TrainingPlan): string {
  if (privacy.unit === "client") return "with noise, and nothing else";
  return privacy.unit === "example" ? "with noise, and example counts" : "and sums of losses and example counts";
}

function privacyWords(plan: TrainingPlan): string[] {
  const { privacy } = plan;
  // What it says it costs would not be true.
  if (unaccountablePart(plan) !== null)
    return ["Differential privacy is promised, but cannot be counted on under this plan: the reason is below."];
  const cost = plannedEpsilon(plan);
  if (privacy.unit === "none" || cost === null)
    return ["No differential privacy: the trained model itself may reveal something about the data it learned from."];
  const noise = noiseOf(privacy);
  const { delta } = privacy;
  const whose =
    privacy.unit === "example"
      ? `Differential privacy for every single picture, by noise (${noise}) that this computer adds in every step`
      : plan.secureAggregation.mode === "off"
        ? `Differential privacy for every whole site, by noise (${noise}) that the coordinator is trusted to add`
        : `Differential privacy for every whole site, by noise (${noise} in the sum) of which every site adds a part`;
  const adaptive = adaptiveClip(privacy);
  return [
    `${whose}: all rounds together cost at most epsilon ${cost.toFixed(2)} at delta ${delta}. Noise is not seeded.`,
    ...(adaptive === null ? [] : [clipWords(adaptive)]),
    privacy.scores === "none"
      ? "Scores on held-out pictures do not leave this site."
      : "Scores on held-out pictures leave without noise: this protection is not for them.",
  ];
}

function clipWords({ quantile, min, max }: AdaptiveClip): string {
  const share = `${Math.round(100 * quantile)} %`;
  return `How long a change may be is set anew each round, between ${min} and ${max}, so that about ${share} of the sites' are shorter; each site says, in the sum and with noise, whether its own is.`;
}

function howProtected(plan: TrainingPlan): string[] {
  const { mode } = plan.secureAggregation;
  const { rule } = plan.aggregation;
  const aggregation = {
    malicious:
      "Secure aggregation, malicious coordinator: the change is masked; the coordinator learns only the sum over the sites, even if it cheats.",
    "semi-honest":
      "Secure aggregation, semi-honest coordinator: the change is masked; safe only while the coordinator follows the protocol.",
    off: "No secure aggregation: the coordinator is trusted and CAN read this site's change of the model.",
  }[mode];
  const { groups } = plan.secureAggregation;
  return [
    aggregation,
    ...sparseGraph(plan),
    ...(groups === null ? [] : [groupWords(groups)]),
    ...(rule === "mean"
      ? []
      : [`Changes are compared with each other, so that bad sites move the model little (${rule}).`]),
    ...keptWords(plan),
    ...privacyWords(plan),
    plan.authority === "offline"
      ? "Members are certified by an authority key that the coordinator does not hold."
      : "Members are certified by the coordinator itself: it could invent members.",
  ];
}

/** Beyond the complete graph the promise holds for a share of the cohort that cheats, and up to chance. */
function sparseGraph({ secureAggregation, schedule }: TrainingPlan): string[] {
  const { mode, corruptionRate } = secureAggregation;
  const { completeUpTo } = graphRule(secureAggregation);
  if (mode === "off" || schedule.cohort.max <= completeUpTo) return [];
  const percent = Math.round(100 * corruptionRate);
  return [
    `In rounds of more than ${completeUpTo} sites this holds while at most ${percent} % of them help the coordinator: each shares its keys with some others that it picks itself.`,
  ];
}

function groupWords({ size, minSurvivors }: NonNullable<TrainingPlan["secureAggregation"]["groups"]>): string {
  return `The sites are cut into groups of ${size} or a few more; the coordinator learns the sum of each group of at least ${minSurvivors}, not only of all. It can arrange who is with whom: ${minSurvivors - 1} sites of a group that help it are enough to read the last one's change.`;
}

function keptWords({ transcripts: { keepInputs }, secureAggregation: { mode } }: TrainingPlan): string[] {
  if (keepInputs === 0) return [];
  const rounds = keepInputs === 1 ? "the newest round" : `the newest ${keepInputs} rounds`;
  if (mode === "off") {
    const kept = `The coordinator keeps what every site sent in ${rounds}, and what opens it, so that others can check its sums`;
    return [`${kept}: whoever has it can read each site's change, and take noise off that the coordinator added.`];
  }
  return [
    `The coordinator keeps what the sums of ${rounds} were made of, so that others can check them: whoever has it learns those sums, too.`,
  ];
}

function withWhom(plan: TrainingPlan, policy: SitePolicy): string[] {
  const { cohort, minSurvivors } = plan.schedule;
  return [
    `The plan: ${cohort.min} to ${cohort.max} sites a round, at least ${minSurvivors} in every sum.`,
    `This site demands at least ${policy.minCohort} sites a round and ${policy.minSurvivors} in every sum, and leaves rounds with fewer.`,
  ];
}

function policyVerdict(plan: TrainingPlan, policy: SitePolicy): string[] {
  const refusals = planRefusals(policy, plan);
  if (refusals.length === 0) return ["Allowed, once a person has approved it."];
  return refusals.map((refusal) => `REFUSED: ${refusal.message} (${refusal.code}). ${refusal.remedy}`);
}
