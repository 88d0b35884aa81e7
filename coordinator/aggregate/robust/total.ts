/**
 * The robust counterpart of a sum. Its result has the form of one: the words that would have been summed if every client had
 * sent what the rule comes to. So whatever follows a sum (decoding, its checks, the transcript) follows this, too.
 * Every update (or group) counts alike: a rule that believed the weights that clients claim would give a liar as many votes as it likes.
 */
import { CodedError, isCoded } from "../../../shared/errors.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { signedView } from "../../../shared/quantize/fixed-point.ts";
import { newWords, type Words } from "../../../shared/secagg/mask.ts";
import type { AggregateRules } from "../decode.ts";
import { aggregateRobustly, type Block, type Updates } from "./aggregate.ts";
import { judge, type Judged, type VectorReader } from "./judge.ts";
import type { RobustRule } from "./rules.ts";

export interface RobustTotal {
  readonly words: Words;
  readonly survivors: readonly ClientName[];
  /** Vectors that could not be read, or that no honest client sends. */
  readonly rejected: ReadonlyMap<ClientName, CodedError>;
}

/**
 * Of single clients' vectors or of groups' sums. ROUND_TOO_FEW when fewer than `needed` vectors are any good.
 */
export async function robustTotal(
  rules: AggregateRules,
  rule: RobustRule,
  vectors: readonly VectorReader[],
  needed: number,
  pause: () => Promise<void> = async () => {},
): Promise<RobustTotal> {
  const { layout, fixed } = rules;
  const good: (Judged & { vector: VectorReader })[] = [];
  const rejected = new Map<ClientName, CodedError>();
  for (const vector of vectors) {
    try {
      good.push({ vector, ...(await judge(rules, vector, pause)) });
    } catch (error) {
      if (!isCoded(error)) throw error;
      for (const client of vector.clients) rejected.set(client, error);
    }
    await pause();
  }
  if (good.length < needed) {
    const message = `${good.length} usable updates, ${needed} are needed`;
    throw new CodedError("ROUND_TOO_FEW", message, { rejected: [...rejected.keys()] });
  }
  const words = newWords(layout.wordBits, layout.words);
  for (const { tail } of good) {
    for (const [i, word] of tail.entries()) {
      words[layout.coordinates + i] = (words[layout.coordinates + i] as number) + word;
    }
  }
  const scale = fixed.scale * good.reduce((sum, { weight }) => sum + weight, 0);
  const sums = signedView(words);
  await aggregateRobustly(
    rule,
    updatesOf(rules, good),
    (at, values) => {
      for (let i = 0; i < values.length; i++) sums[at + i] = Math.round((values[i] as number) * scale);
    },
    pause,
  );
  return { words, survivors: good.flatMap(({ vector }) => vector.clients), rejected };
}

/** The updates as the clients had them, side by side. */
function updatesOf({ layout, fixed }: AggregateRules, good: readonly (Judged & { vector: VectorReader })[]): Updates {
  const steps = good.map(({ weight }) => fixed.scale * weight);
  return {
    count: good.length,
    async *blocks(): AsyncIterable<Block> {
      const readers = good.map(({ vector }) => iteratorOf(vector.pieces()));
      for (let at = 0; at < layout.coordinates;) {
        const parts: Float32Array[] = [];
        for (const [i, reader] of readers.entries()) {
          const piece = (await reader.next()).value as Words;
          const values = signedView(piece.subarray(0, layout.coordinates - at));
          const step = steps[i] as number;
          const part = new Float32Array(values.length);
          for (let k = 0; k < part.length; k++) part[k] = (values[k] as number) / step;
          parts.push(part);
        }
        yield { at, parts };
        at += (parts[0] as Float32Array).length;
      }
      for (const reader of readers) await reader.return?.();
    },
  };
}

function iteratorOf(pieces: AsyncIterable<Words> | Iterable<Words>): AsyncIterator<Words> | Iterator<Words> {
  return Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]();
}
