/**
 * Whom an attempt that failed is repeated without, where clients accused each other. Honest clients never accuse each other:
 * every accusation has a liar at one of its ends, and no honest client is in more of them than there are liars. So
 * whoever is in more than the attempt tolerates is a liar, accused or accusing; of any other pair nobody can say
 * which of the two it is, and both sit out: a lie about one client costs its author its own place.
 */
import type { ClientName } from "../../../shared/ids.ts";
import { sortedNames } from "../rules.ts";
import type { ByClient, Exclusion, Reason, Sum, SumComplete } from "../state.ts";
import { rosterOf } from "./advertising-keys.ts";
import { thresholds } from "../../../shared/secagg/thresholds.ts";

/** When the newest accusation came; null: nobody accused anybody. */
export function lastAccusation(sum: Sum | SumComplete): number | null {
  const times = Object.values(sum.excluded as Record<string, Exclusion>).flatMap((exclusion) =>
    exclusion.accusation === undefined ? [] : [exclusion.at],
  );
  return times.length === 0 ? null : Math.max(...times);
}

/** Those who are left out of the round's further attempts because of accusations, each with the reason. */
export function blamed(sum: Sum | SumComplete, at: number): ByClient<Exclusion> {
  const accusations = accusationsOf(sum);
  const size = rosterOf(sum).length;
  // With one liar among three nobody is tolerated, but two against one can still be told apart.
  const mostLiars = Math.max(1, size - (sum.mode === "off" ? 0 : thresholds(size, sum.mode).selfMask));
  const opponents = new Map<ClientName, Set<ClientName>>();
  const oppose = (one: ClientName, other: ClientName): void => {
    opponents.set(one, (opponents.get(one) ?? new Set()).add(other));
  };
  for (const { accuser, accused } of accusations) {
    oppose(accuser, accused);
    oppose(accused, accuser);
  }
  const out: Record<ClientName, Exclusion> = {};
  const leaveOut = (client: ClientName, { code, message }: Reason): void => {
    out[client] ??= { code, message, at, lasting: "round" };
  };
  for (const client of sortedNames(opponents.keys())) {
    if ((opponents.get(client)?.size ?? 0) <= mostLiars) continue;
    const against = accusations.filter(({ accused }) => accused === client);
    const [first] = against;
    if (first !== undefined && against.length > mostLiars) {
      const message = `${client} is accused by ${against.map(({ accuser }) => accuser).join(", ")}`;
      leaveOut(client, { code: first.code, message });
    } else {
      const message = `${client} is at odds with ${[...(opponents.get(client) ?? [])].join(", ")}`;
      leaveOut(client, { code: "SECAGG_ACCUSES", message });
    }
  }
  for (const { accuser, accused } of accusations) {
    if (out[accuser] !== undefined || out[accused] !== undefined) continue;
    const reason = { code: "SECAGG_DISPUTE", message: `${accuser} accuses ${accused}, and nobody else decides it` };
    leaveOut(accuser, reason);
    leaveOut(accused, reason);
  }
  return out;
}

interface Accused {
  readonly accuser: ClientName;
  readonly accused: ClientName;
  readonly code: string;
}

/** Sorted by accuser, then by accused. */
function accusationsOf(sum: Sum | SumComplete): Accused[] {
  return sortedNames(Object.keys(sum.excluded)).flatMap((accuser) => {
    const { accusation } = sum.excluded[accuser] as Exclusion;
    if (accusation === undefined) return [];
    return sortedNames(new Set(accusation.about)).map((accused) => ({ accuser, accused, code: accusation.code }));
  });
}
