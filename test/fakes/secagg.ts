/** A small federation in memory: authority, coordinator, clients with certificates, and one attempt end to end. */
import { ClientRound, type ClientRoundOptions } from "../../client/secagg/client-round.ts";
import { memoryRoundLog, type RoundLog } from "../../client/secagg/round-log.ts";
import {
  admitAdvertisement,
  admitConsistency,
  admitMaskedInput,
  admitShareKeys,
  admitUnmask,
  type AdmittedUnmask,
} from "../../coordinator/aggregate/admit.ts";
import type { AdmittedShares } from "../../coordinator/aggregate/admitted-shares.ts";
import { announcement } from "../../coordinator/aggregate/announce.ts";
import { memorySource, secureSum } from "../../coordinator/aggregate/secure-sum.ts";
import { remainingMasks } from "../../coordinator/aggregate/unmask.ts";
import { isCoded } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { SecureRng } from "../../shared/rng/secure.ts";
import { issueCertificate, type Certificate, type Trust } from "../../shared/secagg/certificate.ts";
import type { SignedStep } from "../../shared/secagg/signed.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import { encodeTuple, toBase64 } from "../../shared/secagg/encoding.ts";
import type { WordBits, Words } from "../../shared/secagg/mask.ts";
import { consistencyDigest, openRoster, type MaskedHash } from "../../shared/secagg/roster.ts";
import {
  federationId,
  NO_TRANSCRIPT,
  openSession,
  type Session,
  type SessionContext,
} from "../../shared/secagg/session.ts";
import { graphRule, sharingGraph, type GraphRule, type SharingGraph } from "../../shared/secagg/sharing-graph.ts";
import { neededSurvivors, type SecureMode } from "../../shared/secagg/thresholds.ts";

/** A deterministic "secure" stream: vectors and failures replay exactly. */
export function fixedSecureRng(crypto: CryptoPort, label: string): SecureRng {
  const stream = crypto.maskStream(crypto.sha256(encodeTuple("test randomness", label)));
  return new SecureRng((bytes) => {
    const whole = Math.ceil(bytes.length / 16) * 16;
    bytes.set(stream.next(whole).subarray(0, bytes.length));
  });
}

export interface FakeClient {
  readonly name: ClientName;
  readonly signingKey: SigningKey;
  readonly certificate: Certificate;
  readonly log: RoundLog;
}

export const NOW = 1_700_000_000_000;

export interface FakeFederation {
  readonly crypto: CryptoPort;
  readonly authority: SigningKey;
  readonly coordinator: SigningKey;
  readonly trust: Trust;
  readonly clients: readonly FakeClient[];
}

export function hash(crypto: CryptoPort, text: string): Sha256 {
  return Buffer.from(crypto.sha256(encodeTuple(text))).toString("hex") as Sha256;
}

export function fakeFederation(size: number, crypto: CryptoPort = new NodeCrypto()): FakeFederation {
  const key = (label: string) => crypto.signingKey(crypto.sha256(encodeTuple("test key", label)));
  const authority = key("authority");
  const federation = federationId(crypto, "test", authority.publicKey);
  const clients = Array.from({ length: size }, (_, i) => {
    const name = `site-${String(i + 1).padStart(2, "0")}` as ClientName;
    const signingKey = key(name);
    const certificate = issueCertificate(authority, {
      federation,
      name,
      key: toBase64(signingKey.publicKey),
      issuedAt: NOW - 1000,
      expiresAt: NOW + 1_000_000,
      serial: (i + 1).toString(16).padStart(16, "0"),
    });
    return { name, signingKey, certificate, log: memoryRoundLog() };
  });
  const trust = { federation, authorityKey: authority.publicKey, revoked: new Set<string>() };
  return { crypto, authority, coordinator: key("coordinator"), trust, clients };
}

export function fakeSession(fed: FakeFederation, changes: Partial<SessionContext> = {}): Session {
  return openSession(fed.crypto, {
    federation: fed.trust.federation as Sha256,
    purpose: "training",
    round: 1,
    attempt: 0,
    parentHash: hash(fed.crypto, "parent"),
    configHash: hash(fed.crypto, "config"),
    previousTranscriptDigest: NO_TRANSCRIPT,
    ...changes,
  });
}

export interface Settings {
  readonly mode: SecureMode;
  readonly minSurvivors: number;
  readonly words: number;
  readonly wordBits: WordBits;
  readonly graph: GraphRule;
}

export const GRAPH = graphRule({ dropoutRate: 0.1, corruptionRate: 0.1 });
/** Bounds that small rosters can keep, so that they are sparse. */
export const SPARSE_GRAPH: GraphRule = {
  dropoutRate: 0.2,
  corruptionRate: 0.15,
  completeUpTo: 0,
  failureBits: 0,
  insecurityBits: 0,
};
export const SETTINGS: Settings = { mode: "malicious", minSurvivors: 3, words: 37, wordBits: 32, graph: GRAPH };

export function fakeRound(
  fed: FakeFederation,
  client: FakeClient,
  session: Session,
  settings: Settings = SETTINGS,
  changes: Partial<ClientRoundOptions> = {},
): ClientRound {
  return new ClientRound({
    crypto: fed.crypto,
    random: fixedSecureRng(fed.crypto, `${client.name} ${session.sid}`),
    session,
    self: client,
    trust: fed.trust,
    plan: {
      mode: settings.mode,
      cohortMax: 64,
      graph: settings.graph,
      words: settings.words,
      wordBits: settings.wordBits,
    },
    site: { minCohort: 3, minSurvivors: settings.minSurvivors, allowVoid: false },
    log: client.log,
    clock: () => NOW,
    ...changes,
  });
}

/** The step during which a client vanishes: its message of that step does not arrive any more. */
export type LostAt = "share-keys" | "masked-input" | "consistency" | "unmask" | null;

/** On a sparse graph a client leaves where too few of its own holders are with it. */
async function leaves(graph: SharingGraph, act: () => unknown): Promise<boolean> {
  try {
    await act();
    return false;
  } catch (error) {
    if (graph.complete || !(isCoded(error, "SECAGG_HOLDERS_FEW") || isCoded(error, "SECAGG_SIGNATURES_FEW")))
      throw error;
    return true;
  }
}

export interface AttemptResult {
  /** Who shared with whom. */
  readonly shared: ReadonlyMap<ClientName, AdmittedShares>;
  /** Null when the attempt failed. */
  readonly sum: Words | null;
  readonly survivors: readonly ClientName[];
  /** What the coordinator ever saw of secrets: shares revealed. */
  readonly revealed: readonly AdmittedUnmask[];
  readonly masked: ReadonlyMap<ClientName, Words>;
  readonly failedAt: string | null;
}

/** One attempt by the book. `lost[i]` is where client i vanishes. */
export async function runAttempt(
  fed: FakeFederation,
  session: Session,
  inputs: readonly Words[],
  settings: Settings = SETTINGS,
  lost: readonly LostAt[] = [],
): Promise<AttemptResult> {
  const { crypto, trust } = fed;
  const { mode, words, minSurvivors, wordBits } = settings;
  const rounds = fed.clients.map((client) => fakeRound(fed, client, session, settings));
  const steps = ["share-keys", "masked-input", "consistency", "unmask"];
  const alive = (i: number, step: string) => {
    const at = lost[i];
    return !at || steps.indexOf(at) > steps.indexOf(step);
  };
  const present = (step: string) => [...fed.clients.keys()].filter((i) => alive(i, step));
  const masked = new Map<ClientName, Words>();
  const revealed: AdmittedUnmask[] = [];
  const shared = new Map<ClientName, AdmittedShares>();
  const name = (i: number) => (fed.clients[i] as FakeClient).name;
  const round = (i: number) => rounds[i] as ClientRound;
  const failed = (failedAt: string, survivors: ClientName[] = []) => ({
    shared,
    sum: null,
    survivors,
    revealed,
    masked,
    failedAt,
  });

  const advertised = await Promise.all(
    rounds.map(async (r) => admitAdvertisement(crypto, trust, session, await r.advertise(), NOW)),
  );
  const roster = announcement.roster(advertised);
  const members = openRoster(crypto, trust, session, roster.entries, NOW);
  const needed = neededSurvivors(members.list.length, mode, minSurvivors);
  const graph = sharingGraph(members.list.length, mode, settings.graph);

  for (const i of fed.clients.keys()) {
    const message = round(i).shareKeys(roster);
    if (alive(i, "share-keys"))
      shared.set(name(i), admitShareKeys(crypto, session, members, message, graph.neighbours));
  }
  if (shared.size < needed) return failed("share-keys");

  const maskedInputs = [];
  for (const i of present("share-keys")) {
    const statements = [...shared]
      .filter(([from]) => from !== name(i))
      .flatMap(([, s]) => s.statementFor(name(i)) ?? []);
    const told = graph.complete ? undefined : [...shared.keys()];
    if (await leaves(graph, () => round(i).acceptShares(announcement.shares(statements, told)))) continue;
    const vector = (inputs[i] as Words).slice();
    const message = await round(i).mask(vector);
    if (!alive(i, "masked-input")) continue;
    masked.set(name(i), vector);
    maskedInputs.push(admitMaskedInput(crypto, session, members, words, message));
  }
  if (masked.size < needed) return failed("masked-input");

  const sharers = [...shared.keys()].toSorted();
  const list = announcement.survivors(
    maskedInputs.map(({ statement }) => statement),
    sharers,
  );
  const survivors = list.survivors.map(({ sender }) => sender);
  const hashes: MaskedHash[] = maskedInputs.map((m) => ({ name: m.statement.sender, hash: m.hash as Sha256 }));
  hashes.sort((a, b) => (a.name < b.name ? -1 : 1));
  const digest = consistencyDigest(crypto, session, members, sharers, hashes);
  const signatures = [];
  for (const i of present("masked-input").filter((at) => masked.has(name(at)))) {
    let message: SignedStep | null = null;
    if (await leaves(graph, () => (message = round(i).confirmSurvivors(list)))) continue;
    const given = message as unknown as SignedStep;
    if (alive(i, "consistency")) signatures.push(admitConsistency(crypto, session, members, digest, given));
  }
  if (signatures.length < graph.limits.selfMask) return failed("consistency", survivors);

  for (const { sender } of signatures) {
    const i = fed.clients.findIndex(({ name: own }) => own === sender);
    const shown = signatures.filter((s) => shared.get(name(i))?.isHeldBy(s.sender));
    let message: SignedStep | null = null;
    if (await leaves(graph, async () => (message = await round(i).reveal(announcement.signatures(shown))))) continue;
    if (!alive(i, "unmask")) continue;
    revealed.push(
      admitUnmask(
        crypto,
        session,
        members,
        { survivors, dropouts: list.dropouts },
        shared,
        message as unknown as SignedStep,
      ),
    );
  }
  if (revealed.length < graph.limits.selfMask) return failed("unmask", survivors);
  const sharing = { limits: graph.limits, shared };
  const names = { survivors, dropouts: list.dropouts };
  const masks = await remainingMasks(crypto, session, members, sharing, names, revealed).catch((error: unknown) => {
    if (isCoded(error, "SECAGG_SHARES_FEW") && !graph.complete) return null;
    throw error;
  });
  if (masks === null) return failed("unmask", survivors);
  const vectors = survivors.map((survivor) => memorySource(masked.get(survivor) as Words));
  const sum = await secureSum(crypto, { wordBits, words }, vectors, masks);
  for (const r of rounds) r.wipe();
  return { shared, sum, survivors, revealed, masked, failedAt: null };
}
