/** Whom a client trusts with shares of its secrets: on a sparse graph it picks them itself, and nobody can foresee whom. */
import type { ClientName } from "../../shared/ids.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import type { Member, Members } from "../../shared/secagg/roster.ts";
import type { SharingGraph } from "../../shared/secagg/sharing-graph.ts";

/** This client and its k neighbours, in roster order; every choice of k others is equally likely. */
export function pickHolders(random: SecureRng, members: Members, self: ClientName, graph: SharingGraph): Member[] {
  if (graph.complete) return [...members.list];
  const others = members.list.filter(({ name }) => name !== self);
  // Fisher-Yates, as far as it is needed.
  for (let i = 0; i < graph.neighbours; i++) {
    const at = i + below(random, others.length - i);
    [others[i], others[at]] = [others[at] as Member, others[i] as Member];
  }
  const picked = new Set([self, ...others.slice(0, graph.neighbours).map(({ name }) => name)]);
  return members.list.filter(({ name }) => picked.has(name));
}

/** A number in [0, limit) without bias; `limit` below 2^16. */
function below(random: SecureRng, limit: number): number {
  const usable = 65_536 - (65_536 % limit);
  for (;;) {
    const [high = 0, low = 0] = random.bytes(2);
    const value = high * 256 + low;
    if (value < usable) return value % limit;
  }
}
