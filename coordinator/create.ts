/** Puts a coordinator together from its parts: reducer and driver, transport, operator. */
import { hexToBytes } from "@noble/hashes/utils.js";
import { canonicalJson } from "../shared/canonical.ts";
import { updatesNeeded } from "../shared/config/aggregation.ts";
import { configHashOf, planOf, planText } from "../shared/config/plan.ts";
import { isCoded } from "../shared/errors.ts";
import type { ClientName, Sha256 } from "../shared/ids.ts";
import { systemRandom } from "../shared/node/crypto.ts";
import { drawNoiseSeed } from "../shared/privacy/committed-noise.ts";
import { atClip } from "../shared/privacy/private-fixed-point.ts";
import { verifyRevocationList, type Trust } from "../shared/secagg/certificate.ts";
import { graphRule } from "../shared/secagg/sharing-graph.ts";
import { sessionId } from "../shared/secagg/session.ts";
import { signTranscript, transcriptName } from "../shared/secagg/transcript.ts";
import { HEARTBEAT_MS } from "../shared/wire/messages.ts";
import { stopRule } from "./round/decide.ts";
import { evidenceFiles } from "./round/evidence.ts";
import { Driver, type Hands } from "./round/driver.ts";
import { Inbox } from "./round/inbox.ts";
import { Outbox } from "./round/outbox.ts";
import type { CoordinatorParts } from "./round/parts.ts";
import { roundReport } from "./round/report.ts";
import { privacyRules, privacyStatus, type PrivacyStatus } from "./round/privacy-budget.ts";
import type { Rules } from "./round/rules.ts";
import type { FederationState, MaskedInput, Reason, RoundEvent, Sum, SumComplete } from "./round/state.ts";
import { robustRule } from "./aggregate/robust/rules.ts";
import { SumDesk, type Robustness } from "./round/sum-desk.ts";
import { currentSum } from "./round/transition.ts";
import { shapeOf, shapesOf, Work, type Shapes } from "./round/work.ts";
import { parseSchedule } from "./schedule/schedule.ts";

export interface CoordinatorStatus {
  readonly phase: string;
  readonly round: number;
  readonly attempt: number;
  readonly version: number;
  readonly completed: number;
  readonly paused: boolean;
  readonly reason: Reason | null;
  /** What the rounds have spent; null without differential privacy. */
  readonly privacy: PrivacyStatus | null;
  readonly clients: readonly {
    readonly name: ClientName;
    readonly connected: boolean;
    readonly ready: boolean;
    readonly version: number;
    readonly progress: { readonly step: number; readonly steps: number } | null;
  }[];
}

export interface Coordinator {
  /**
   * Takes over where the last process ended and acts until the federation is over; resolves with why it is. Rejects with
   * STORE_CORRUPT when what a round needs is damaged: the federation then waits for its folder to be restored.
   */
  run(): Promise<Reason>;
  /** Durable when resolved: the round under way is finished, no other begins. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Asks for a round where the schedule is `manual`, or before its time. */
  trigger(): Promise<void>;
  /** Ends the federation: at once while nothing is revealed, else after the round. */
  stop(reason: string): Promise<void>;
  status(): CoordinatorStatus;
  /** The state as the reducer has it, for tests and observers. */
  readonly state: FederationState;
  /** Ends this process's part; the federation goes on when it is started again. */
  close(): Promise<void>;
}

/** Throws CONFIG_HEADROOM and CONFIG_INVALID for a configuration that no round can run under. */
export function createCoordinator(parts: CoordinatorParts): Coordinator {
  const { config, clock, transport, store, chain } = parts;
  const text = planText(planOf(config));
  const configHash = configHashOf(text);
  const rules = rulesOf(parts, configHash);
  const shapes = shapesOf(config, parts.layout.length, parts.evaluator.counters);
  const desks = new Desks(parts, shapes);
  const outbox = new Outbox(
    parts,
    (sum) => desks.of(sum),
    () => currentSum(driver.state),
  );
  const work = new Work(parts, shapes);
  const bytes = new Traffic(parts);
  /** Completed rounds whose record is kept: nobody is told of one that cannot be looked up. */
  let recorded = 0;

  const hands: Hands = {
    beginning: () => work.beginning(),
    send: ({ client, message }) => outbox.send(client, message),
    sent: () => outbox.sent(),
    work: async (effect, state): Promise<RoundEvent> => {
      // The round that is being released counts once it is over.
      const last = stopRule(rules, { ...state, completed: state.completed + 1 }, clock.now()) !== null;
      const outcome =
        effect.type === "update"
          ? await work.update(state, effect.sum, desks.of(effect.sum))
          : effect.type === "total"
            ? await work.evaluate(effect.sum, desks.of(effect.sum))
            : await work.release(effect.facts, effect.version, last);
      return { ...outcome, at: clock.now() };
    },
    keep: async (effect) => {
      if (effect.type === "discard") await throwAway(effect.blobs);
      else if (effect.type === "keep-evidence") {
        const name = transcriptName(effect.sum.session);
        await parts
          .keepEvidence?.(name, () => evidenceFiles(parts, effect))
          .catch((error: unknown) => {
            // Bytes that are not there, as after the option was switched on during the round, do not come back.
            if (!isCoded(error, "STORE_CORRUPT")) throw error;
            parts.observer.trouble?.(`keeping the evidence of ${name}`, error);
          });
      } else if (effect.type === "keep-transcript") {
        const { transcript } = effect;
        await parts.keepTranscript(transcriptName(transcript.session), signTranscript(parts.keys.signing, transcript));
      } else {
        const { facts, status, endedAt, reason } = effect;
        const epsilon = rules.privacy?.epsilon(driver.state.spent ?? {}, 0) ?? null;
        const report = roundReport(facts, status, endedAt, reason, bytes.since(), epsilon);
        await store.putRound({ round: report.round, report: canonicalJson(report) });
        if (report.status === "completed" && report.round > 0) recorded += 1;
        await chain.settle(driver.state.version);
        await collect(clock.now() - effect.facts.startedAt + SLACK_MS);
        parts.observer.round?.(report);
      }
    },
  };
  const driver = new Driver(parts, rules, parts.audit === undefined ? hands : { ...hands, audit: parts.audit });
  const sendPlan = (client: ClientName): void => transport.send(client, { type: "plan", plan: text, configHash });
  const inbox = new Inbox(parts, configHash, {
    state: () => driver.state,
    desk: (sum) => desks.of(sum),
    submit: (event) => driver.submit(event),
    sendPlan,
    sendEnded: (client, sid) => {
      const ended = driver.state.ended.find((session) => session.sid === sid);
      if (ended !== undefined) outbox.send(client, { type: "ended", ended });
    },
  });
  const throwAway = async (hashes: readonly Sha256[]): Promise<void> => {
    if (hashes.length === 0) return;
    // A client may have named bytes of the federation's own as its vector.
    const needed = blobsInUse(parts, driver.state);
    for (const hash of hashes) if (!needed.has(hash)) await parts.blobs.delete(hash);
  };
  /** Throws away what crashes and failed attempts left: blobs that nothing refers to and that are older than this. */
  const collect = async (graceMs: number): Promise<void> => {
    try {
      await parts.collect?.(blobsInUse(parts, driver.state), graceMs);
    } catch (error) {
      parts.observer.trouble?.("collecting blobs that nothing refers to", error);
    }
  };
  const passing = (event: RoundEvent): void => void driver.submit(event).catch(() => undefined);
  const operator = (type: "pause" | "resume" | "trigger"): Promise<void> => driver.submit({ type, at: clock.now() });

  return {
    async run() {
      const members = parts.enrolled().filter((client) => !client.revoked);
      await driver.open(members.map((client) => client.name));
      recorded = driver.state.completed;
      // A vector may have been taken whole before the step that announces it is in the log.
      const sum = currentSum(driver.state);
      await collect(sum === null ? 0 : clock.now() - sum.startedAt + SLACK_MS);
      const revoked = (name: ClientName): boolean => parts.enrolled().some((c) => c.name === name && c.revoked);
      await transport.start({
        connected: (client) => {
          sendPlan(client);
          passing({ type: "connected", at: clock.now(), client });
        },
        disconnected: (client) => passing({ type: "disconnected", at: clock.now(), client }),
        message: (client, message) => inbox.message(client, message),
        uploadLimit: (client, sid, hash) => (revoked(client) ? null : inbox.uploadLimit(client, sid, hash)),
        uploaded: async (client, sid, hash, length) => {
          // The session that they are left from may still be being recorded.
          const leftOvers = inbox.takeLeftOvers(currentSum(driver.state)?.sid ?? null);
          const trouble = (error: unknown): void => parts.observer.trouble?.("deleting left-over vectors", error);
          if (leftOvers.length > 0) void driver.recorded().then(() => throwAway(leftOvers).catch(trouble));
          inbox.uploaded(client, sid, hash, length);
        },
        // A version that is committed, but not yet in the log, may still become another.
        chain: async (after) => chain.linksAfter(after, driver.state.version),
        manifest: async (version) => chain.manifest(version),
      });
      driver.start();
      return driver.finished;
    },
    pause: () => operator("pause"),
    resume: () => operator("resume"),
    trigger: () => operator("trigger"),
    stop: (reason) => driver.submit({ type: "stop", at: clock.now(), reason }),
    status: () => {
      const { spent } = driver.state;
      const toCome = Math.max(0, rules.stop.rounds - recorded);
      return {
        ...statusOf(driver.state),
        completed: recorded,
        privacy: privacyStatus(rules.privacy, spent, toCome),
      };
    },
    get state() {
      return driver.state;
    },
    async close() {
      outbox.close();
      await driver.close();
      await transport.stop();
    },
  };
}

function rulesOf(parts: CoordinatorParts, configHash: Sha256): Rules {
  const { config, options, crypto } = parts;
  const { schedule, secureAggregation, evaluation, retry, privacy } = config;
  const scored = privacy.unit === "none" || privacy.scores === "exact";
  const trusted = privacy.unit === "client" && secureAggregation.mode === "off";
  return {
    federation: parts.federation,
    configHash,
    seed: config.seed,
    mode: secureAggregation.mode,
    cohort: schedule.cohort,
    minSurvivors: schedule.minSurvivors,
    ...(config.strategy.name === "fedbuff" && { buffer: config.strategy.buffer }),
    graph: graphRule(secureAggregation),
    deadlines: {
      recruitMs: schedule.phaseDeadlines.recruit,
      shareKeysMs: schedule.phaseDeadlines.shareKeys,
      trainMs: schedule.phaseDeadlines.train,
      unmaskMs: schedule.phaseDeadlines.unmask,
    },
    patienceMs: retry.patience,
    evaluation: { every: scored ? (options.evaluationEvery ?? evaluation.every) : 0, patienceMs: evaluation.patience },
    stop: {
      rounds: Math.min(schedule.rounds, options.rounds ?? Number.POSITIVE_INFINITY),
      untilMetric: schedule.untilMetric,
      untilMs: schedule.untilDate === null ? null : Date.parse(schedule.untilDate),
      failures: options.failures,
    },
    schedule: parseSchedule(schedule.every),
    privacy: privacyRules(config),
    ...(trusted && { noise: () => drawNoiseSeed(crypto, systemRandom()) }),
    liveness: options.liveness,
    attempts: options.attempts,
    heartbeatMs: HEARTBEAT_MS,
    backoffMs: options.backoffMs,
    keepInputs: config.transcripts.keepInputs,
    sidOf: (context) => sessionId(crypto, context),
    revoked: () => parts.revocations(),
  };
}

/** Clocks of file systems may differ a little from the machine's. */
const SLACK_MS = 60_000;

/** What the versions, the server's state and the sum under way are made of. */
function blobsInUse({ chain, config }: CoordinatorParts, state: FederationState): ReadonlySet<string> {
  const links = [...chain.linksAfter(-1, state.version), ...chain.linksAfter(-1)].flatMap(({ update, keyframe }) => [
    update,
    keyframe,
  ]);
  const kept = state.lastSum === null ? state.serverStates : [...state.serverStates, state.lastSum];
  const sum = currentSum(state);
  const inputs = sum !== null && "inputs" in sum ? Object.values(sum.inputs as Record<string, MaskedInput>) : [];
  const vectors = inputs.map(({ vector }) => vector);
  const { base } = config.model;
  return new Set([
    ...(base === undefined ? [] : [base.sha256]),
    ...kept,
    ...vectors,
    ...links.flatMap((ref) => (ref === null ? [] : [ref.sha256])),
  ]);
}

/** One desk for the session under way. */
class Desks {
  readonly #parts: CoordinatorParts;
  readonly #shapes: Shapes;
  readonly #robustness: Robustness;
  #desk: { readonly sid: Sha256; readonly desk: SumDesk } | null = null;
  #revoked: { readonly list: object; readonly serials: ReadonlySet<string> } | null = null;

  constructor(parts: CoordinatorParts, shapes: Shapes) {
    this.#parts = parts;
    this.#shapes = shapes;
    const { aggregation, secureAggregation } = parts.config;
    const { groups } = secureAggregation;
    const needed = updatesNeeded(aggregation);
    this.#robustness = { rules: shapes.training, rule: robustRule(aggregation), groups, needed };
  }

  of(sum: Sum | SumComplete): SumDesk {
    if (this.#desk?.sid === sum.sid) return this.#desk.desk;
    const shape = shapeOf(this.#shapes, sum.session.purpose);
    const { crypto, keys, blobs, handed, pause, unmasker } = this.#parts;
    const own = {
      crypto,
      keys,
      blobs,
      handed: handed ?? null,
      unmasker: unmasker ?? null,
      pause,
      trust: () => this.#trust(),
      keyOf: (name: ClientName) => this.#keyOf(name),
    };
    const { purpose, clipNorm } = sum.session;
    const { rules } = this.#robustness;
    const robustness = purpose === "training" ? { ...this.#robustness, rules: atClip(rules, clipNorm) } : null;
    const desk = new SumDesk(own, { ...sum.session, sid: sum.sid }, shape, robustness);
    this.#desk = { sid: sum.sid, desk };
    return desk;
  }

  #trust(): Trust {
    const { crypto, federation, authorityKey, revocations } = this.#parts;
    const list = revocations();
    if (list !== null && this.#revoked?.list !== list) {
      this.#revoked = { list, serials: verifyRevocationList(crypto, federation, authorityKey, list) };
    }
    return { federation, authorityKey, revoked: list === null ? new Set() : (this.#revoked?.serials ?? new Set()) };
  }

  /** Looked up each time: a member may be enrolled again with another key, or revoked. */
  #keyOf(name: ClientName): Uint8Array | null {
    const client = this.#parts.enrolled().find((enrolled) => enrolled.name === name && !enrolled.revoked);
    return client === undefined ? null : hexToBytes(client.signingKey);
  }
}

/** Bytes over the transport, round by round. */
class Traffic {
  readonly #parts: Pick<CoordinatorParts, "transport">;
  #counted = { upload: 0, download: 0 };

  constructor(parts: Pick<CoordinatorParts, "transport">) {
    this.#parts = parts;
  }

  /** Since the last call. */
  since(): { upload: number; download: number } {
    const now = this.#parts.transport.traffic?.() ?? { upload: 0, download: 0 };
    const { upload, download } = this.#counted;
    this.#counted = now;
    return { upload: now.upload - upload, download: now.download - download };
  }
}

function statusOf(state: FederationState): Omit<CoordinatorStatus, "completed" | "privacy"> {
  const { current, presence } = state;
  const sum = currentSum(state);
  const inner = sum !== null && current.phase !== "updating" ? sum.phase : current.phase;
  return {
    phase: current.phase === "evaluating" ? "evaluating" : inner,
    round: state.round,
    attempt: sum?.session.attempt ?? ("attempt" in current ? current.attempt : 0),
    version: state.version,
    paused: state.paused,
    reason: "reason" in current ? current.reason : null,
    clients: [...presence.members].map(([name, member]) => ({
      name,
      connected: member.connected,
      ready: member.readyAt !== null,
      version: member.version,
      progress: member.progress === null ? null : { step: member.progress.step, steps: member.progress.steps },
    })),
  };
}
