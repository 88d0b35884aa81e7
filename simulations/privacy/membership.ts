/**
 * Membership inference against released models: was this picture trained on? The attacker has the release, the weights
 * that training began with, and the picture with its labels. Its score is how much the loss on the picture has fallen
 * (Yeom et al. 2018, calibrated by a reference model as Watson et al. 2022): training lowers it most on what it saw.
 * Members are the sites' training pictures, outsiders those that they held out, drawn from the same rooms.
 */
import { lossOf } from "../../client/training/step.ts";
import { openDataset } from "../../client/data/open-dataset.ts";
import { startOf } from "../../models/engine/node/pretrained.ts";
import { plainView } from "../../models/preprocess/augment.ts";
import { renderBatch } from "../../models/preprocess/batch.ts";
import { prepareSample } from "../../models/preprocess/prepare.ts";
import { buildModel } from "../../models/registry.ts";
import { checkFederationConfig } from "../../coordinator/config.ts";
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import type { Report } from "../report/schema.ts";
import { arrange, type ClientData } from "../arrange.ts";
import { ROOM_LABELS } from "../scenarios/labels.ts";
import { aucOf, type Auc } from "./auc.ts";

export interface MembershipSetting {
  readonly clients: number;
  /** Generated pictures of each; half of them are held out. */
  readonly perSite: number;
  readonly rounds: number;
  readonly steps: number;
  readonly size: number;
  readonly seed: number;
}

export interface MembershipResult extends Auc {
  /** null: without differential privacy. */
  readonly epsilon: number | null;
  readonly spent: number | null;
  readonly members: number;
  readonly outsiders: number;
  /** Mean losses of the release on both. */
  readonly memberLoss: number;
  readonly outsiderLoss: number;
}

const BATCH = 8;
/** Pictures as they are, in every step: what is seen again and again is remembered best, which helps the attacker. */
const PLAIN_PICTURES = {
  zoom: [1, 1],
  contrast: 0,
  brightness: 0,
};

/** The federation attacked: Allulook4 nano that learns rooms from few pictures for long. */
export function attackedConfig(setting: MembershipSetting, epsilon: number | null): FederationConfig {
  const { clients, perSite, rounds, steps, size, seed } = setting;
  const minExamples = Math.floor(perSite / 2) - 1;
  const privacy = epsilon === null ? { unit: "none" } : { unit: "example", epsilon, minExamples };
  const config = federationConfig.parse({
    federation: "membership",
    seed,
    labels: ROOM_LABELS,
    input: { size: [size, size] },
    training: { localSteps: steps, batchSize: BATCH, augmentation: PLAIN_PICTURES },
    schedule: { rounds, cohort: { min: clients, max: clients }, minSurvivors: Math.min(3, clients) },
    evaluation: { holdout: 0.5 },
    privacy,
  });
  return checkFederationConfig(config).config;
}

export async function sitesOf(config: FederationConfig, dir: string, clients: number): Promise<readonly ClientData[]> {
  return arrange(config, [dir], clients, { by: "site" }, null);
}

/** Attacks the params of a release. Needs a loaded engine. */
export async function attackMembership(
  config: FederationConfig,
  sites: readonly ClientData[],
  released: Float32Array,
  report: Report,
  epsilon: number | null,
): Promise<MembershipResult> {
  const built = buildModel(config, config.seed, await startOf(config.model));
  try {
    const before = built.getParams();
    const scores = { members: [] as number[], outsiders: [] as number[] };
    const losses = { members: 0, outsiders: 0 };
    for (const { parts, split } of sites) {
      for (const { dir, indices = [] } of parts) {
        const dataset = await openDataset(dir, { labels: config.labels });
        for (const [group, chosen] of [
          ["members", split.train],
          ["outsiders", split.evaluation],
        ] as const) {
          for (const at of chosen) {
            const sample = prepareSample(await dataset.load(indices[at] as number), config);
            const batch = renderBatch([sample], [plainView(sample, { depth: true })], config, built.strides);
            const first = lossOf(built, config, before, batch);
            const last = lossOf(built, config, released, batch);
            if (first === null || last === null) continue;
            scores[group].push(first - last);
            losses[group] += last;
          }
        }
      }
    }
    const { members, outsiders } = scores;
    return {
      ...aucOf(members, outsiders),
      epsilon,
      spent: report.privacy.epsilon,
      members: members.length,
      outsiders: outsiders.length,
      memberLoss: losses.members / members.length,
      outsiderLoss: losses.outsiders / outsiders.length,
    };
  } finally {
    built.dispose();
  }
}

/** As docs/privacy.md has it. */
export function membershipTable(results: readonly MembershipResult[]): string {
  const rows = results.map((result) => {
    const { epsilon, spent, auc, interval, members, outsiders, memberLoss, outsiderLoss } = result;
    const name =
      epsilon === null ? "no differential privacy" : `epsilon ${epsilon} (spent ${spent?.toFixed(2) ?? "?"})`;
    const [low, high] = interval.map((value) => value.toFixed(3));
    return `| ${name} | ${auc.toFixed(3)} | ${low} to ${high} | ${members} / ${outsiders} | ${memberLoss.toFixed(3)} / ${outsiderLoss.toFixed(3)} |`;
  });
  return [
    "| training | AUC | 95 % interval | members / outsiders | loss on members / on outsiders |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}
