/** Which kind of sum a plan asks for: secure aggregation, or vectors sealed to a trusted coordinator. */
import type { TrainingPlan } from "../../shared/config/plan.ts";
import { CodedError } from "../../shared/errors.ts";
import type { Trust } from "../../shared/secagg/certificate.ts";
import type { Words } from "../../shared/secagg/mask.ts";
import { maskedInput } from "../../shared/secagg/messages.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { graphRule } from "../../shared/secagg/sharing-graph.ts";
import { parsePayload, type SignedStep } from "../../shared/secagg/signed.ts";
import { ClientRound } from "../secagg/client-round.ts";
import { checkJoin } from "../secagg/round-log.ts";
import { sealInput } from "../secagg/trusted-round.ts";
import type { SessionParts } from "./ports.ts";
import { SecureSum, type ProtectedVector, type Sum } from "./sum.ts";

/** `words` is the length of the vector to be summed. */
export function openSum(parts: SessionParts, plan: TrainingPlan, session: Session, words: number, trust: Trust): Sum {
  const { crypto, random, self, policy, pinned, roundLog, now, pause, masker, reading } = parts;
  const { mode, wordBits } = plan.secureAggregation;
  if (mode === "off") return new TrustedSum(parts, session);
  const minSurvivors = Math.max(policy.minSurvivors, plan.schedule.minSurvivors);
  const minCohort = session.purpose === "training" ? Math.max(policy.minCohort, minSurvivors) : minSurvivors;
  // Scores are summed over all: they are no updates.
  const groups = session.purpose === "training" ? plan.secureAggregation.groups : null;
  const round = new ClientRound({
    crypto,
    random,
    session,
    self,
    trust,
    plan: {
      mode,
      cohortMax: plan.schedule.cohort.max,
      graph: graphRule(plan.secureAggregation),
      words,
      wordBits,
      groups,
    },
    site: { minCohort, minSurvivors, allowVoid: policy.allowVoid },
    log: roundLog,
    clock: now,
    ...(pause !== undefined && { pause }),
    ...(masker !== undefined && { masker }),
    ...(reading !== undefined && { reading }),
  });
  return new SecureSum({ crypto, coordinatorKey: pinned.coordinatorKey, self, policy }, round);
}

/** Secure aggregation off: the coordinator is trusted, and the vector is sealed to its key. */
class TrustedSum implements Sum {
  readonly session: Session;
  readonly #parts: SessionParts;
  wantsVector = true;

  constructor(parts: SessionParts, session: Session) {
    this.#parts = parts;
    this.session = session;
  }

  async begin(): Promise<null> {
    // Refused here, the attempt costs no training.
    checkJoin(this.#parts.roundLog.entries(), this.session, true);
    return null;
  }

  async answer({ step }: SignedStep): Promise<never> {
    throw new CodedError("SECAGG_STEP", `${step} came, but this plan has no secure aggregation`, { step });
  }

  async protect(words: Words): Promise<ProtectedVector> {
    this.wantsVector = false;
    const { crypto, random, self, pinned, roundLog, room } = this.#parts;
    const { coordinatorKey } = pinned;
    const inProcess = room !== undefined;
    const options = { crypto, random, session: this.session, self, coordinatorKey, log: roundLog, inProcess };
    const { upload, message } = await sealInput(options, words);
    const { hash } = parsePayload(maskedInput, message, message.payload);
    return { kind: "boxed vector", bytes: upload, hash, step: message };
  }

  accuse(): null {
    return null;
  }

  wipe(): void {
    this.wantsVector = false;
  }
}
