/** The attack suite, tiny: what attackers send, and that a mean falls where a median stands. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Trainer } from "../../../client/training/trainer.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { l2Norm } from "../../../shared/privacy/clip.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { attackers, ATTACKS, poisoned, type Attack } from "../../../simulations/attacks/attackers.ts";
import { generatePictures, othersThanTarget, patched, SHAPES, TARGET } from "../../../simulations/attacks/pictures.ts";
import { cellsOf, runCell, USUAL_SUITE } from "../../../simulations/attacks/suite.ts";
import { QuadraticTrainer } from "../../fakes/quadratic-trainer.ts";
import { register } from "../../../bin/commands/attack.ts";
import { runCommand } from "../../bin/commands/run-command.ts";

beforeAll(async () => {
  await loadEngine({ threads: 1 });
});

const F = { curvature: [1, 2], minimum: [1, -1] };
const G = { curvature: [1, 2], minimum: [-2, 3] };

async function deltas(attack: Attack): Promise<{ honest: Float32Array[]; sent: Float32Array[] }> {
  const members = [new QuadraticTrainer(F, 2, 0.1), new QuadraticTrainer(G, 2, 0.1)];
  const job = {
    params: new Float32Array(2),
    round: 3,
    rng: Rng.of("job"),
    signal: new AbortController().signal,
    onProgress: () => {},
  };
  const run = (trainers: readonly Trainer[]) => Promise.all(trainers.map(async (one) => (await one.train(job)).delta));
  const honest = await run(members);
  return { honest, sent: await run(attackers({ attack, clients: 10, seed: 1, members: members.map(plain) })) };
}

/** Methods of a class are not copied. */
function plain(trainer: Trainer): Trainer {
  const { layout, examples, evaluationExamples, statistics } = trainer;
  const rest = { layout, examples, evaluationExamples, statistics, dispose: () => {} };
  return {
    ...rest,
    train: (job) => trainer.train(job),
    evaluate: (params, signal) => trainer.evaluate(params, signal),
  };
}

describe("attackers send", () => {
  test.each([
    ["labelFlip", 1],
    ["signFlip", -3],
    ["scaling", 10],
    ["backdoor", 2],
  ] as const)("%s: %i times what they trained", async (attack, factor) => {
    const { honest, sent } = await deltas(attack);
    expect(sent).toEqual(honest.map((delta) => delta.map((value) => factor * value)));
  });

  test("innerProduct: all the same, against the mean of what they would have sent", async () => {
    const { honest, sent } = await deltas("innerProduct");
    const [a, b] = honest as [Float32Array, Float32Array];
    for (const delta of sent) {
      for (const [k, value] of delta.entries()) {
        expect(value).toBeCloseTo(-0.25 * ((a[k] as number) + (b[k] as number)), 6);
      }
    }
  });

  test("noise: long, and other noise each", async () => {
    const { honest, sent } = await deltas("noise");
    expect(l2Norm(sent[0] as Float32Array)).toBeGreaterThan(2 * l2Norm(honest[0] as Float32Array));
    expect(sent[0]).not.toEqual(sent[1]);
  });
});

describe("poisoned data", () => {
  const pictures = generatePictures(40, "test");

  test("wrong labels are the next class", () => {
    for (const attack of ["labelFlip", "scaling"] as const) {
      const { labels, values } = poisoned(attack, pictures);
      expect(values).toEqual(pictures.values);
      expect(labels.every((label, i) => label === ((pictures.labels[i] as number) + 1) % SHAPES.length)).toBe(true);
    }
  });

  test("a backdoor adds half of the pictures with patch and target", () => {
    const { count, labels } = poisoned("backdoor", pictures);
    expect(count).toBe(60);
    expect(labels.subarray(40).every((label) => label === TARGET)).toBe(true);
    const others = othersThanTarget(pictures);
    expect([...others.labels]).toEqual([...pictures.labels].filter((label) => label !== TARGET));
    expect(patched(others).values.at(-1)).toBe(1.5);
  });
});

const TINY = {
  ...USUAL_SUITE,
  clients: { trusted: 5, grouped: 9 },
  rounds: 4,
  picturesPerClient: 60,
  testPictures: 120,
  shares: [0.4],
};

test("a mean falls where a median stands", async () => {
  const accuracy = async (rule: "mean" | "median") =>
    (await runCell(TINY, { mode: "trusted", rule, attack: "scaling", share: 0.4 })).accuracy as number;
  const plain = (await runCell(TINY, { mode: "trusted", rule: "mean", attack: null, share: 0 })).accuracy as number;
  const [mean, median] = [await accuracy("mean"), await accuracy("median")];
  expect(plain).toBeGreaterThan(0.5);
  expect(median).toBeGreaterThan(mean + 0.1);
}, 60_000);

test("a median of groups stands, too, with one bad client among nine", async () => {
  const cell = { mode: "grouped", attack: "scaling", share: 0.12 } as const;
  const mean = (await runCell(TINY, { ...cell, rule: "mean" })).accuracy as number;
  const median = (await runCell(TINY, { ...cell, rule: "median" })).accuracy as number;
  expect(median).toBeGreaterThan(mean + 0.1);
}, 60_000);

test("a rule that needs more clients is left out", async () => {
  const result = await runCell(TINY, { mode: "trusted", rule: "bulyan", attack: "noise", share: 0.4 });
  expect([result.accuracy, result.backdoor]).toEqual([null, null]);
  expect(cellsOf(USUAL_SUITE)).toHaveLength(2 * (9 + 9 * ATTACKS.length * 3));
});

test("a suite that is stopped says so, and records nothing of the federation under way", async () => {
  const stopped = AbortSignal.abort();
  const cell = { mode: "trusted", rule: "mean", attack: null, share: 0 } as const;
  await expect(runCell(TINY, cell, stopped)).rejects.toMatchObject({ code: "INTERRUPTED" });
});

test("the command measures, writes the page, and goes on where it was interrupted", async () => {
  const out = await mkdtemp(join(tmpdir(), "attacked-"));
  try {
    const command = [
      "attack",
      "table",
      "--modes",
      "trusted",
      "--clients",
      "4",
      "--rounds",
      "1",
      "--steps",
      "1",
      "--percent",
      "25",
      "--out",
      out,
    ];
    const first = await runCommand(register, ...command, "--rules", "median", "--attacks", "signFlip", "--json");
    expect(first.code).toBe(0);
    expect(JSON.parse(first.out).results).toHaveLength(2);
    const again = await runCommand(register, ...command, "--rules", "median", "mean", "--attacks", "signFlip");
    expect(again.err).not.toContain("trusted median,");
    expect(again.out).toContain("| `mean` |");
    expect(await readFile(join(out, "robustness.md"), "utf8")).toContain("--rules median mean --attacks signFlip");
    const other = await runCommand(register, ...command, "--seed", "8", "--rules", "mean", "--attacks", "noise");
    expect([other.code, other.err]).toEqual([2, expect.stringContaining("another setting")]);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}, 60_000);
