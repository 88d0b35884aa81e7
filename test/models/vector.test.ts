/** How the words of `training` divide a model's weights, and that the vectors are exactly what they say. */
import { afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { lossAndGradient, uncertaintyCount, valuesCount } from "../../client/training/step.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import * as tf from "../../models/engine/tf.ts";
import { prepareSample } from "../../models/preprocess/prepare.ts";
import { randomView } from "../../models/preprocess/augment.ts";
import { renderBatch } from "../../models/preprocess/batch.ts";
import { type BuiltModel, buildModel } from "../../models/registry.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { squares, testConfig } from "./synthetic-samples.ts";

const open: BuiltModel[] = [];
beforeAll(async () => {
  await loadEngine();
});
afterEach(() => {
  for (const built of open.splice(0)) built.dispose();
});

const config = (training: object, over: object = {}) =>
  testConfig({ training: { localSteps: 2, batchSize: 2, ...training }, ...over });

function make(given: FederationConfig, seed = 7): BuiltModel {
  const built = buildModel(given, seed);
  open.push(built);
  return built;
}

const names = ({ tensors }: BuiltModel["layout"]) => tensors.map(({ name }) => name);
const isNorm = (name: string) => /scale$/i.test(name);

describe("what is summed, and what stays", () => {
  let all: BuiltModel["layout"] | null = null;
  const layout = () => (all ??= make(config({})).layout);
  const whole = () => names(layout());

  test.each([
    ["norms", isNorm],
    ["biases", (name: string) => /bias$/i.test(name)],
    ["heads", (name: string) => name.startsWith("head_")],
    ["depth", (name: string) => name.startsWith("head_depth")],
    ["scene", (name: string) => name.startsWith("head_scene")],
  ])("personal %s are no part of the federated vector, and everything else is", (part, mine) => {
    const built = make(config({ personal: [part] }));
    expect(names(built.personal)).toEqual(whole().filter(mine));
    expect(names(built.layout)).toEqual(whole().filter((name) => !mine(name)));
  });

  test("heads alone, but for one that stays", () => {
    const built = make(config({ trainable: "heads", personal: ["scene", "norms"] }));
    expect(names(built.layout).every((name) => name.startsWith("head_") && !isNorm(name))).toBe(true);
    expect(names(built.layout).some((name) => name.startsWith("head_scene"))).toBe(false);
    // Norms of the frozen part are trained, too: they are this site's.
    expect(names(built.personal)).toEqual(whole().filter((name) => isNorm(name) || name.startsWith("head_scene")));
  });

  test("adapters: r (m + n) for every kernel that is larger, heads, norms and biases whole, nothing else", () => {
    const rank = 3;
    const full = layout().tensors;
    const built = make(config({ trainable: "adapters", adapters: { rank } }));
    const expected = full.reduce((sum, { name, shape, size }) => {
      if (name.startsWith("head_") || isNorm(name) || /bias$/i.test(name)) return sum + size;
      if (!/kernel$/i.test(name)) return sum;
      const columns = shape.at(-1) as number;
      return sum + Math.min(size, rank * (size / columns + columns));
    }, 0);
    expect(built.layout.length).toBe(expected);
    const fixed = make(config({ trainable: "adapters", adapters: { rank, down: "fixed", full: [] } })).layout;
    expect(names(fixed).some((name) => /\/adapterDown$|bias$|scale$/i.test(name))).toBe(false);
    expect(fixed.length).toBeLessThan(expected / 2);
  });

  test("batch normalisation: running means and variances stay with their norms, or are summed whatever is trained", () => {
    const zoo = { model: { name: "depth-2d" }, labels: { depth: { kind: "metric" } }, input: { size: [32, 32] } };
    const running = (list: string[]) => list.filter((name) => name.includes("moving_"));
    const shared = make(config({ trainable: "adapters" }, zoo));
    expect(running(names(shared.layout))).toHaveLength(14);
    expect(names(shared.layout).slice(-14)).toEqual(running(names(shared.layout)));
    const own = make(config({ personal: ["norms"] }, zoo));
    expect([running(names(own.layout)), running(names(own.personal)).length]).toEqual([[], 14]);
    // The head of a model of one output is its last layer with weights.
    const head = make(config({ personal: ["heads"] }, zoo));
    expect(names(head.personal).map((name) => name.split("/")[0])).toEqual(["head_depth", "head_depth"]);
  });
});

describe("the vectors", () => {
  const training = { trainable: "adapters", adapters: { rank: 2 }, personal: ["norms"] };

  test("begin as the whole model does: an untouched adapter adds nothing", () => {
    const plain = make(config({}));
    const built = make(config(training));
    built.setParams(built.getParams());
    for (const [i, weight] of plain.model.weights.entries()) {
      const other = built.model.weights[i] as (typeof plain.model.weights)[number];
      expect(other.read().dataSync()).toEqual(weight.read().dataSync());
    }
  });

  test("give back what was set; a wrong length is refused; personal params left out are the initial ones", () => {
    const built = make(config(training));
    const initial = built.getPersonal();
    const rng = Rng.of("values");
    const params = Float32Array.from({ length: built.layout.length }, () => rng.normal());
    const personal = Float32Array.from({ length: built.personal.length }, () => rng.normal());
    built.setParams(params, personal);
    expect([built.getParams(), built.getPersonal()]).toEqual([params, personal]);
    const tensors = tf.memory().numTensors;
    built.setParams(params);
    expect(tf.memory().numTensors).toBe(tensors);
    expect([built.getParams(), built.getPersonal()]).toEqual([params, initial]);
    const wrong = expect.objectContaining({ code: "PARAMS_SHAPE" });
    expect(() => built.setParams(params.subarray(1))).toThrow(wrong);
    expect(() => built.setParams(params, personal.subarray(1))).toThrow(wrong);
  });

  test("the gradient of adapters and personal params agrees with finite differences of the loss", () => {
    const given = config({ ...training, losses: { weights: "fixed" } }, { input: { size: [64, 64] } });
    const built = make(given);
    const rng = Rng.of("gradient");
    const samples = squares(2).map((sample) => prepareSample(sample, given, null));
    const use = { input: true, target: true };
    const views = samples.map((sample) => randomView(sample, rng, use, given.training));
    const batch = renderBatch(samples, views, given, built.strides);
    const size = valuesCount(built);
    const values = new Float32Array(size + uncertaintyCount(given));
    values.set(built.getParams());
    values.set(built.getPersonal(), built.layout.length);
    // Away from zero, where the gradient of the other factor is nothing.
    for (let i = 0; i < built.layout.length; i++) values[i] = (values[i] as number) + 0.05 * rng.normal();
    const { gradient } = lossAndGradient(built, given, values, batch);
    const parts: [string, (i: number) => boolean][] = [
      ["adapters", (i) => slotAt(built, i).includes("/adapter")],
      ["personal", (i) => i >= built.layout.length],
    ];
    for (const [part, chosen] of parts) {
      const direction = gradient.map((value, i) => (chosen(i) ? value : 0));
      const length = Math.sqrt(direction.reduce((sum, value) => sum + value * value, 0));
      expect(length).toBeGreaterThan(0);
      const at = (step: number) =>
        lossAndGradient(
          built,
          given,
          values.map((value, i) => value + (step * (direction[i] as number)) / length),
          batch,
        ).loss;
      const numeric = (at(2e-2) - at(-2e-2)) / 4e-2;
      expect([part, Math.abs(numeric - length) / length]).toEqual([part, expect.closeTo(0, 1)]);
    }
  });
});

function slotAt({ layout }: BuiltModel, index: number): string {
  return layout.tensors.find(({ offset, size }) => index >= offset && index < offset + size)?.name ?? "";
}
