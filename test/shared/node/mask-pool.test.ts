import { describe, expect, test } from "@jest/globals";
import { MessageChannel } from "node:worker_threads";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { Thread } from "../../../shared/node/mask-pool.ts";
import { serveMasks } from "../../../shared/node/mask-service.ts";
import { addMasks, bytesOf, newWords, type Mask } from "../../../shared/secagg/mask.ts";

const crypto = new NodeCrypto();
const masks = (): Mask[] =>
  [1, 2, 3].map((fill) => ({ key: new Uint8Array(32).fill(fill), sign: fill === 2 ? (-1 as const) : (1 as const) }));

/** Both ends of a channel, on this thread. */
function service() {
  const { port1, port2 } = new MessageChannel();
  serveMasks(port2, crypto);
  return { thread: new Thread(port1), close: () => port1.close() };
}

describe("masking at the other end of a port", () => {
  test.each([
    [32, 3_000_001],
    [32, 262_144],
    [16, 5_000_003],
    [32, 1],
  ] as const)("%i bits, %i words: in place, as on this thread, several at once", async (bits, length) => {
    const { thread, close } = service();
    const inputs = [0, 7].map((seed) => newWords(bits, length).map((_, i) => i * 31 + seed));
    const expected = inputs.map((words) => words.slice());
    for (const words of expected) addMasks(crypto, words, masks());
    const digests = await Promise.all(inputs.map((words) => thread.mask(words, masks())));
    for (const [i, words] of inputs.entries()) {
      const want = bytesOf(expected[i] as typeof words);
      expect(Buffer.compare(bytesOf(words), want)).toBe(0);
      expect(digests[i]).toEqual(crypto.sha256(want));
    }
    expect(thread.load).toBe(0);
    close();
  });

  test("a thread that breaks fails what it had under way", async () => {
    const { thread, close } = service();
    const masking = thread.mask(newWords(32, 1_000_000), masks());
    thread.fail(new Error("the thread broke"));
    await expect(masking).rejects.toThrow("the thread broke");
    close();
  });
});
