/** Per-example gradients in one pass against one example at a time. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { comeApart, exampleGradients, oneByOne } from "../../../client/training/example-gradients.ts";
import { lossAndGradient, uncertaintyCount, valuesCount } from "../../../client/training/step.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { plainView, randomView } from "../../../models/preprocess/augment.ts";
import { renderBatch } from "../../../models/preprocess/batch.ts";
import { prepareSample } from "../../../models/preprocess/prepare.ts";
import { buildModel } from "../../../models/registry.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { squares, testConfig, unlabelled } from "../../models/synthetic-samples.ts";

beforeAll(async () => {
  await loadEngine();
});

function setting(over: Record<string, unknown>, samples = squares(4)) {
  const config = testConfig(over);
  const built = buildModel(config, 7);
  const prepared = samples.map((sample) => prepareSample(sample, config));
  const rng = Rng.of("views");
  const use = { input: config.input.modalities.includes("depth"), target: config.labels.depth.kind !== "none" };
  const views = prepared.map((sample, i) =>
    i === 0 ? plainView(sample, { depth: use.target }) : randomView(sample, rng, use, config.training),
  );
  const batch = renderBatch(prepared, views, config, built.strides);
  const values = new Float32Array(valuesCount(built) + uncertaintyCount(config));
  values.set(built.getParams());
  values.set(built.getPersonal(), built.layout.length);
  values.fill(0.1, valuesCount(built));
  return { config, built, batch, values };
}

const difference = (a: Float32Array, b: Float32Array) =>
  Math.sqrt(a.reduce((s, x, i) => s + (x - (b[i] as number)) ** 2, 0));
const norm = (a: Float32Array) => Math.sqrt(a.reduce((s, x) => s + x * x, 0));

describe("per-example gradients equal one-by-one gradients to 1e-5", () => {
  test.each([
    ["nano, all heads, learned task weights", true, {}],
    [
      "nano, fixed task weights, focal and Dice",
      true,
      {
        training: {
          batchSize: 4,
          losses: {
            weights: { segmentation: 1, detection: 0.5, depth: 2, scene: 0.1 },
            segmentation: ["focal", "dice"],
          },
        },
      },
    ],
    ["nano, adapters", true, { training: { trainable: "adapters", batchSize: 4 } }],
    ["nano, personal norms", true, { training: { personal: ["norms"], batchSize: 4 } }],
    [
      "a model of the zoo, example by example",
      false,
      {
        model: { name: "dpt" },
        input: { size: [64, 64], modalities: ["rgb"] },
        labels: { depth: { kind: "relative" } },
      },
    ],
  ])("%s", (_, inOnePass, over) => {
    const { config, built, batch, values } = setting(over);
    try {
      const together = exampleGradients(built, config, values, batch);
      expect(comeApart(built)).toBe(inOnePass);
      const before = tf.memory().numTensors;
      exampleGradients(built, config, values, batch);
      expect(tf.memory().numTensors).toBe(before);
      const apart = oneByOne(built, config, values, batch);
      for (const [i, { gradient, loss }] of together.entries()) {
        const plain = apart[i] as (typeof apart)[number];
        expect(norm(plain.gradient)).toBeGreaterThan(1e-3);
        expect(difference(gradient, plain.gradient) / norm(plain.gradient)).toBeLessThan(1e-5);
        expect(loss).toBeCloseTo(plain.loss, 4);
      }
    } finally {
      built.dispose();
    }
  });

  test("an example without labels has no gradient, in one pass or alone", () => {
    const [first, second] = squares(2) as [ReturnType<typeof squares>[0], ReturnType<typeof squares>[0]];
    const { config, built, batch, values } = setting({}, [first, unlabelled(second)]);
    try {
      const [labelled, other] = exampleGradients(built, config, values, batch);
      expect(norm((labelled as { gradient: Float32Array }).gradient)).toBeGreaterThan(0);
      expect(norm((other as { gradient: Float32Array }).gradient)).toBe(0);
    } finally {
      built.dispose();
    }
  });

  test("a plain step after a noted one is what it was before", () => {
    const { config, built, batch, values } = setting({});
    try {
      const before = lossAndGradient(built, config, values, batch).gradient;
      exampleGradients(built, config, values, batch);
      expect(lossAndGradient(built, config, values, batch).gradient).toEqual(before);
    } finally {
      built.dispose();
    }
  });
});
