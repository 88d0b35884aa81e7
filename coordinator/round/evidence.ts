/**
 * What a session's sum was made of, for `evidence/NNNN-PURPOSE-ATTEMPT/`: with it anyone can make the sum, the step and
 * the version again (`coordinator/transcript/recompute.ts`). Under secure aggregation it gives away no more than the sum:
 * masks between survivors stay on, and of nobody both secrets were revealed. Without, it is all that the trusted
 * coordinator knows: every single update, and the noise.
 *
 *   steps.json        the clients' share-keys and unmask steps, whose hashes stand in the transcript
 *   inputs/NAME.bin   the survivors' masked vectors
 *   opened.json       without secure aggregation: the key of every sealed vector, which opens that one alone
 *   noise.json        the seed of the noise that a trusted coordinator added, to which the session's id commits it
 *   setting.json      the training plan and the names and shapes of the params
 *   link.json         training: the signed chain link
 *   before.state      training: the server's state before the step (and `after.state`)
 *   parent.params     training: R that was trained from, canonical bytes
 */
import { canonicalJson } from "../../shared/canonical.ts";
import { planOf, planText } from "../../shared/config/plan.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { isCoded } from "../../shared/errors.ts";
import { toBase64 } from "../../shared/secagg/encoding.ts";
import { sealedVectorKey } from "../../shared/secagg/sealed.ts";
import { statementOf, type SignedStep } from "../../shared/secagg/signed.ts";
import type { CoordinatorParts } from "./parts.ts";
import { names } from "./phases/phase.ts";
import type { ByClient, Effect, MaskedInput } from "./state.ts";

/** A file's path in its folder, and its bytes. */
export type EvidenceFile = readonly [path: string, bytes: Uint8Array];

/** One file after the other: a vector is as large as the model. */
export async function* evidenceFiles(
  parts: Pick<CoordinatorParts, "blobs" | "chain" | "config" | "layout" | "crypto" | "keys">,
  { sum, commit }: Extract<Effect, { type: "keep-evidence" }>,
): AsyncGenerator<EvidenceFile> {
  const { blobs, chain, config, layout } = parts;
  yield ["steps.json", json({ shared: statements(sum.shared), revealed: statements(sum.reveals) })];
  const tensors = layout.tensors.map(({ name, shape }) => ({ name, shape: [...shape] }));
  yield ["setting.json", json({ plan: planText(planOf(config)), tensors })];
  const opened: Record<string, string> = {};
  for (const name of names(sum.inputs)) {
    const bytes = await blobs.get((sum.inputs[name] as MaskedInput).vector);
    yield [`inputs/${name}.bin`, bytes];
    if (sum.mode !== "off") continue;
    try {
      opened[name] = toBase64(sealedVectorKey(parts.crypto, sum.sid, name, parts.keys.box, bytes));
    } catch (error) {
      // It was left out of the sum for that very reason.
      if (!isCoded(error)) throw error;
    }
  }
  if (sum.mode === "off") yield ["opened.json", json(opened)];
  if (sum.noiseSeed !== undefined) yield ["noise.json", json({ seed: sum.noiseSeed })];
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
