/**
 * The sum of a trusted coordinator, made again: every sealed vector is opened with the key that was kept of it, judged as
 * the coordinator had to judge it, and added up, or put through the plan's rule.
 */
import { judge, type VectorReader } from "../aggregate/robust/judge.ts";
import { wordsReader } from "../aggregate/robust/readers.ts";
import type { RobustRule } from "../aggregate/robust/rules.ts";
import { robustTotal } from "../aggregate/robust/total.ts";
import type { AggregateRules } from "../aggregate/decode.ts";
import { isCoded } from "../../shared/errors.ts";
import type { ClientName } from "../../shared/ids.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { newWords, type WordBits, type Words } from "../../shared/secagg/mask.ts";
import { openVectorWith } from "../../shared/secagg/sealed.ts";

export interface SealedInput {
  readonly name: ClientName;
  readonly sealed: Uint8Array;
  /** null: none was kept, as of a vector that nobody can open. */
  readonly key: Uint8Array | null;
}

export interface OpenedTotal {
  readonly words: Words;
  /** Whose vectors are in it, in order. */
  readonly survivors: readonly ClientName[];
}

export interface OpenedRules {
  readonly wordBits: WordBits;
  readonly words: number;
  /** null: the sums of an evaluation, which are not judged. */
  readonly rules: AggregateRules | null;
  /** null: the mean. */
  readonly rule: RobustRule | null;
  readonly needed: number;
}

/** ROUND_TOO_FEW as the round itself. */
export async function openedTotal(
  crypto: CryptoPort,
  { wordBits, words, rules, rule, needed }: OpenedRules,
  inputs: AsyncIterable<SealedInput>,
): Promise<OpenedTotal> {
  const total = newWords(wordBits, words);
  const survivors: ClientName[] = [];
  const readers: VectorReader[] = [];
  for await (const input of inputs) {
    const vector = opened(crypto, wordBits, input);
    if (vector === null || vector.length !== words) continue;
    const reader = wordsReader([input.name], vector);
    if (rule !== null) {
      readers.push(reader);
      continue;
    }
    if (rules !== null && !(await isPossible(rules, reader))) continue;
    for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (vector[i] as number);
    survivors.push(input.name);
  }
  if (rules === null || rule === null) return { words: total, survivors };
  return robustTotal(rules, rule, readers, needed);
}

/** null where it does not open. */
function opened(crypto: CryptoPort, wordBits: WordBits, { name, sealed, key }: SealedInput): Words | null {
  if (key === null) return null;
  try {
    const bytes = openVectorWith(crypto, key, name, sealed);
    return wordBits === 32 ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
  } catch (error) {
    if (isCoded(error)) return null;
    throw error;
  }
}

async function isPossible(rules: AggregateRules, reader: VectorReader): Promise<boolean> {
  try {
    await judge(rules, reader);
    return true;
  } catch (error) {
    if (isCoded(error)) return false;
    throw error;
  }
}
