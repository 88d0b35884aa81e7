/** Writes a session's transcript (`shared/secagg/transcript.ts`) from what the coordinator saw of it. */
import type { ClientName } from "../../shared/ids.ts";
import { statementOf, type SignedStep, type Statement } from "../../shared/secagg/signed.ts";
import type { Transcript } from "../../shared/secagg/transcript.ts";
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
    mode: sum.mode,
    invited: sum.invited,
    advertised: statements(sum.advertised),
    shared: "shared" in sum ? sortedNames(Object.keys(sum.shared)) : [],
    maskedInputs:
      "inputs" in sum
        ? sortedNames(Object.keys(sum.inputs)).map((n) => statementOf(present(sum.inputs, n).signed))
        : [],
    consistency: "signatures" in sum ? statements(sum.signatures) : [],
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

function statements(steps: ByClient<SignedStep>): Statement[] {
  return sortedNames(Object.keys(steps)).map((name) => statementOf(present(steps, name)));
}

function present<T>(record: ByClient<T>, name: ClientName): T {
  return record[name] as T;
}
