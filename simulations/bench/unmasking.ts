/**
 * The coordinator's unmasking alone: from the shares that the survivors of a complete graph revealed to the sum, and how
 * long the event loop was held meanwhile. The first words of the vectors are really masked, so that the sum is checked.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { AdmittedUnmask, RevealedShare } from "../../coordinator/aggregate/admit.ts";
import { AdmittedShares } from "../../coordinator/aggregate/admitted-shares.ts";
import { memorySource, secureSum, type Unmasker } from "../../coordinator/aggregate/secure-sum.ts";
import { remainingMasks } from "../../coordinator/aggregate/unmask.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { MaskPool } from "../../shared/node/mask-pool.ts";
import { addMasks, pairwiseMask, selfMask } from "../../shared/secagg/mask.ts";
import type { Member, Members } from "../../shared/secagg/roster.ts";
import { NO_TRANSCRIPT, openSession } from "../../shared/secagg/session.ts";
import { commitToSelfMask } from "../../shared/secagg/share-box.ts";
import { split } from "../../shared/secagg/shamir.ts";
import { pointOf } from "../../shared/secagg/sharing-graph.ts";
import { thresholds } from "../../shared/secagg/thresholds.ts";
import { cohortNames, vanishes } from "./cohort.ts";
import type { Figures } from "./suite.ts";

const CHECKED = 64;

/** @param threads that unmask; 0: this one */
export async function unmasking(clients: number, params: number, threads: number): Promise<Figures> {
  const crypto = new NodeCrypto();
  const random = systemRandom();
  const zero = "0".repeat(64) as Sha256;
  const hashes = { federation: zero, parentHash: zero, configHash: zero, previousTranscriptDigest: NO_TRANSCRIPT };
  const session = openSession(crypto, { ...hashes, purpose: "training", round: 1, attempt: 1 });
  const secrets = cohortNames(clients).map((name) => {
    const seed = random.bytes(32);
    const secret = random.bytes(32);
    return { name, seed, secret, key: crypto.agreementKey(secret) };
  });
  const list: Member[] = secrets.map(({ name, seed, key }) => ({
    name,
    signingKey: new Uint8Array(32),
    boxKey: key.publicKey,
    maskKey: key.publicKey,
    selfMask: commitToSelfMask(crypto, session.sid, name, seed),
  }));
  const members: Members = { list, byName: new Map(list.map((m) => [m.name, m])), digest: new Uint8Array(32) };
  const gone = new Set(secrets.flatMap(({ name }, i) => (vanishes(i) ? [name] : [])));
  const survivors = secrets.filter(({ name }) => !gone.has(name));

  const limits = thresholds(clients, "malicious");
  // Everybody holds shares of everybody; what is in them plays no part here.
  const holders = list.map(({ name }) => name);
  const shared = new Map<ClientName, AdmittedShares>(
    holders.map((owner) => [owner, new AdmittedShares({ owner, holders, payloads: [], signed: [] })]),
  );
  const revealed = new Map<ClientName, { selfMask: RevealedShare[]; maskKey: RevealedShare[] }>(
    survivors.map(({ name }) => [name, { selfMask: [], maskKey: [] }]),
  );
  for (const { name: owner, seed, secret } of secrets) {
    const kind = gone.has(owner) ? "maskKey" : "selfMask";
    const others = list
      .map(({ name }, place) => ({ name, point: pointOf(place) }))
      .filter(({ name }) => name !== owner);
    const points = others.map(({ point }) => point);
    const shares = split(random, kind === "maskKey" ? secret : seed, points, limits[kind]);
    for (const [i, { name: holder }] of others.entries()) {
      revealed.get(holder)?.[kind].push({ owner, holder, share: shares[i] as Uint8Array });
    }
  }

  // Every survivor masks the first words of a vector of ones.
  const vectors = survivors.map((own) => {
    const words = new Uint32Array(params).fill(1);
    const pairs = secrets.flatMap((peer) => {
      if (peer.name === own.name) return [];
      const agreed = own.key.agree(peer.key.publicKey) as Uint8Array;
      const party = ({ name, key }: typeof peer) => ({ name, maskKey: key.publicKey });
      return [pairwiseMask(crypto, session.sid, agreed, party(own), party(peer))];
    });
    addMasks(crypto, words.subarray(0, CHECKED), [selfMask(crypto, session.sid, own.seed), ...pairs]);
    return memorySource(words);
  });

  const pool = new MaskPool(threads);
  const unmasker: Unmasker | null = threads > 0 ? { threads, mask: pool.mask } : null;
  const pause = () => new Promise<void>((done) => setImmediate(done));
  // The threads start, and code is compiled, before the clock does.
  await secureSum(crypto, { wordBits: 32, words: params }, [], warmUp(16), pause, unmasker);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  await pause();
  delay.enable();
  const started = performance.now();
  const names = { survivors: survivors.map(({ name }) => name), dropouts: [...gone] };
  const given: AdmittedUnmask[] = [...revealed.values()];
  const masks = await remainingMasks(crypto, session, members, { limits, shared }, names, given, pause);
  const opened = performance.now();
  const sum = await secureSum(crypto, { wordBits: 32, words: params }, vectors, masks, pause, unmasker);
  const over = performance.now();
  delay.disable();
  await pool.close();
  const wrong = sum.subarray(0, CHECKED).findIndex((word) => word !== survivors.length);
  if (wrong >= 0) throw new Error(`the sum is wrong at ${wrong}`);
  return {
    clients,
    dropouts: gone.size,
    masks: masks.length,
    threads,
    seconds: (over - started) / 1000,
    secondsSecrets: (opened - started) / 1000,
    longestPauseMs: delay.max / 1e6,
  };
}

function warmUp(masks: number): { key: Uint8Array; sign: 1 | -1 }[] {
  return Array.from({ length: masks }, (_, i) => ({ key: new Uint8Array(32).fill(i), sign: i % 2 === 0 ? 1 : -1 }));
}
