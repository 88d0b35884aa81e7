/**
 * The training plan: federation.yaml without what concerns the coordinator alone. Sites see it, approve it and hold
 * the coordinator to it; its hash is the config hash of every session, link and manifest.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { canonicalJson } from "../canonical.ts";
import { CodedError } from "../errors.ts";
import type { Sha256 } from "../ids.ts";
import { federationConfig, type FederationConfig } from "./federation.ts";

/** Address, opening hours and deadlines of the coordinator change nothing a site agrees to. */
const trainingPlan = federationConfig.omit({ listen: true, schedule: true }).extend({
  schedule: federationConfig.shape.schedule.unwrap().pick({ rounds: true, cohort: true, minSurvivors: true }),
});
export type TrainingPlan = z.infer<typeof trainingPlan>;

/** The part of the configuration that sites approve. */
export function planOf(config: FederationConfig): TrainingPlan {
  const { listen: _listen, schedule, ...rest } = config;
  const { rounds, cohort, minSurvivors } = schedule;
  const { model, training } = config;
  const { distillation } = training;
  const init =
    model.own !== undefined
      ? lastPart(model.init ?? "")
      : model.base !== undefined
        ? `./${lastPart(model.init ?? "")}`
        : model.init;
  const taught = distillation === null ? null : { ...distillation, teacher: lastPart(distillation.teacher) };
  return {
    ...rest,
    model: { ...model, ...(init !== undefined && { init }) },
    training: { ...training, distillation: taught },
    schedule: { rounds, cohort, minSurvivors },
  };
}

/** Where a file lies at the coordinator is nobody's business. */
function lastPart(path: string): string {
  return path.split(/[/\\]/).findLast((part) => part !== "") ?? path;
}

/** The plan as it is sent and hashed. */
export function planText(plan: TrainingPlan): string {
  return canonicalJson(plan);
}

/** SHA-256 of the plan's text: the config hash. */
export function configHashOf(text: string): Sha256 {
  return bytesToHex(sha256(utf8ToBytes(text))) as Sha256;
}

/** Reads a plan that came over the wire; throws PLAN_INVALID when it does not match its hash or the schema. */
export function readPlan(text: string, configHash: Sha256): TrainingPlan {
  if (configHashOf(text) !== configHash) {
    throw new CodedError("PLAN_INVALID", "the training plan does not match its hash", { field: "configHash" });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CodedError("PLAN_INVALID", "the training plan is not JSON", { field: "plan" });
  }
  const parsed = trainingPlan.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const field = issue?.path.join(".") ?? "plan";
    throw new CodedError("PLAN_INVALID", `the training plan breaks the schema at ${field}: ${issue?.message}`, {
      field,
    });
  }
  // A default that this site would fill in was not part of what the hash covers.
  if (canonicalJson(parsed.data) !== text) {
    throw new CodedError("PLAN_INVALID", "the training plan is not in canonical form or leaves fields out", {
      field: "plan",
    });
  }
  return parsed.data;
}
