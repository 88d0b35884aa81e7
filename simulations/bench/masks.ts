/** Speed of the mask stream and of masking a whole vector, against memcpy in the same run. */
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { addMasks, newWords, type Mask, type WordBits } from "../../shared/secagg/mask.ts";
import { median, seconds } from "./clock.ts";
import type { Figures } from "./suite.ts";

const BLOCK = 65_536;
const TOTAL = 1 << 30;

function key(index: number): Uint8Array {
  return new Uint8Array(32).fill(index + 1);
}

function memcpyGigabytes(): number {
  const from = new Uint8Array(256 << 20).fill(1);
  const to = new Uint8Array(from.length);
  to.set(from);
  return from.length / 1e9 / median(5, () => to.set(from));
}

export function maskStream(): Figures {
  const stream = new NodeCrypto().maskStream(key(0));
  stream.next(BLOCK);
  const elapsed = seconds(() => {
    for (let done = 0; done < TOTAL; done += BLOCK) stream.next(BLOCK);
  });
  return { streamGBps: TOTAL / 1e9 / elapsed, memcpyGBps: memcpyGigabytes() };
}

/** The self mask and one mask for each neighbour. */
export function masking(params: number, neighbours: number, wordBits: WordBits): Figures {
  const crypto = new NodeCrypto();
  const masks: Mask[] = Array.from({ length: neighbours + 1 }, (_, i) => ({ key: key(i), sign: i % 2 === 0 ? 1 : -1 }));
  const vector = newWords(wordBits, params);
  const elapsed = median(3, () => addMasks(crypto, vector, masks));
  return {
    seconds: elapsed,
    maskGBps: (vector.byteLength * masks.length) / 1e9 / elapsed,
    memcpyGBps: memcpyGigabytes(),
  };
}
