/**
 * From revealed shares to the masks that are still in the sum: b of every survivor, and the pairwise masks between
 * each dropout and each survivor that is its neighbour. Each secret is checked against what its owner advertised.
 */
import { CodedError } from "../../shared/errors.ts";
import type { ClientName } from "../../shared/ids.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { equalBytes } from "../../shared/secagg/encoding.ts";
import { negated, pairwiseMask, selfMask, type Mask } from "../../shared/secagg/mask.ts";
import type { Member, Members } from "../../shared/secagg/roster.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { combine } from "../../shared/secagg/shamir.ts";
import { commitToSelfMask } from "../../shared/secagg/share-box.ts";
import { pointOf } from "../../shared/secagg/sharing-graph.ts";
import type { Thresholds } from "../../shared/secagg/thresholds.ts";
import type { AdmittedUnmask, RevealedShare } from "./admit.ts";
import type { AdmittedShares } from "./admitted-shares.ts";

/** Who shared with whom, and how many shares give back a secret. */
export interface Sharing {
  readonly limits: Thresholds;
  /** By owner. */
  readonly shared: ReadonlyMap<ClientName, AdmittedShares>;
}

/**
 * The masks that, applied to the sum of the survivors' masked vectors, leave the sum of their vectors.
 * SECAGG_SHARES_FEW while too few survivors revealed; SECAGG_SECRET_FALSE names an owner whose committed shares do not
 * give the secret it advertised.
 * @param pause awaited after each owner's secret: a few milliseconds at most
 */
export async function remainingMasks(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  sharing: Sharing,
  list: { readonly survivors: readonly ClientName[]; readonly dropouts: readonly ClientName[] },
  revealed: readonly AdmittedUnmask[],
  pause: () => Promise<void> = async () => {},
): Promise<Mask[]> {
  const { limits } = sharing;
  const masks: Mask[] = [];
  const seedShares = byOwner(revealed.flatMap((r) => r.selfMask));
  for (const name of list.survivors) {
    const owner = member(members, name);
    const seed = reconstruct(sharing, owner, limits.selfMask, seedShares.get(name));
    if (!equalBytes(commitToSelfMask(crypto, session.sid, name, seed), owner.selfMask)) throw falseSecret(name);
    masks.push(negated(selfMask(crypto, session.sid, seed)));
    seed.fill(0);
    await pause();
  }
  const keyShares = byOwner(revealed.flatMap((r) => r.maskKey));
  for (const name of list.dropouts) {
    const owner = member(members, name);
    const secret = reconstruct(sharing, owner, limits.maskKey, keyShares.get(name));
    const key = crypto.agreementKey(secret);
    secret.fill(0);
    if (!equalBytes(key.publicKey, owner.maskKey)) throw falseSecret(name);
    // What the dropout would have applied cancels what each survivor applied for their pair.
    for (const survivor of list.survivors) {
      if (!neighbours(sharing, name, survivor)) continue;
      const peer = member(members, survivor);
      const shared = key.agree(peer.maskKey);
      if (!shared) throw falseSecret(survivor);
      masks.push(pairwiseMask(crypto, session.sid, shared, owner, peer));
      shared.fill(0);
    }
    await pause();
  }
  return masks;
}

/** Masks are made by both where one of the two picked the other. */
function neighbours({ shared }: Sharing, one: ClientName, other: ClientName): boolean {
  const picked = (from: ClientName, to: ClientName) => shared.get(from)?.isHeldBy(to) === true;
  return picked(one, other) || picked(other, one);
}

function reconstruct(
  { shared }: Sharing,
  owner: Member,
  threshold: number,
  shares: readonly RevealedShare[] = [],
): Uint8Array {
  if (shares.length < threshold) {
    throw new CodedError("SECAGG_SHARES_FEW", `${shares.length} shares of ${owner.name}, needed ${threshold}`, {
      client: owner.name,
      got: shares.length,
      expected: threshold,
    });
  }
  const used = shares.slice(0, threshold);
  const holders = shared.get(owner.name)?.holders ?? [];
  const points = new Map(holders.map((holder, place) => [holder, pointOf(place)]));
  return combine(
    used.map(({ holder }) => points.get(holder) ?? 0),
    used.map(({ share }) => share),
  );
}

function byOwner(shares: readonly RevealedShare[]): Map<ClientName, RevealedShare[]> {
  const out = new Map<ClientName, RevealedShare[]>();
  for (const share of shares) {
    const held = out.get(share.owner);
    if (held === undefined) out.set(share.owner, [share]);
    else held.push(share);
  }
  return out;
}

function member(members: Members, name: ClientName): Member {
  const found = members.byName.get(name);
  if (!found) throw new Error(`${name} is not in the roster`);
  return found;
}

function falseSecret(client: ClientName): CodedError {
  return new CodedError("SECAGG_SECRET_FALSE", `the shares that ${client} committed to do not give its secret`, {
    client,
  });
}
