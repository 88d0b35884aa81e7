/**
 * What a coordinator that sees an update, or the sum of a group, can tell of it: whether honest clients can have sent it.
 * They would have made it by `client/update/encode.ts`.
 */
import { CodedError } from "../../../shared/errors.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { signedView } from "../../../shared/quantize/fixed-point.ts";
import type { Words } from "../../../shared/secagg/mask.ts";
import { readReal, readStatistics } from "../../../shared/secagg/vector-layout.ts";
import { SHARE } from "../../../shared/strategies/scaling.ts";
import { impossibleShare, type AggregateRules } from "../decode.ts";

/** A vector, read from the beginning as often as wanted, in pieces that begin where those of all others do. */
export interface VectorReader {
  /** Whose it is, or, of a group's sum, all whose it is. */
  readonly clients: readonly ClientName[];
  pieces(): AsyncIterable<Words> | Iterable<Words>;
}

/** What comes after the coordinates: the weight, then the statistics. */
export interface Judged {
  readonly weight: number;
  readonly tail: Words;
}

/** Bytes looked at between two pauses: some milliseconds. */
const BYTES_PER_PAUSE = 4 << 20;

/** UPDATE_IMPOSSIBLE names the client and what is wrong; UPDATE_SHAPE, and whatever reading throws. */
export async function judge(
  rules: AggregateRules,
  vector: VectorReader,
  pause: () => Promise<void> = async () => {},
): Promise<Judged> {
  const { layout, fixed, clipNorm } = rules;
  const { clients } = vector;
  const client = clients.join(", ");
  const tail: Words[] = [];
  let at = 0;
  let largest = 0;
  let squares = 0;
  let passed = 0;
  for await (const words of vector.pieces()) {
    const values = signedView(words.subarray(0, Math.max(0, layout.coordinates - at)));
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      largest = Math.max(largest, Math.abs(value));
      squares += value * value;
    }
    if (values.length < words.length) tail.push(words.slice(values.length));
    at += words.length;
    passed += words.byteLength;
    if (passed < BYTES_PER_PAUSE) continue;
    passed = 0;
    await pause();
  }
  if (at !== layout.words) {
    const details = { client, expected: layout.words, got: at };
    throw new CodedError("UPDATE_SHAPE", `the vector of ${client} has ${at} words, expected ${layout.words}`, details);
  }
  const [first] = tail;
  const whole = tail.length === 1 && first !== undefined ? first : joined(tail);
  const weight = whole[0] as number;
  const most = clients.length * fixed.maxWeight;
  const impossible = (what: string, expected: unknown, got: unknown): CodedError =>
    new CodedError("UPDATE_IMPOSSIBLE", `${client}: ${what} is ${String(got)}, expected ${String(expected)}`, {
      client,
      expected,
      got,
    });
  if (weight < clients.length || weight > most) throw impossible("its weight", `${clients.length} to ${most}`, weight);
  if (largest > fixed.qMax * weight) throw impossible("its largest coordinate", fixed.qMax * weight, largest);
  const norm = Math.sqrt(squares) / (fixed.scale * weight);
  // Every q is rounded by at most half a step.
  const limit = clipNorm === null ? Infinity : clipNorm + (0.5 / fixed.scale) * Math.sqrt(layout.coordinates);
  if (norm > limit * (1 + 1e-6)) throw impossible("its norm", clipNorm, norm);
  const largestLimb = clients.length * (2 ** layout.limbs.bits - 1);
  const { clipBitAt, coordinates } = layout;
  const limbs = whole.subarray(1, clipBitAt === null ? undefined : clipBitAt - coordinates);
  const limb = limbs.find((word) => word > largestLimb);
  if (limb !== undefined) throw impossible("a part of a statistic", `at most ${largestLimb}`, limb);
  const bit = clipBitAt === null ? 0 : Math.abs(signedView(whole)[clipBitAt - coordinates] as number);
  const expectedBit = rules.noisy?.grid.bit ?? 0;
  if (clipBitAt !== null && bit !== expectedBit)
    throw impossible("its clipping bit", `plus or minus ${expectedBit}`, bit);
  const statistics = readStatistics({ ...layout, statisticsAt: layout.statisticsAt - layout.coordinates }, whole);
  const share = readReal(statistics, SHARE);
  const shares = impossibleShare(rules, share, weight, clients.length);
  if (shares !== null) throw impossible("its share", shares.join(" to "), share);
  return { weight, tail: whole };
}

function joined(parts: readonly Words[]): Words {
  const [first] = parts;
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const out = first instanceof Uint16Array ? new Uint16Array(length) : new Uint32Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
