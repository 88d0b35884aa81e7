/**
 * The sum of a trusted coordinator, made again: every sealed vector is opened with the key that was kept of it, judged as
 * the coordinator had to judge it, and added up, or put through the plan's rule.
 */
import { z } from "zod";
import type { AggregateRules } from "../aggregate/decode.ts";
import { judge, type VectorReader } from "../aggregate/robust/judge.ts";
import { wordsReader } from "../aggregate/robust/readers.ts";
import { robustRule } from "../aggregate/robust/rules.ts";
import { robustTotal } from "../aggregate/robust/total.ts";
import type { TrainingPlan } from "../../shared/config/plan.ts";
import { isCoded } from "../../shared/errors.ts";
import { clientName, type ClientName } from "../../shared/ids.ts";
import { sha256Of } from "../../shared/release/ports.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { fromBase64 } from "../../shared/secagg/encoding.ts";
import { bytesOf, newWords, type Words } from "../../shared/secagg/mask.ts";
import { openVectorWith } from "../../shared/secagg/sealed.ts";
import { base64Of } from "../../shared/secagg/signed.ts";
import type { CheckedSession } from "../../shared/transcript/session.ts";
import { short, wrong, type KeptFiles } from "./kept-files.ts";

const keysFile = z.record(clientName, base64Of(32));

export interface OpenedSum {
  readonly words: Words;
  /** Whose vectors are in it, in order. */
  readonly survivors: readonly ClientName[];
}

/**
 * What the transcript says that the sum was, and of whom; else TRANSCRIPT_EVIDENCE, or ROUND_TOO_FEW as the round itself.
 *
 * @param rules null for the sums of an evaluation, which are not judged
 */
export async function openedSum(
  crypto: CryptoPort,
  checked: CheckedSession,
  files: KeptFiles,
  plan: Pick<TrainingPlan, "secureAggregation" | "aggregation">,
  rules: AggregateRules | null,
): Promise<OpenedSum> {
  const inputs = checked.inputs();
  const { result, minSurvivors } = checked.transcript;
  if (result === null) throw new Error("the session came to nothing");
  const { wordBits } = plan.secureAggregation;
  const room = newWords(wordBits, rules?.layout.words ?? inputs[0]?.words ?? 0);
  const readers = readersOf(crypto, checked, files, room);
  const rule = rules === null ? null : robustRule(plan.aggregation);
  const total =
    rules === null || rule === null
      ? await added(room, rules, readers)
      : await robustTotal(rules, rule, await allOf(readers), minSurvivors);
  const { rejected, sum } = result;
  for (const { name } of inputs) {
    const [said, found] = [!rejected.includes(name), total.survivors.includes(name)];
    if (said === found) continue;
    const [told, is] = said ? ["part of", "unfit for"] : ["left out of", "fit for"];
    wrong("result.rejected", `the vector of ${name} is said to be ${told} the sum, and is ${is} it`);
  }
  const got = sha256Of(crypto, bytesOf(total.words));
  if (got !== sum) wrong("result.sum", `the vectors come to ${short(got)}, the transcript says ${short(sum)}`);
  return total;
}

/** Those that open, and are as long as the sum. */
async function* readersOf(
  crypto: CryptoPort,
  checked: CheckedSession,
  files: KeptFiles,
  sum: Words,
): AsyncGenerator<VectorReader> {
  const keys = await files.json("opened.json", keysFile);
  for (const { name, hash } of checked.inputs()) {
    const path = `inputs/${name}.bin`;
    const sealed = await files.bytes(path);
    if (sha256Of(crypto, sealed) !== hash) wrong(path, `these are not the bytes that ${name} signed`);
    const key = keys[name] === undefined ? null : fromBase64(keys[name]);
    const bytes = key === null ? null : await passing(() => openVectorWith(crypto, key, name, sealed));
    if (bytes?.length !== sum.byteLength) continue;
    const words = sum instanceof Uint32Array ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
    yield wordsReader([name], words);
  }
}

async function allOf<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

/** Into `total`, one after the other: a vector is as large as the model. */
async function added(
  total: Words,
  rules: AggregateRules | null,
  readers: AsyncIterable<VectorReader>,
): Promise<OpenedSum> {
  const survivors: ClientName[] = [];
  for await (const reader of readers) {
    if (rules !== null && (await passing(() => judge(rules, reader))) === null) continue;
    let at = 0;
    for await (const piece of reader.pieces()) {
      for (let i = 0; i < piece.length; i++) total[at + i] = (total[at + i] as number) + (piece[i] as number);
      at += piece.length;
    }
    survivors.push(...reader.clients);
  }
  return { words: total, survivors };
}

/** null where it throws a coded error: the coordinator had to leave such a vector out. */
async function passing<T>(work: () => T | Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (isCoded(error)) return null;
    throw error;
  }
}
