/**
 * What a session was begun under, against the training plan that its id names: mode, minimums and rates are the
 * coordinator's word in a transcript, and its clients took part by their plan.
 */
import { leastRoster } from "../round/phases/sum.ts";
import { hashOfText } from "../../shared/canonical.ts";
import { readPlan, type TrainingPlan } from "../../shared/config/plan.ts";
import { CodedError } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import type { ReleaseFolder } from "../../shared/release/verify.ts";
import { adaptiveClip, clipOfRound } from "../../shared/privacy/adaptive-clip.ts";
import { graphRule, sharingGraph } from "../../shared/secagg/sharing-graph.ts";
import type { Transcript } from "../../shared/secagg/transcript.ts";

/** Throws TRANSCRIPT_CONTRADICTION with the field. */
export function checkTerms(plan: TrainingPlan, transcript: Transcript): void {
  const { schedule, secureAggregation } = plan;
  const { mode, groups } = secureAggregation;
  const { session, advertised, thresholds, graph, result } = transcript;
  const { minSurvivors, cohort } = schedule;
  const size = advertised.length;
  expect("mode", mode, transcript.mode);
  expect("minSurvivors", minSurvivors, transcript.minSurvivors);
  expect("minRoster", leastRoster({ mode, minSurvivors, cohort }, session.purpose), transcript.minRoster);
  if (size > cohort.max) contradicts("advertised", `${size} clients, the plan allows ${cohort.max}`);
  checkClip(plan, session);
  if (mode === "off") return;
  const { dropoutRate, corruptionRate } = secureAggregation;
  const sparse = thresholds !== null && !sharingGraph(size, mode, graphRule(secureAggregation)).complete;
  expect("graph", sparse ? `${dropoutRate}, ${corruptionRate}` : "none", ratesOf(graph));
  const rejected = result?.rejected.length ?? 0;
  if (rejected > 0 && (groups === null || session.purpose !== "training")) {
    contradicts("result.rejected", "vectors cannot be left out of a secure sum");
  }
}

/** The norm that a round clipped to: within the plan's bounds where it adapts, none where the plan fixes it. */
function checkClip({ privacy }: TrainingPlan, { purpose, clipNorm }: Transcript["session"]): void {
  const adaptive = purpose === "training" ? adaptiveClip(privacy) : null;
  const nearest = adaptive === null ? undefined : clipOfRound(adaptive, clipNorm);
  if (clipNorm === nearest) return;
  contradicts("session.clipNorm", `${clipNorm ?? "none"}, the nearest that the plan allows is ${nearest ?? "none"}`);
}

/** The plan that was kept with a session's evidence; null: none, or another one. */
export async function keptPlan(folder: ReleaseFolder, configHash: Sha256): Promise<TrainingPlan | null> {
  try {
    const text = new TextDecoder().decode((await folder.read("setting.json")) ?? new Uint8Array());
    const { plan } = JSON.parse(text) as { plan?: unknown };
    return typeof plan === "string" && hashOfText(plan) === configHash ? readPlan(plan, configHash) : null;
  } catch {
    // What is wrong with it is for the checks of the evidence to say.
    return null;
  }
}

function ratesOf(graph: Transcript["graph"]): string {
  return graph === undefined ? "none" : `${graph.dropoutRate}, ${graph.corruptionRate}`;
}

function expect(field: string, planned: string | number, said: string | number): void {
  if (planned !== said) contradicts(field, `${said}, but by the plan it is ${planned}`);
}

function contradicts(field: string, what: string): never {
  throw new CodedError("TRANSCRIPT_CONTRADICTION", `${field}: ${what}`, { field });
}
