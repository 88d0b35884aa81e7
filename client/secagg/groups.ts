/** What a client checks where its cohort is summed in groups, before it reveals anything. */
import { CodedError } from "../../shared/errors.ts";
import type { ClientName } from "../../shared/ids.ts";
import type { GroupRule } from "../../shared/secagg/groups.ts";
import type { Session } from "../../shared/secagg/session.ts";
import type { RoundLogEntry } from "./round-log.ts";

/**
 * SECAGG_GROUP_SMALL when any group has too few survivors, not only this client's own: all reveal for all.
 * SECAGG_RETRY_ISOLATES when another attempt of the round was revealed: with another roster the groups are others, and
 * the sums of both would tell single clients apart.
 */
export function checkGroups(
  log: readonly RoundLogEntry[],
  { purpose, round, attempt }: Pick<Session, "purpose" | "round" | "attempt">,
  groups: readonly (readonly ClientName[])[],
  rule: GroupRule,
  survivors: readonly ClientName[],
): void {
  checkGroupSizes("survive", groups, rule, survivors);
  const before = log.some(
    (entry) =>
      entry.type === "revealed" && entry.purpose === purpose && entry.round === round && entry.attempt !== attempt,
  );
  if (before) {
    throw new CodedError("SECAGG_RETRY_ISOLATES", `round ${round} was revealed before, in other groups`, { round });
  }
}

/** SECAGG_GROUP_SMALL when too few of any group are among `names`. */
export function checkGroupSizes(
  what: "shared keys" | "survive",
  groups: readonly (readonly ClientName[])[],
  { minSurvivors: expected }: GroupRule,
  names: readonly ClientName[],
): void {
  const listed = new Set(names);
  for (const group of groups) {
    const got = group.filter((name) => listed.has(name)).length;
    if (got >= expected) continue;
    const message = `${got} of the group ${group.join(", ")} ${what}, needed ${expected}`;
    throw new CodedError("SECAGG_GROUP_SMALL", message, { group, got, expected });
  }
}
