/** Mutations of a fuzzer: bytes flipped, cut, doubled, spliced; in JSON also values exchanged for strange ones. */
import type { Rng } from "../../shared/rng/rng.ts";

const below = (rng: Rng, limit: number): number => (limit <= 0 ? 0 : rng.uint32() % limit);

/** Bytes that parsers trip over: limits of lengths and signs, ends of text, braces. */
const BYTES = [0, 1, 0x0a, 0x22, 0x2d, 0x2e, 0x30, 0x5b, 0x5c, 0x65, 0x7b, 0x7d, 0x7f, 0x80, 0xc3, 0xff];
const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  0.5,
  1e21,
  -0,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  "",
  "a",
  "\u0000",
  "../../etc/passwd",
  "A".repeat(43),
  "0".repeat(64),
  [],
  [[]],
  {},
  { __proto__: null },
  { toString: 1 },
];

/** A changed copy of one of the examples; `other` may be spliced in. */
export function mutate(rng: Rng, example: Uint8Array, other: Uint8Array): Uint8Array {
  let bytes = rng.uint32() % 3 === 0 ? (mutateJson(rng, example) ?? example) : example;
  for (let times = below(rng, 4); times >= 0; times--) bytes = mutateBytes(rng, bytes, other);
  return bytes;
}

function mutateBytes(rng: Rng, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  const at = below(rng, bytes.length + 1);
  const length = below(rng, rng.uint32() % 4 === 0 ? bytes.length - at + 1 : 9);
  const rest = bytes.subarray(Math.min(bytes.length, at + length));
  const head = bytes.subarray(0, at);
  switch (below(rng, 7)) {
    case 0: {
      const out = bytes.slice();
      if (at < out.length) out[at] = (out[at] as number) ^ (1 << below(rng, 8));
      return out;
    }
    case 1: {
      const out = bytes.slice();
      if (at < out.length) out[at] = BYTES[below(rng, BYTES.length)] as number;
      return out;
    }
    case 2:
      return head.slice();
    case 3:
      return Buffer.concat([head, rest]);
    case 4:
      return Buffer.concat([head, bytes.subarray(at, at + length), bytes.subarray(at)]);
    case 5: {
      const from = below(rng, other.length + 1);
      return Buffer.concat([head, other.subarray(from, from + length), rest]);
    }
    default: {
      const insert = Uint8Array.from({ length }, () => BYTES[below(rng, BYTES.length)] as number);
      return Buffer.concat([head, insert, bytes.subarray(at)]);
    }
  }
}

/** One value of the document exchanged, left out or doubled; null where the example is no JSON. */
function mutateJson(rng: Rng, example: Uint8Array): Uint8Array | null {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(example).toString("utf8"));
  } catch {
    return null;
  }
  const places: { holder: Record<string, unknown>; key: string }[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const key of Object.keys(value)) {
      places.push({ holder: value as Record<string, unknown>, key });
      visit((value as Record<string, unknown>)[key]);
    }
  };
  visit(document);
  const place = places[below(rng, places.length)];
  if (place === undefined) return null;
  const { holder, key } = place;
  const from = places[below(rng, places.length)] as (typeof places)[number];
  switch (below(rng, 4)) {
    case 0:
      holder[key] = VALUES[below(rng, VALUES.length)];
      break;
    case 1:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      break;
    case 2:
      // Of a copy: a value that holds itself is no JSON.
      holder[key] = structuredClone(from.holder[from.key]);
      break;
    default:
      if (typeof holder[key] === "string") holder[key] = holder[key].repeat(2 + below(rng, 50));
      else if (typeof holder[key] === "number") holder[key] = -(holder[key] * 1_000);
      else holder[`${key}x`] = holder[key];
  }
  return Buffer.from(JSON.stringify(document));
}
