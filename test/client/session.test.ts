import { afterEach, describe, expect, test } from "@jest/globals";
import { decodeAggregate } from "../../coordinator/aggregate/decode.ts";
import { fixedPoint, weightOf } from "../../shared/quantize/fixed-point.ts";
import { deriveModel } from "../../shared/quantize/model.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { decodeEvaluation, evaluationLayout } from "../../shared/secagg/evaluation-vector.ts";
import { trainingLayout } from "../../shared/secagg/vector-layout.ts";
import { ByTheBook } from "../fakes/session-round.ts";
import { SessionWorld, until, type Site } from "../fakes/session-world.ts";

let world: SessionWorld;
afterEach(() => world.stop());

async function readySites(count: number): Promise<Site[]> {
  const sites = Array.from({ length: count }, (_, i) => world.site(i));
  await Promise.all(sites.map((site) => world.ready(site)));
  return sites;
}

const coordinates = 42;
const training = trainingLayout({ wordBits: 32, cohortMax: 8, coordinates });
const fixed = fixedPoint({ wordBits: 32, cohortMax: 8, maxWeight: 64, coordinateBound: 1 });

describe("a session through a round", () => {
  test("four of five sites survive: the sum is the mean of the survivors' deltas", async () => {
    world = await SessionWorld.open(5);
    const sites = await readySites(5);
    const round = new ByTheBook(world, world.open(), training.words);
    const sum = await round.sum(sites.slice(0, 4), sites.slice(4));
    const mean = decodeAggregate({ layout: training, fixed, clipNorm: null }, sum, 4);
    const deltas = sites.slice(0, 4).map(({ client }) => {
      const rng = Rng.of(world.config.seed, "train", client.name, 1);
      return Array.from({ length: coordinates }, () => (rng.uniform() - 0.5) / 4);
    });
    for (let i = 0; i < coordinates; i++) {
      const expected = deltas.reduce((total, delta) => total + (delta[i] as number), 0) / 4;
      expect(mean.meanDelta[i]).toBeCloseTo(expected, 5);
    }
    expect(mean).toMatchObject({ examples: 4 * 24, examplesSeen: 4 * 48, loss: 1.5 });
    expect(mean.totalWeight).toBe(4 * weightOf(24, 8, 64));
    expect(sites.map(({ trainer }) => trainer.trained)).toEqual([1, 1, 1, 1, 1]);
    expect(sites.flatMap(({ line }) => line.sent.filter(({ type }) => type === "decline"))).toEqual([]);
  });

  test("an evaluation sums the counters of R and of its quantized model", async () => {
    world = await SessionWorld.open(3);
    const sites = await readySites(3);
    const { trainer } = sites[0] as Site;
    const layout = evaluationLayout({ wordBits: 32, cohortMax: 8, counters: trainer.statistics.length });
    const sum = await new ByTheBook(world, world.open({ purpose: "evaluation" }), layout.words).sum(sites);
    const counts = decodeEvaluation(layout, sum);
    const params = world.chain.newest?.params as Float32Array;
    const once = await trainer.evaluate(params);
    const quantized = await trainer.evaluate(deriveModel(params, trainer.layout, "int8", []));
    expect(counts.reference).toEqual(once.map((value) => 3 * value));
    expect(counts.quantized).toEqual(quantized.map((value) => 3 * value));
  });

  test("without secure aggregation the vector is sealed to the coordinator, and begin is answered again", async () => {
    world = await SessionWorld.open(1, { secureAggregation: { mode: "off" } });
    const site = world.site(0, { policy: { requireSecureAggregation: "off" } });
    await world.ready(site);
    const session = world.open();
    site.line.say(world.begin(session));
    const step = await site.line.step("masked-input", session.sid);
    const { hash } = JSON.parse(step.payload) as { hash: string };
    expect(site.line.uploads.has(hash)).toBe(true);
    site.line.say(world.begin(session));
    await until(() => site.line.steps("masked-input", session.sid).length === 2);
    expect(site.line.steps("masked-input", session.sid)[1]).toEqual(step);
    expect(site.trainer.trained).toBe(1);
  });

  test("a retry of the round sends the same result without training again", async () => {
    world = await SessionWorld.open(3);
    const sites = await readySites(3);
    const first = world.open();
    await new ByTheBook(world, first, training.words).advertise(sites);
    for (const { line } of sites) line.say(world.ended(first, "failed"));
    const retry = new ByTheBook(world, world.open({ attempt: 1 }), training.words);
    const sum = await retry.sum(sites);
    expect(decodeAggregate({ layout: training, fixed, clipNorm: null }, sum, 3).examples).toBe(72);
    expect(sites.map(({ trainer }) => trainer.trained)).toEqual([1, 1, 1]);
  });
});
