import { beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { byHead } from "../../../models/allulook4/forward.ts";
import { CrossModalFusion } from "../../../models/allulook4/layers/cross-modal.ts";
import { EncoderLayer } from "../../../models/allulook4/layers/transformer.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { runGraph, valuesOf } from "../../../models/explain/graph.ts";
import { attended, attentionOf, rollout } from "../../../models/explain/rollout.ts";
import { feedOf } from "../../../models/feed.ts";
import { type BuiltModel, buildModel } from "../../../models/registry.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { squareSample, testConfig } from "../synthetic-samples.ts";
import { batchOf } from "./known-model.ts";

beforeAll(async () => {
  await loadEngine();
});

const config = testConfig();
const sample = squareSample("a", Rng.of(3));

function make(): BuiltModel {
  const built = buildModel(config, 7);
  const rng = Rng.of("rollout");
  built.setParams(built.getParams().map((value) => value + 0.1 * rng.normal()));
  return built;
}

describe("the graph opened up", () => {
  test("gives what the model gives, to the bit", () => {
    const built = make();
    const feed = feedOf(batchOf(sample, config, built));
    tf.tidy(() => {
      const opened = byHead(built.model, valuesOf(runGraph(built.model, feed, new Map()), built.model.outputs));
      for (const [head, map] of built.apply(feed)) {
        expect([head, [...(opened.get(head) as tf.Tensor).dataSync()]]).toEqual([head, [...map.dataSync()]]);
      }
    });
    built.dispose();
  });

  test("goes on from a value that is given", () => {
    const built = make();
    const feed = feedOf(batchOf(sample, config, built));
    const last = built.model.layers.findLast((layer) => layer instanceof EncoderLayer) as EncoderLayer;
    tf.tidy(() => {
      const { id } = last.output as tf.SymbolicTensor;
      const plain = runGraph(built.model, feed, new Map());
      const moved = runGraph(built.model, feed, new Map([[id, tf.add(plain.get(id) as tf.Tensor, 1)]]));
      const scene = (values: typeof plain) => [
        ...(byHead(built.model, valuesOf(values, built.model.outputs)).get("scene") as tf.Tensor).dataSync(),
      ];
      expect(scene(moved)).not.toEqual(scene(plain));
    });
    built.dispose();
  });
});

/** softmax(q k' / sqrt(d)) of normalised x, in plain numbers: rows [tokens][others], mean over heads. */
function plainAttention(
  x: number[][],
  y: number[][],
  scales: number[][],
  wq: number[][],
  wk: number[][],
  bq: number[],
  bk: number[],
  heads: number,
): number[][] {
  const norm = (row: number[], scale: number[]) => {
    const size = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length + 1e-5);
    return row.map((value, i) => (value / size) * (scale[i] as number));
  };
  const linear = (row: number[], w: number[][], b: number[]) =>
    b.map((bias, k) => row.reduce((sum, value, i) => sum + value * ((w[i] as number[])[k] as number), bias));
  const q = x.map((row) => linear(norm(row, scales[0] as number[]), wq, bq));
  const k = y.map((row) => linear(norm(row, scales[1] as number[]), wk, bk));
  const d = bq.length / heads;
  return q.map((from) => {
    const mean = Array.from(k, () => 0);
    for (let h = 0; h < heads; h++) {
      const part = (row: number[]) => row.slice(h * d, (h + 1) * d);
      const scores = k.map(
        (to) => part(from).reduce((sum, value, i) => sum + value * (part(to)[i] as number), 0) / Math.sqrt(d),
      );
      const powers = scores.map((score) => Math.exp(score - Math.max(...scores)));
      const sum = powers.reduce((a, b) => a + b);
      for (const [i, power] of powers.entries()) mean[i] = (mean[i] as number) + power / sum / heads;
    }
    return mean;
  });
}

describe("attention", () => {
  test("of encoder and fusion is that of the formula", () => {
    const width = 8;
    const rng = Rng.of(9);
    const random = (...shape: number[]) =>
      tf.tensor(
        Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => rng.normal()),
        shape,
      );
    const rows = (tensor: tf.Tensor) => tensor.arraySync() as number[][];
    const list = (tensor: tf.Tensor) => tensor.arraySync() as number[];
    const x = random(1, 5, width);
    const other = random(1, 3, width);
    const encoder = new EncoderLayer({ name: "encoder", heads: 2, feedForward: 4 });
    encoder.apply(x);
    encoder.setWeights(encoder.getWeights().map((weight) => random(...weight.shape)));
    const [scale, qkv, bias] = encoder.getWeights() as [tf.Tensor, tf.Tensor, tf.Tensor];
    const part = (at: number) =>
      [
        rows(qkv).map((row) => row.slice(at * width, (at + 1) * width)),
        list(bias).slice(at * width, (at + 1) * width),
      ] as const;
    const [[wq, bq], [wk, bk]] = [part(0), part(1)];
    const inner = rows(tf.squeeze(x));
    const expected = plainAttention(inner, inner, [list(scale), list(scale)], wq, wk, bq, bk, 2).flat();
    const got = tf.mean(encoder.attention(x), 1).dataSync();
    for (const [i, value] of expected.entries()) expect(got[i]).toBeCloseTo(value, 4);

    const fusion = new CrossModalFusion({ name: "fusion", heads: 2, modality: 1 });
    const presence = tf.tensor2d([[1, 1, 0]]);
    fusion.apply([x, other, presence]);
    fusion.setWeights(fusion.getWeights().map((weight) => random(...weight.shape)));
    const w = fusion.getWeights();
    const keyKernel = rows(w[4] as tf.Tensor).map((row) => row.slice(0, width));
    const crossed = plainAttention(
      inner,
      rows(tf.squeeze(other)),
      [list(w[0] as tf.Tensor), list(w[3] as tf.Tensor)],
      rows(w[1] as tf.Tensor),
      keyKernel,
      list(w[2] as tf.Tensor),
      list(w[5] as tf.Tensor).slice(0, width),
      2,
    ).flat();
    const seen = tf.mean(fusion.attention([x, other, presence]), 1).dataSync();
    for (const [i, value] of crossed.entries()) expect(seen[i]).toBeCloseTo(value, 4);
  });

  test("of all six layers and both fusions, of this model alone", () => {
    const built = make();
    const attention = attentionOf(built, batchOf(sample, config, built));
    expect(attention.layers).toHaveLength(6);
    expect([attention.tokens, attention.depth?.length, attention.text?.length]).toEqual([16, 256, 16 * 32]);
    const sums = attention.layers.flatMap((layer) =>
      Array.from({ length: 16 }, (_, row) => layer.subarray(16 * row, 16 * row + 16).reduce((a, b) => a + b)),
    );
    for (const sum of sums) expect(sum).toBeCloseTo(1, 5);
    const withheld = attentionOf(built, batchOf(sample, config, built, { depth: true, text: true }));
    expect([withheld.depth, withheld.text]).toEqual([null, null]);
    built.dispose();
    const zoo = testConfig({
      model: { name: "depthnet" },
      labels: {},
      input: { size: [128, 128], modalities: ["rgb"] },
    });
    const other = buildModel(zoo, 7);
    expect(() => attentionOf(other, batchOf(sample, zoo, other))).toThrow(
      expect.objectContaining({ code: "MODEL_NO_ATTENTION" }),
    );
    other.dispose();
  });
});

describe("rollout", () => {
  test("is the row times (A + I) / 2 of every layer, from the last to the first", () => {
    const first = new Float32Array([0, 1, 1, 0]);
    const second = new Float32Array([0.5, 0.5, 0, 1]);
    // From token 0: (.75, .25) through the second layer; then each half stays and half goes to the other.
    expect([...rollout({ tokens: 2, layers: [first, second] }, new Float32Array([1, 0]))]).toEqual([0.5, 0.5]);
    expect([...rollout({ tokens: 2, layers: [second, first] }, new Float32Array([0, 1]))]).toEqual([0.375, 0.625]);
  });

  test("keeps the sum, and the row where attention stays at home", () => {
    const row = fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 });
    const normal = (values: number[]) => Float32Array.from(values, (value) => value / values.reduce((a, b) => a + b));
    fc.assert(
      fc.property(
        row,
        fc.array(fc.array(row, { minLength: 4, maxLength: 4 }), { minLength: 1, maxLength: 4 }),
        (from, layers) => {
          const start = normal(from);
          const matrices = layers.map((rows) => Float32Array.from(rows.flatMap((one) => [...normal(one)])));
          const out = rollout({ tokens: 4, layers: matrices }, start);
          expect(out.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
          const home = Float32Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 1 : 0));
          expect([...rollout({ tokens: 4, layers: [home, home] }, start)]).toEqual([...start]);
          expect([...attended(home, 4, start)]).toEqual([...start]);
        },
      ),
    );
  });
});
