/**
 * Who shares secrets with how many: everybody with everybody in a small roster, and in a larger one with k neighbours
 * that each client picks at random itself (Bell, Bonawitz, Gascón, Lepoint, Raykova 2020, "Secure Single-Server
 * Aggregation with (Poly)Logarithmic Overhead", the malicious variant). k is the smallest number with which a round
 * fails with probability <= 2^-20 and is insecure with probability <= 2^-40; docs/protocol.md has the proof and a table.
 */
import { CodedError } from "../errors.ts";
import { log2Choose, log2Sum, log2Tail } from "./hypergeometric.ts";
import { thresholds, type SecureMode, type Thresholds } from "./thresholds.ts";

/** What a federation expects of its clients, and what it accepts. */
export interface GraphRule {
  /** Share of a roster that may vanish in a round. */
  readonly dropoutRate: number;
  /** Share of a roster that may be in league with the coordinator. */
  readonly corruptionRate: number;
  /** Everybody shares with everybody up to this roster. */
  readonly completeUpTo: number;
  /** A round fails with probability <= 2^-failureBits. */
  readonly failureBits: number;
  /** Some client's update is not protected with probability <= 2^-insecurityBits. */
  readonly insecurityBits: number;
}

/** The complete graph is used up to this roster. */
export const COMPLETE_UP_TO = 64;
/** Holders of one secret, at most: points of secret sharing over GF(2^8). */
const MOST_HOLDERS = 255;

/** The rule of a federation with these rates. */
export function graphRule(rates: { readonly dropoutRate: number; readonly corruptionRate: number }): GraphRule {
  const { dropoutRate, corruptionRate } = rates;
  return { dropoutRate, corruptionRate, completeUpTo: COMPLETE_UP_TO, failureBits: 20, insecurityBits: 40 };
}

/** The graph of one roster. */
export interface SharingGraph {
  readonly complete: boolean;
  /** k: how many others hold shares of one client's secrets; that client itself is a holder, too. */
  readonly neighbours: number;
  /** How many of the k + 1 holders give back b, and how many of the k others s. */
  readonly limits: Thresholds;
}

/** The point in secret sharing of the holder at this place of an owner's sorted holders, the owner among them. */
export function pointOf(place: number): number {
  return place + 1;
}

/** Probabilities as log2. */
export interface GraphRisk {
  /** Some secret that is needed cannot be reconstructed. */
  readonly failure: number;
  /** Of some honest client both secrets can be reconstructed (malicious), or one that was not asked for. */
  readonly secrets: number;
  /** The honest survivors' masks fall into parts whose sums could be told apart. */
  readonly parts: number;
}

/** What can go wrong with k neighbours each in a roster of n. */
export function graphRisk(n: number, k: number, mode: SecureMode, rule: GraphRule): GraphRisk {
  const { failure, secrets } = countedRisk(n, k, mode, rule);
  return { failure, secrets, parts: partsRisk(n, k, mode, rule) };
}

function countedRisk(n: number, k: number, mode: SecureMode, rule: GraphRule): Omit<GraphRisk, "parts"> {
  const { selfMask, maskKey } = thresholds(k + 1, mode);
  const gone = headcount(n, rule.dropoutRate);
  const corrupt = headcount(n, rule.corruptionRate);
  const others = n - 1;
  // A survivor has a share of its own b; of a client that is gone only its neighbours can give back a secret.
  const failure = log2Sum([
    Math.log2(n - gone) + log2Tail(others, gone, k, k + 2 - selfMask),
    Math.log2(gone) + log2Tail(others, Math.max(0, gone - 1), k, k + 1 - maskKey),
  ]);
  // Malicious: each honest holder gives a share of one kind, each corrupt one of both; both secrets need 2t <= k + 1 + c.
  const enough = mode === "malicious" ? selfMask + maskKey - k - 1 : Math.min(selfMask, maskKey);
  const secrets = Math.log2(n - corrupt) + log2Tail(others, corrupt, k, enough);
  return { failure, secrets };
}

/**
 * A part of the honest survivors that shares no mask with the rest: over all choices of a part with m members.
 * Malicious: whoever else vanishes, each member has its t - 1 other holders that reveal within the part or among the
 * corrupt. Semi-honest: clients vanish by chance, and nobody in the part has picked anybody of the rest, or the reverse.
 */
function partsRisk(n: number, k: number, mode: SecureMode, rule: GraphRule): number {
  const corrupt = headcount(n, rule.corruptionRate);
  const honest = n - corrupt - (mode === "malicious" ? 0 : headcount(n, rule.dropoutRate));
  const needed = thresholds(k + 1, mode).selfMask - 1;
  const avoids = (others: number) => log2Choose(n - 1 - others, k) - log2Choose(n - 1, k);
  const terms: number[] = [];
  for (let m = 1; 2 * m <= honest; m++) {
    const part =
      mode === "malicious"
        ? m * log2Tail(n - 1, m - 1 + corrupt, k, needed)
        : m * avoids(honest - m) + (honest - m) * avoids(m);
    terms.push(log2Choose(honest, m) + part);
  }
  return log2Sum(terms);
}

/** Cohorts whose rosters and lists fit the messages of the protocol. */
const MOST_CLIENTS = 2_000;

/** Refuses a configuration under which a roster could have no graph: CONFIG_INVALID names the field. */
export function checkGraph(cohort: { readonly max: number }, mode: SecureMode, rule: GraphRule): void {
  if (cohort.max > MOST_CLIENTS) {
    const expected = `at most ${MOST_CLIENTS} with secure aggregation`;
    throw new CodedError("CONFIG_INVALID", `schedule.cohort.max: expected ${expected}, got ${cohort.max}`, {
      field: "schedule.cohort.max",
      expected,
      got: cohort.max,
    });
  }
  // k grows with the roster, up to rounding.
  for (let n = cohort.max; n > MOST_HOLDERS; n -= Math.ceil(n / 8)) sharingGraph(n, mode, rule);
}

/** Floor, but 0.1 of 1,000 is 100. */
function headcount(n: number, rate: number): number {
  return Math.floor(n * rate + 1e-9);
}

const known = new Map<string, SharingGraph>();
/** Rosters of a process have few sizes. */
const KEPT = 256;

/**
 * The graph that every party derives from the size of the advertised roster.
 * CONFIG_INVALID names the rate that no number of neighbours up to 254 is enough for.
 */
export function sharingGraph(rosterSize: number, mode: SecureMode, rule: GraphRule): SharingGraph {
  const { completeUpTo, failureBits, insecurityBits, dropoutRate, corruptionRate } = rule;
  const name = [rosterSize, mode, completeUpTo, failureBits, insecurityBits, dropoutRate, corruptionRate].join();
  const before = known.get(name);
  if (before !== undefined) return before;
  const graph = derived(rosterSize, mode, rule);
  if (known.size >= KEPT) known.clear();
  known.set(name, graph);
  return graph;
}

function derived(n: number, mode: SecureMode, rule: GraphRule): SharingGraph {
  const k = n <= rule.completeUpTo ? null : fewestNeighbours(n, mode, rule);
  if (k !== null) return { complete: false, neighbours: k, limits: thresholds(k + 1, mode) };
  if (n <= Math.max(MOST_HOLDERS, rule.completeUpTo)) {
    return { complete: true, neighbours: n - 1, limits: thresholds(n, mode) };
  }
  const { failure } = countedRisk(n, MOST_HOLDERS - 1, mode, rule);
  const field = failure > -rule.failureBits ? "dropoutRate" : "corruptionRate";
  const expected = `a lower rate for ${n} clients: a client can have at most ${MOST_HOLDERS - 1} neighbours`;
  throw new CodedError("CONFIG_INVALID", `secureAggregation.${field}: expected ${expected}, got ${rule[field]}`, {
    field: `secureAggregation.${field}`,
    expected,
    got: rule[field],
  });
}

/** Null where fewer than everybody are not enough. */
function fewestNeighbours(n: number, mode: SecureMode, rule: GraphRule): number | null {
  for (let k = 2; k <= Math.min(n - 2, MOST_HOLDERS - 1); k++) {
    const { failure, secrets } = countedRisk(n, k, mode, rule);
    if (failure > -rule.failureBits || secrets > -rule.insecurityBits) continue;
    if (log2Sum([secrets, partsRisk(n, k, mode, rule)]) <= -rule.insecurityBits) return k;
  }
  return null;
}
