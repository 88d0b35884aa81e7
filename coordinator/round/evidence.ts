/**
 * What a session's sum was made of, for `evidence/NNNN-PURPOSE-ATTEMPT/`: with it anyone can make the sum, the step and
 * the version again (`coordinator/transcript/recompute.ts`). It gives away no more than the sum: masks between survivors
 * stay on, and of nobody both secrets were revealed.
 *
 *   steps.json        the clients' share-keys and unmask steps, whose hashes stand in the transcript
 *   inputs/NAME.bin   the survivors' masked vectors
 *   setting.json      the training plan and the names and shapes of the params
 *   link.json         training: the signed chain link
 *   before.state      training: the server's state before the step (and `after.state`)
 *   parent.params     training: R that was trained from, canonical bytes
 */
import { canonicalJson } from "../../shared/canonical.ts";
import { planOf, planText } from "../../shared/config/plan.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { statementOf, type SignedStep } from "../../shared/secagg/signed.ts";
import type { CoordinatorParts } from "./parts.ts";
import { names } from "./phases/phase.ts";
import type { ByClient, Effect, MaskedInput } from "./state.ts";

/** A file's path in its folder, and its bytes. */
export type EvidenceFile = readonly [path: string, bytes: Uint8Array];

/** One file after the other: a vector is as large as the model. */
export async function* evidenceFiles(
  { blobs, chain, config, layout }: Pick<CoordinatorParts, "blobs" | "chain" | "config" | "layout">,
  { sum, commit }: Extract<Effect, { type: "keep-evidence" }>,
): AsyncGenerator<EvidenceFile> {
  yield ["steps.json", json({ shared: statements(sum.shared), revealed: statements(sum.reveals) })];
  const tensors = layout.tensors.map(({ name, shape }) => ({ name, shape: [...shape] }));
  yield ["setting.json", json({ plan: planText(planOf(config)), tensors })];
  for (const name of names(sum.inputs)) {
    yield [`inputs/${name}.bin`, await blobs.get((sum.inputs[name] as MaskedInput).vector)];
  }
  if (commit === null) return;
  yield ["link.json", json(chain.link(commit.version))];
  yield ["before.state", await blobs.get(commit.serverStateBefore as Sha256)];
  yield ["after.state", await blobs.get(commit.serverState as Sha256)];
  yield ["parent.params", await blobs.get(sum.session.parentHash)];
}

function statements(steps: ByClient<SignedStep>): ReturnType<typeof statementOf>[] {
  return names(steps).map((name) => statementOf(steps[name] as SignedStep));
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(canonicalJson(value));
}
