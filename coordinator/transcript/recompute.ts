/**
 * Makes again, from what was kept of a session, all that its transcript says came of it: the revealed shares give the
 * secrets, the secrets the masks, the masked inputs the sum, the sum the mean, the mean the server's step, the step the
 * version. Every value is compared bit by bit, through the same code that made it. Without secure aggregation the kept keys
 * open the vectors, and the noise of a trusted coordinator comes from the seed that it committed to.
 */
import { z } from "zod";
import { admitShareKeys, admitUnmask, type AdmittedUnmask } from "../aggregate/admit.ts";
import type { AdmittedShares } from "../aggregate/admitted-shares.ts";
import { decodeAggregate, type AggregateRules } from "../aggregate/decode.ts";
import { withNoise } from "../aggregate/private-rules.ts";
import { addBytes, applyMasks } from "../aggregate/secure-sum.ts";
import { remainingMasks } from "../aggregate/unmask.ts";
import { initialServerState } from "../optimizer/server-optimizer.ts";
import { takeStep } from "../optimizer/step.ts";
import { decodeServerState, encodeServerState, type ServerState } from "../optimizer/server-state-codec.ts";
import { shapesOf } from "../round/work.ts";
import { KeptFiles, short, wrong } from "./kept-files.ts";
import { openedSum } from "./opened.ts";
import { hashOf, hashOfText } from "../../shared/canonical.ts";
import { readPlan, type TrainingPlan } from "../../shared/config/plan.ts";
import { sha256Hex, type ClientName } from "../../shared/ids.ts";
import { noiseCommitment, noiseRandom, type NoiseSeed } from "../../shared/privacy/committed-noise.ts";
import { adaptiveClip, clipOfRound } from "../../shared/privacy/adaptive-clip.ts";
import { atClip } from "../../shared/privacy/private-fixed-point.ts";
import { canonicalBytes, layoutOf, paramsFromBytes, type ParamLayout } from "../../shared/params/layout.ts";
import { encodeUpdate } from "../../shared/quantize/update.ts";
import { checkLink } from "../../shared/release/link.ts";
import { sha256Of } from "../../shared/release/ports.ts";
import type { ReleaseFolder } from "../../shared/release/verify.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { fromBase64 } from "../../shared/secagg/encoding.ts";
import { bytesOf, newWords, type Words } from "../../shared/secagg/mask.ts";
import { COORDINATOR, MAX_PAYLOAD, statement, type SignedStep, type Step } from "../../shared/secagg/signed.ts";
import type { DigestStatement } from "../../shared/secagg/transcript.ts";
import type { Check } from "../../shared/transcript/findings.ts";
import type { CheckedSession } from "../../shared/transcript/session.ts";
import { chainLink } from "../../shared/wire/release.ts";

const statements = z.array(statement.extend({ payload: z.string().max(MAX_PAYLOAD) }));
const stepsFile = z.strictObject({ shared: statements, revealed: statements });
const settingFile = z.strictObject({
  plan: z.string(),
  tensors: z.array(z.strictObject({ name: z.string(), shape: z.array(z.int().min(1)) })),
});

export const STEP = "mean and server step";

/** The checks of one completed session; `folder` is its `evidence/NAME`. */
export function evidenceChecks(crypto: CryptoPort, checked: CheckedSession, folder: ReleaseFolder): Check[] {
  const evidence = new Evidence(crypto, checked, folder);
  const off = checked.transcript.mode === "off";
  const made: Check[] = off
    ? [
        ["training plan", () => evidence.setting()],
        ["opened vectors and their sum", () => evidence.openedSum()],
      ]
    : [
        ["share commitments", () => evidence.shares()],
        ["revealed shares", () => evidence.reveals()],
        ["training plan", () => evidence.setting()],
        ["masked inputs", () => evidence.inputs()],
        ["sum", () => evidence.sum()],
      ];
  if (checked.transcript.result?.commit == null) return made;
  return [
    ...made,
    ...(off ? ([["the coordinator's noise", () => evidence.noise()]] as const) : []),
    [STEP, () => evidence.step()],
    ["version", () => evidence.version()],
  ];
}

class Evidence {
  readonly #crypto: CryptoPort;
  readonly #checked: CheckedSession;
  readonly #files: KeptFiles;
  readonly #shared = new Map<ClientName, AdmittedShares>();
  #revealed: AdmittedUnmask[] = [];
  #plan: TrainingPlan | null = null;
  #layout: ParamLayout | null = null;
  #words: Words | null = null;
  /** Whose vectors are in the sum. */
  #summed: readonly ClientName[];
  /** Of a trusted coordinator's noise; null: it adds none. */
  #seed: NoiseSeed | null = null;
  /** Why the step cannot be taken again. */
  #unrepeatable: string | null = null;
  #after: ServerState | null = null;

  constructor(crypto: CryptoPort, checked: CheckedSession, folder: ReleaseFolder) {
    this.#crypto = crypto;
    this.#checked = checked;
    this.#files = new KeptFiles(folder);
    this.#summed = checked.survivors;
  }

  async shares(): Promise<void> {
    const { shared } = await this.#files.json("steps.json", stepsFile);
    const { transcript, session, members } = this.#checked;
    for (const message of this.#steps("share-keys", shared, transcript.shared)) {
      const { neighbours } = this.#checked.sharing();
      const admitted = admitShareKeys(this.#crypto, session, members, message, neighbours);
      this.#shared.set(message.sender as ClientName, admitted);
    }
  }

  async reveals(): Promise<void> {
    const { revealed } = await this.#files.json("steps.json", stepsFile);
    const { transcript, session, members, survivors, dropouts } = this.#checked;
    this.#revealed = this.#steps("unmask", revealed, transcript.revealed).map((message) =>
      admitUnmask(this.#crypto, session, members, { survivors, dropouts }, this.#shared, message),
    );
  }

  async setting(): Promise<void> {
    const { plan, tensors } = await this.#files.json("setting.json", settingFile);
    const { configHash } = this.#checked.session;
    if (hashOfText(plan) !== configHash) wrong("setting.json", "the plan is not the one of the session");
    this.#plan = readPlan(plan, configHash);
    this.#layout = layoutOf(tensors);
    const { mode } = this.#plan.secureAggregation;
    if (mode !== this.#checked.transcript.mode)
      wrong("setting.json", `the plan has ${mode}, the transcript another mode`);
    const { graph } = this.#checked.transcript;
    const { dropoutRate, corruptionRate } = this.#plan.secureAggregation;
    if (graph !== undefined && (graph.dropoutRate !== dropoutRate || graph.corruptionRate !== corruptionRate))
      wrong("setting.json", "the plan has other rates of dropouts and corruption than the transcript");
  }

  /** Added up as they are read: a vector is as large as the model. */
  async inputs(): Promise<void> {
    const inputs = this.#checked.inputs();
    const words = newWords(this.#known(this.#plan).secureAggregation.wordBits, inputs[0]?.words ?? 0);
    for (const { name, hash } of inputs) {
      const path = `inputs/${name}.bin`;
      const bytes = await this.#files.bytes(path);
      if (sha256Of(this.#crypto, bytes) !== hash) wrong(path, `these are not the bytes that ${name} signed`);
      if (bytes.length !== words.byteLength) wrong(path, `${bytes.length} bytes, expected ${words.byteLength}`);
      addBytes(words, bytes, 1);
    }
    this.#words = words;
  }

  /** Without secure aggregation. */
  async openedSum(): Promise<void> {
    const plan = this.#known(this.#plan);
    const rules = this.#checked.session.purpose === "training" ? this.#rules(plan) : null;
    const { words, survivors } = await openedSum(this.#crypto, this.#checked, this.#files, plan, rules);
    this.#summed = survivors;
    this.#words = words;
  }

  /** The seed must be the one that the session's id commits to: it was fixed before any vector came. */
  async noise(): Promise<string | null> {
    const { session } = this.#checked;
    const plan = this.#known(this.#plan);
    if (plan.privacy.unit !== "client") return "the plan has the coordinator add none";
    if (session.noise === undefined) {
      return (this.#unrepeatable = "the coordinator did not commit to its noise: the step cannot be taken again");
    }
    if (!(await this.#files.has("noise.json"))) {
      return (this.#unrepeatable = "the seed of the noise is not here: the step cannot be taken again");
    }
    const { seed } = await this.#files.json("noise.json", z.strictObject({ seed: sha256Hex }));
    if (noiseCommitment(this.#crypto, seed) !== session.noise) {
      wrong("noise.json", "the seed is not the one that the coordinator committed to when the session began");
    }
    this.#seed = seed;
    return null;
  }

  /** Of this round's sums. */
  #rules(plan: TrainingPlan): AggregateRules {
    const { session } = this.#checked;
    const { training } = shapesOf(plan, this.#known(this.#layout).length, 0);
    return atClip(training, session.clipNorm);
  }

  async sum(): Promise<void> {
    const { session, members, survivors, dropouts, transcript } = this.#checked;
    // Whole groups can be left out; what is kept is of sums without groups.
    if (this.#known(transcript.result).rejected.length > 0)
      wrong("result.rejected", "vectors were left out of this sum");
    const words = this.#known(this.#words);
    const list = { survivors, dropouts };
    const sharing = { limits: this.#checked.sharing().limits, shared: this.#shared };
    const masks = await remainingMasks(this.#crypto, session, members, sharing, list, this.#revealed);
    await applyMasks(this.#crypto, words, masks);
    const { sum } = this.#known(transcript.result);
    const got = sha256Of(this.#crypto, bytesOf(words));
    if (got !== sum) wrong("result.sum", `the inputs kept add up to ${short(got)}, the transcript says ${short(sum)}`);
  }

  async step(): Promise<string | null> {
    if (this.#unrepeatable !== null) return this.#unrepeatable;
    const { session } = this.#checked;
    const survivors = this.#summed.length;
    const commit = this.#known(this.#known(this.#checked.transcript.result).commit);
    const plan = this.#known(this.#plan);
    const layout = this.#known(this.#layout);
    const { clipNorm } = session;
    const noise = () => noiseRandom(this.#crypto, session.sid, this.#known(this.#seed));
    const aggregate = decodeAggregate(withNoise(this.#rules(plan), noise), this.#known(this.#words), survivors);
    const before = await this.#files.bytes("before.state");
    if (sha256Of(this.#crypto, before) !== commit.serverStateBefore) {
      wrong("before.state", "it is not the server state that the transcript begins with");
    }
    if (this.#checked.transcript.version === 0) await this.#beginning(layout, before);
    const state = decodeServerState(before, layout.length);
    const adaptive = adaptiveClip(plan.privacy);
    const clip = adaptive === null ? undefined : clipOfRound(adaptive, state.clipNorm);
    if (clip !== clipNorm) {
      wrong("session.clipNorm", `the round clipped to ${clipNorm}, the state before it and the plan say ${clip}`);
    }
    const invited = this.#checked.transcript.invited.length;
    this.#after = takeStep(plan, state, aggregate, { survivors, invited, clipNorm });
    const got = sha256Of(this.#crypto, encodeServerState(this.#after));
    if (got === commit.serverState) return null;
    const said = short(commit.serverState);
    return wrong(
      "result.commit.serverState",
      `${plan.strategy.name} leads to ${short(got)}, the transcript says ${said}`,
    );
  }

  /** Nothing comes before version 0: the first step begins with its params, and with nothing that an optimizer remembers. */
  async #beginning(layout: ParamLayout, before: Uint8Array): Promise<void> {
    const first = encodeServerState(initialServerState(await this.#parent(layout)));
    if (sha256Of(this.#crypto, first) === sha256Of(this.#crypto, before)) return;
    wrong("before.state", "the first step does not begin with the params of version 0 alone");
  }

  async #parent(layout: ParamLayout): Promise<Float32Array> {
    const bytes = await this.#files.bytes("parent.params");
    if (sha256Of(this.#crypto, bytes) !== this.#checked.session.parentHash) {
      wrong("parent.params", "they are not the params that were trained from");
    }
    return paramsFromBytes(layout, bytes);
  }

  async version(): Promise<string | null> {
    if (this.#unrepeatable !== null) return this.#unrepeatable;
    const { session, file, transcript } = this.#checked;
    const commit = this.#known(this.#known(transcript.result).commit);
    const layout = this.#known(this.#layout);
    const parent = await this.#parent(layout);
    const { dtype } = this.#known(this.#plan).release;
    const { params } = encodeUpdate(layout, this.#known(this.#after).params, parent, dtype);
    const got = sha256Of(this.#crypto, canonicalBytes(params));
    if (got !== commit.paramsHash) {
      wrong(
        "result.commit.paramsHash",
        `the step leads to ${short(got)}, the transcript says ${short(commit.paramsHash)}`,
      );
    }
    const link = await this.#files.json("link.json", chainLink);
    if (hashOf(link) !== commit.link) wrong("link.json", "it is not the chain link that the transcript names");
    checkLink(this.#crypto, this.#known(fromBase64(file.signedBy)), session.federation, link);
    const follows = link.version === commit.version && link.parentHash === session.parentHash;
    if (!follows || link.paramsHash !== commit.paramsHash || link.configHash !== session.configHash) {
      wrong("link.json", "the signed chain link is for another version, parent or plan");
    }
    return null;
  }

  /** The steps whose hashes were signed, as they were sent. */
  #steps(step: Step, given: z.infer<typeof statements>, signed: readonly DigestStatement[]): SignedStep[] {
    if (given.length !== signed.length)
      wrong("steps.json", `${given.length} ${step} steps, ${signed.length} were signed`);
    return signed.map(({ sender, payloadHash, signature }, i) => {
      const { payload } = given[i] as (typeof given)[number];
      if (given[i]?.sender !== sender || hashOfText(payload) !== payloadHash) {
        wrong("steps.json", `the ${step} step of ${sender} is not the one it signed`);
      }
      const { federation, sid, purpose, round, attempt } = this.#checked.session;
      const where = { federation, sid: sid as SignedStep["sid"], purpose, round, attempt };
      return { ...where, step, sender, recipient: COORDINATOR, payload, signature };
    });
  }

  /** Every check builds on those before it. */
  #known<T>(value: T | null): T {
    if (value === null) throw new Error("a check was made before the one that it builds on");
    return value;
  }
}
