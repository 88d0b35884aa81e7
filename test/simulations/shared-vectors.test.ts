import { describe, expect, test } from "@jest/globals";
import type { FederationState, RoundEvent } from "../../coordinator/round/state.ts";
import { isCoded } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { bytesOf, type Words } from "../../shared/secagg/mask.ts";
import { SharedVectors } from "../../simulations/shared-vectors.ts";

const never = new AbortController().signal;
const name = (i: number) => String(i).padStart(64, "0") as Sha256;

/** What the coordinator tells once a client's vector counts. */
function counted(client: string, sid: string, vector: Sha256): [RoundEvent, FederationState] {
  const sum = { sid, phase: "collecting-masked-inputs", inputs: { [client]: { vector } } };
  const state = { current: { phase: "training", sum } } as unknown as FederationState;
  return [{ type: "step", client, vector: { hash: vector, bytes: 0 } } as unknown as RoundEvent, state];
}

async function made(vectors: SharedVectors, ...values: number[]): Promise<Words> {
  const words = await vectors.room(values.length, never);
  words.set(values);
  return words;
}

describe("vectors in the coordinator's own memory", () => {
  test.each([32, 16] as const)("add up mod 2^%i, and more clients than there is room for take turns", async (bits) => {
    const vectors = new SharedVectors(bits, 1, 0);
    const memory = new Set<ArrayBufferLike>();
    const clients = Array.from({ length: 7 }, async (_, i) => {
      const words = await made(vectors, i, 2 ** bits - 1, 5);
      memory.add(words.buffer);
      vectors.adopt(name(i), bytesOf(words));
      await Promise.resolve();
      vectors.heard(...counted(`c${i}`, "a", name(i)));
    });
    await Promise.all(clients);
    const names = Array.from({ length: 7 }, (_, i) => name(i));
    expect([...vectors.sum("a", names)]).toEqual([21, 2 ** bits - 7, 35]);
    // The sum itself stays in the first one's memory.
    expect(memory.size).toBeLessThanOrEqual(3);
  });

  test("a vector that counts nowhere is left out, and the next session begins from nothing", async () => {
    const vectors = new SharedVectors(32, 0);
    vectors.adopt(name(1), bytesOf(await made(vectors, 1, 2)));
    vectors.adopt(name(2), bytesOf(await made(vectors, 10, 20)));
    vectors.heard(...counted("c1", "a", name(1)));
    // Heard, but another one stands in the state.
    const [event] = counted("c2", "a", name(2));
    vectors.heard(event, counted("c2", "a", name(9))[1]);
    expect([...vectors.sum("a", [name(1)])]).toEqual([1, 2]);
    vectors.adopt(name(3), bytesOf(await made(vectors, 7, 7)));
    expect([...vectors.sum("b", [name(3)])]).toEqual([7, 7]);
  });

  test("a sum is given once, and never without one of its vectors", async () => {
    const vectors = new SharedVectors(32, 0);
    vectors.adopt(name(1), bytesOf(await made(vectors, 1)));
    const sum = (names: Sha256[]) => {
      try {
        return [...vectors.sum("a", names)];
      } catch (error) {
        return isCoded(error) ? error.code : error;
      }
    };
    expect(sum([name(1), name(2)])).toBe("WIRE_HASH");
    expect(sum([name(1)])).toEqual([1]);
    expect(sum([name(1)])).toBe("WIRE_HASH");
  });

  test("who leaves frees its place; who waits can leave, too", async () => {
    const vectors = new SharedVectors(32, 0, 0);
    const [holder, waiter] = [new AbortController(), new AbortController()];
    const held = await vectors.room(4, holder.signal);
    const waiting = vectors.room(4, waiter.signal);
    waiter.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    const next = vectors.room(4, never);
    holder.abort(new Error("gone"));
    // A thread may still write to what was held.
    expect((await next).buffer).not.toBe(held.buffer);
  });

  test("an end that comes late frees nobody else's place", async () => {
    const vectors = new SharedVectors(32, 0, 0);
    const [first, third] = [new AbortController(), new AbortController()];
    const vector = await vectors.room(1, first.signal);
    vectors.adopt(name(1), bytesOf(vector));
    vectors.sum("a", [name(1)]);
    vectors.adopt(name(2), bytesOf(await made(vectors, 3)));
    // The first one's memory is lent again.
    vectors.sum("b", [name(2)]);
    await vectors.room(1, never);
    first.abort();
    const waiting = vectors.room(1, third.signal);
    third.abort(new Error("still waiting"));
    await expect(waiting).rejects.toThrow("still waiting");
  });

  test("what never counted is given up once the session after next begins", async () => {
    const vectors = new SharedVectors(32, 0);
    vectors.adopt(name(1), bytesOf(await made(vectors, 1)));
    vectors.adopt(name(2), bytesOf(await made(vectors, 2)));
    expect([...vectors.sum("a", [name(1)])]).toEqual([1]);
    vectors.adopt(name(3), bytesOf(await made(vectors, 3)));
    expect([...vectors.sum("b", [name(3)])]).toEqual([3]);
    expect(() => vectors.sum("c", [name(2)])).toThrow(expect.objectContaining({ code: "WIRE_HASH" }));
  });
});
