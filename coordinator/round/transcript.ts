/** Writes a session's transcript (`shared/secagg/transcript.ts`) from what the coordinator saw of it. */
import type { ClientName } from "../../shared/ids.ts";
import { hashOfText } from "../../shared/canonical.ts";
import { statementOf, type SignedStep, type Statement } from "../../shared/secagg/signed.ts";
import { graphOf } from "./phases/phase.ts";
import type { DigestStatement, Transcript } from "../../shared/secagg/transcript.ts";
import { sortedNames } from "./rules.ts";
import type { ByClient, Reason, Sum, SumComplete } from "./state.ts";

/** Lists are sorted by name, so that the same session has the same digest wherever it is written down. */
export function transcriptOf(
  sum: Sum | SumComplete,
  outcome: Transcript["outcome"],
  reason: Reason | null,
  result: Transcript["result"],
): Transcript {
  return {
    schema: 1,
    session: sum.session,
    sid: sum.sid,
    version: sum.version,
    startedAt: Math.floor(sum.startedAt),
    mode: sum.mode,
    minRoster: sum.minRoster,
    minSurvivors: sum.minSurvivors,
    ...sharingOf(sum),
    revoked: sum.revoked,
    invited: [...sum.invited],
    advertised: statements(sum.advertised),
    shared: "shared" in sum ? digests(sum.shared) : [],
    maskedInputs:
      "inputs" in sum
        ? sortedNames(Object.keys(sum.inputs)).map((n) => statementOf(present(sum.inputs, n).signed))
        : [],
    consistency: "signatures" in sum ? statements(sum.signatures) : [],
    revealed: "reveals" in sum ? digests(sum.reveals) : [],
    excluded: sortedNames(Object.keys(sum.excluded)).map((client) => ({
      client,
      code: present(sum.excluded, client).code,
    })),
    accusations: sortedNames(Object.keys(sum.excluded)).flatMap(
      (client) => present(sum.excluded, client).accusation?.signed ?? [],
    ),
    outcome,
    reason,
    result,
  };
}

function sharingOf(sum: Sum | SumComplete): Pick<Transcript, "thresholds" | "graph"> {
  const graph = sum.phase === "advertising-keys" ? null : graphOf(sum, Object.keys(sum.advertised).length);
  if (graph === null) return { thresholds: null };
  const limits = { thresholds: { ...graph.limits } };
  if (graph.complete || sum.graph === undefined) return limits;
  const { dropoutRate, corruptionRate } = sum.graph;
  return { ...limits, graph: { dropoutRate, corruptionRate } };
}

/** Shares are many and long: their authors signed the hash of their text. */
function digests(steps: ByClient<SignedStep>): DigestStatement[] {
  return statements(steps).map(({ sender, payload, signature }) => ({
    sender,
    payloadHash: hashOfText(payload),
    signature,
  }));
}

function statements(steps: ByClient<SignedStep>): Statement[] {
  return sortedNames(Object.keys(steps)).map((name) => statementOf(present(steps, name)));
}

function present<T>(record: ByClient<T>, name: ClientName): T {
  return record[name] as T;
}
