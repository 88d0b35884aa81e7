/** One secure sum as a machine of its own: training and evaluation run the same phases. */
import type { ClientName, Purpose, Sha256 } from "../../../shared/ids.ts";
import type { History } from "../../../shared/secagg/transcript.ts";
import { LEAST_SURVIVORS } from "../../../shared/secagg/thresholds.ts";
import type { SignedStep, Step } from "../../../shared/secagg/signed.ts";
import { isGone, isStalled, memberOf } from "../presence.ts";
import { sortedNames, type Rules } from "../rules.ts";
import type {
  Exclusion,
  FederationState,
  MaskedInput,
  Outgoing,
  Presence,
  Reason,
  Sum,
  SumComplete,
  SumHead,
  Terms,
} from "../state.ts";
import { lastAccusation } from "./accusations.ts";
import { advertisingKeys } from "./advertising-keys.ts";
import { checkingConsistency } from "./checking-consistency.ts";
import { collectingMaskedInputs } from "./collecting-masked-inputs.ts";
import type { Phase, StepEvent } from "./phase.ts";
import { sharingKeys } from "./sharing-keys.ts";
import { unmasking } from "./unmasking.ts";

const PHASES = {
  "advertising-keys": advertisingKeys,
  "sharing-keys": sharingKeys,
  "collecting-masked-inputs": collectingMaskedInputs,
  "checking-consistency": checkingConsistency,
  unmasking,
} as const;

/** How long a failed attempt waits for further accusations: clients check what they are shown at once. */
const HEARING_MS = 2_000;

/** The clients' steps in the order of the protocol. */
const ORDER: readonly Step[] = Object.values(PHASES).map((phase) => phase.step);

function logic(sum: Sum): Phase<Sum> {
  // Each phase's functions only ever get a sum of that phase.
  return PHASES[sum.phase] as unknown as Phase<Sum>;
}

export interface Beginning {
  readonly purpose: Purpose;
  readonly round: number;
  readonly attempt: number;
  readonly version: number;
  readonly paramsHash: Sha256;
  readonly transcriptDigest: Sha256;
  readonly history: History;
  readonly clients: readonly ClientName[];
  readonly terms: Terms;
}

/** The first phase of an attempt. */
export function beginSum(rules: Rules, beginning: Beginning, at: number): Sum {
  const { purpose, round, attempt } = beginning;
  const session = {
    federation: rules.federation as Sha256,
    purpose,
    round,
    attempt,
    parentHash: beginning.paramsHash,
    configHash: beginning.terms.configHash,
    previousTranscriptDigest: beginning.transcriptDigest,
    ...(beginning.terms.clipNorm !== undefined && { clipNorm: beginning.terms.clipNorm }),
    ...(beginning.terms.noise !== undefined && { noise: beginning.terms.noise.commitment }),
  };
  const head: SumHead = {
    session,
    sid: rules.sidOf(session),
    version: beginning.version,
    mode: beginning.terms.mode,
    startedAt: at,
    since: at,
    invited: sortedNames(new Set(beginning.clients)),
    minRoster: beginning.terms.minRoster,
    minSurvivors: beginning.terms.minSurvivors,
    revoked: beginning.terms.revoked,
    history: beginning.history,
    ...(beginning.terms.enough !== undefined && { enough: beginning.terms.enough }),
    ...(beginning.terms.graph !== undefined && { graph: beginning.terms.graph }),
    ...(beginning.terms.privacy !== undefined && { privacy: beginning.terms.privacy }),
    ...(beginning.terms.noise !== undefined && { noiseSeed: beginning.terms.noise.seed }),
    excluded: {},
    seconds: { train: 0, secureAggregation: 0 },
  };
  if (head.mode === "off") {
    return { ...head, phase: "collecting-masked-inputs", advertised: {}, shared: {}, inputs: {} };
  }
  return { ...head, phase: "advertising-keys", advertised: {} };
}

/** What an attempt that begins now is begun under. */
export function termsOf(
  { configHash, mode, minSurvivors, graph, revoked, buffer, privacy, noise }: Rules,
  { clipNorm: held }: Pick<FederationState, "clipNorm">,
  minRoster: number,
  purpose: Purpose = "evaluation",
): Terms {
  const trains = purpose === "training";
  const clipNorm = trains ? privacy?.clipNorm(held) : undefined;
  const enough = trains && buffer !== undefined ? { enough: buffer } : {};
  const costs = trains && privacy !== null ? { privacy: privacy.mechanism } : {};
  const clips = clipNorm === undefined ? {} : { clipNorm };
  const adds = trains && noise !== undefined ? { noise: noise() } : {};
  const others = { ...enough, ...costs, ...clips, ...adds };
  return { configHash, mode, minRoster, minSurvivors, graph, revoked: revoked(), ...others };
}

/** Evaluation needs the sites' minimum of survivors, not their minimum cohort. */
export function leastRoster(
  rules: Pick<Rules, "mode" | "minSurvivors"> & { readonly cohort: { readonly min: number } },
  purpose: Purpose,
): number {
  const least = rules.mode === "off" ? rules.minSurvivors : Math.max(LEAST_SURVIVORS, rules.minSurvivors);
  return purpose === "training" ? Math.max(rules.cohort.min, least) : least;
}

const awaited = new WeakMap<Sum, readonly ClientName[]>();

/** The clients whose answer is still awaited, present or not. Asked several times with every event: looked up once. */
export function owing(sum: Sum): readonly ClientName[] {
  const known = awaited.get(sum);
  if (known !== undefined) return known;
  const answers = logic(sum).answers(sum);
  const waiting = logic(sum)
    .asked(sum)
    .filter((client) => answers[client] === undefined && sum.excluded[client] === undefined);
  awaited.set(sum, waiting);
  return waiting;
}

/** What the client must be asked (again); empty when nothing is awaited from it. */
export function asksFor(sum: Sum, client: ClientName): Outgoing[] {
  if (!owing(sum).includes(client)) return [];
  return logic(sum)
    .ask(sum, client)
    .map((type) => ({ type, sum }));
}

/** Messages to everybody whose answer is awaited. */
export function askAll(sum: Sum): { client: ClientName; message: Outgoing }[] {
  return owing(sum).flatMap((client) =>
    logic(sum)
      .ask(sum, client)
      .map((type) => ({ client, message: { type, sum } })),
  );
}

export type Judgement = "new" | "repeated" | "unneeded" | Reason;

/** What to make of a (verified) step of this session: taken, known already, no longer needed, or refused and why. */
export function judgeStep(sum: Sum | SumComplete, client: ClientName, signed: SignedStep): Judgement {
  const known = answerOf(sum, client, signed.step);
  if (known !== undefined) {
    if (known.payload === signed.payload) return "repeated";
    return {
      code: "ROUND_CONFLICT",
      message: `${client} sent two different ${signed.step} steps; the first one counts`,
    };
  }
  const exclusion = sum.excluded[client];
  if (exclusion !== undefined) {
    return { code: "ROUND_LEFT_OUT", message: `${client} was left out of this attempt: ${exclusion.message}` };
  }
  const place = ORDER.indexOf(signed.step);
  const now = sum.phase === "complete" ? ORDER.length : ORDER.indexOf(logic(sum).step);
  if (place < 0) return { code: "WIRE_INVALID", message: `clients do not send ${signed.step}` };
  if (place > now) return { code: "ROUND_EARLY", message: `${signed.step} is not due before ${sum.phase} is over` };
  if (place < now) {
    const late: Reason = { code: "ROUND_LATE", message: `${signed.step} came after its phase had closed` };
    const survived = "inputs" in sum && sum.inputs[client] !== undefined;
    return survived && (signed.step === "consistency" || signed.step === "unmask") ? "unneeded" : late;
  }
  if (sum.phase === "complete" || !logic(sum).asked(sum).includes(client)) {
    return { code: "ROUND_NOT_ASKED", message: `${client} is not among those asked for ${signed.step}` };
  }
  return "new";
}

function answerOf(sum: Sum | SumComplete, client: ClientName, step: Step): SignedStep | undefined {
  const held: Partial<Record<Step, SignedStep | undefined>> = {
    "advertise-keys": sum.advertised[client],
    "share-keys": "shared" in sum ? sum.shared[client] : undefined,
    "masked-input": "inputs" in sum ? (sum.inputs[client] as MaskedInput | undefined)?.signed : undefined,
    consistency: "signatures" in sum ? sum.signatures[client] : undefined,
    unmask: "reveals" in sum ? sum.reveals[client] : undefined,
  };
  return held[step];
}

/** The sum with one answer more; unchanged unless {@link judgeStep} says "new". */
export function recordStep(sum: Sum, event: StepEvent): Sum {
  return judgeStep(sum, event.client, event.signed) === "new" ? logic(sum).record(sum, event) : sum;
}

/** Leaves a client out of what is still to come. */
export function excludeClient(sum: Sum, client: ClientName, exclusion: Exclusion): Sum {
  if (!sum.invited.includes(client) || sum.excluded[client] !== undefined) return sum;
  return { ...sum, excluded: { ...sum.excluded, [client]: exclusion } };
}

/** Closes the phase: the next one, or why the attempt cannot go on. */
export function closePhase(sum: Sum, at: number): { next: Sum | SumComplete } | { failed: Reason } {
  const phase = logic(sum);
  const answered = Object.keys(phase.answers(sum)) as ClientName[];
  const needed = phase.needed(sum);
  if (canGoOn(sum, answered)) return { next: phase.next(sum, at) };
  const left = Object.values(sum.excluded as Record<string, Reason>).map((reason) => reason.message);
  const why = left.length > 0 ? ` (${left.join("; ").slice(0, 1_000)})` : "";
  return {
    failed: {
      code: "ROUND_TOO_FEW",
      message:
        answered.length < needed
          ? `${sum.phase}: ${answered.length} clients answered, ${needed} are needed${why}`
          : `${sum.phase}: ${answered.length} clients answered, but some client's secrets have too few holders among them${why}`,
    },
  };
}

/** Could the attempt go on with the answers of these clients? */
function canGoOn(sum: Sum, clients: readonly ClientName[]): boolean {
  const phase = logic(sum);
  return clients.length >= phase.needed(sum) && (phase.suffices?.(sum, clients) ?? true);
}

/** What presence and time make of the phase: nothing yet, close it, or give the sum up for good. */
export function dueIn(rules: Rules, sum: Sum, presence: Presence, now: number): "close" | "give-up" | null {
  const phase = logic(sum);
  const answered = Object.keys(phase.answers(sum)) as ClientName[];
  const waiting = owing(sum);
  const enough = phase.enough(sum);
  // A coordinator that was away gives its clients the time again.
  const since = Math.max(sum.since, presence.since);
  const limit = limitOf(rules, sum);
  const late = limit !== null && now - since >= limit;
  if (sum.phase === "unmasking") {
    // Those who are away may come back with their shares; those who said no, or lost them, cannot.
    if (enough !== null && answered.length >= enough && canGoOn(sum, answered)) return "close";
    // Scores are not worth waiting for clients of this process that have left it.
    const left = sum.session.purpose === "evaluation" && rules.liveness === "connection";
    const able = left ? waiting.filter((client) => !isGone(rules, presence, client, now)) : waiting;
    return late || !canGoOn(sum, [...answered, ...able]) ? "give-up" : null;
  }
  const training = sum.phase === "collecting-masked-inputs";
  const isAble = (client: ClientName): boolean =>
    !isGone(rules, presence, client, now) && !(training && isStalled(presence, client, since, now));
  // Where their number alone counts, a large cohort need not be looked through once there are enough.
  const counts = phase.suffices === undefined;
  const most = counts ? Math.max(1, phase.needed(sum) - answered.length) : waiting.length;
  const able: ClientName[] = [];
  for (const client of waiting) {
    if (able.length === most) break;
    if (isAble(client)) able.push(client);
  }
  if (late || able.length === 0 || (enough !== null && answered.length >= enough)) return "close";
  if (canGoOn(sum, [...answered, ...able])) return null;
  // Who is at fault is clear only when everybody who has something to say has said it.
  const accused = lastAccusation(sum);
  return accused !== null && now - accused < HEARING_MS ? null : "close";
}

/** Scoring has no progress to judge by, and nobody waits for it longer than its patience. */
function limitOf(rules: Rules, sum: Sum): number | null {
  const patient = sum.phase === "collecting-masked-inputs" || sum.phase === "unmasking";
  if (patient && sum.session.purpose === "evaluation") return rules.evaluation.patienceMs;
  return logic(sum).limitMs(rules);
}

/** A client that owes an answer but no longer knows the session it took part in: it was restarted, its secrets are gone. */
export function forgetful(sum: Sum, presence: Presence): ClientName | null {
  const lost = owing(sum).find((client) => {
    const { sid } = memberOf(presence, client);
    return sum.advertised[client] !== undefined && sid !== undefined && sid !== sum.sid;
  });
  return lost ?? null;
}
