/** Every input that once made a decoder fail, and a short look for new ones; `npm run fuzz` looks longer. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { isCoded } from "../../shared/errors.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { fault } from "./fault.ts";
import { mutate } from "./mutate.ts";
import { targets, type Target } from "./targets.ts";

const CRASHES = "test/fuzz/crashes";
const cases = existsSync(CRASHES) ? readdirSync(CRASHES).filter((name) => name.endsWith(".bin")) : [];
let all: Record<string, Target>;
beforeAll(async () => {
  all = await targets();
});

test("a decoder that fails in another way than by a coded error is found", async () => {
  const bad: Target = { examples: [], read: (bytes) => BigInt((bytes[0] as number) + 0.5) };
  expect(await fault(bad, new Uint8Array([1]))).toContain("RangeError");
});

test("the examples are read, or refused with a code", async () => {
  expect(Object.keys(all).length).toBeGreaterThan(35);
  let read = 0;
  for (const target of Object.values(all)) {
    for (const example of target.examples) {
      try {
        await target.read(example);
        read++;
      } catch (error) {
        expect(isCoded(error)).toBe(true);
      }
    }
  }
  const examples = Object.values(all).reduce((sum, target) => sum + target.examples.length, 0);
  // The model of one's own is a sketch that its schema refuses.
  expect(read).toBe(examples - 1);
});

describe("what once failed", () => {
  test.each([...cases, ""])("%s", async (file) => {
    if (file === "") return;
    const name = Object.keys(all).find((target) => file.startsWith(`${target}-`) && file.length === target.length + 17);
    const target = all[name ?? ""];
    if (target === undefined) throw new Error(`no target of ${file}`);
    expect(await fault(target, readFileSync(join(CRASHES, file)))).toBe(null);
  });
});

test("some hundred changed examples for every decoder", async () => {
  for (const [name, target] of Object.entries(all)) {
    const rng = Rng.of(7, name);
    const pick = () => target.examples[rng.uint32() % target.examples.length] as Uint8Array;
    for (let i = 0; i < 60; i++) expect([name, await fault(target, mutate(rng, pick(), pick()))]).toEqual([name, null]);
  }
});
