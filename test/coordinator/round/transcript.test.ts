/** What a stored transcript ties together: server state before, sum, step, server state after, version and release. */
import { afterEach, expect, test } from "@jest/globals";
import { decodeAggregate } from "../../../coordinator/aggregate/decode.ts";
import { decodeServerState, encodeServerState } from "../../../coordinator/optimizer/server-state-codec.ts";
import { serverStep } from "../../../coordinator/optimizer/server-optimizer.ts";
import { shapesOf } from "../../../coordinator/round/work.ts";
import { hashOf } from "../../../shared/canonical.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { sha256Of } from "../../../shared/release/ports.ts";
import { transcriptDigest, type Transcript } from "../../../shared/secagg/transcript.ts";
import { RoundWorld } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const crypto = new NodeCrypto();
let world: RoundWorld;
afterEach(() => world.close());

function read(name: string): Transcript {
  const kept = JSON.parse(world.transcripts.get(name) as string) as { transcript: Transcript; digest: string };
  expect(transcriptDigest(kept.transcript)).toBe(kept.digest);
  return kept.transcript;
}

test("the newest step can be taken again from what is kept, and gives the version and release that were signed", async () => {
  let trainer: FakeTrainer | null = null;
  world = new RoundWorld({
    config: { strategy: { name: "fedadam" } },
    trainers: ({ labels }) =>
      Object.fromEntries([0, 1, 2, 3].map((i) => [`site-${i}`, (trainer = new FakeTrainer(labels))])),
    options: { keepSum: true },
  });
  await world.run();
  const [one, two] = [read("0001-training-1"), read("0002-training-1")];
  const before = one.result?.commit;
  const commit = two.result?.commit;
  if (commit === undefined || commit === null) throw new Error("no commit");
  expect(commit.serverStateBefore).toBe(before?.serverState);
  expect(two.session.parentHash).toBe(before?.paramsHash);

  const { layout, statistics } = trainer as unknown as FakeTrainer;
  const { training } = shapesOf(world.config, layout.length, statistics.length);
  const sum = await world.blobs.get(two.result?.sum as NonNullable<typeof two.result>["sum"]);
  const aggregate = decodeAggregate(training, new Uint32Array(sum.slice().buffer), two.maskedInputs.length);
  const state = decodeServerState(await world.blobs.get(commit.serverStateBefore), layout.length);
  const after = encodeServerState(serverStep(world.config.strategy)(state, aggregate.meanDelta));
  expect(sha256Of(crypto, after)).toBe(commit.serverState);

  const link = world.chain.link(commit.version);
  expect(hashOf(link)).toBe(commit.link);
  expect(link?.paramsHash).toBe(commit.paramsHash);
  const manifest = JSON.parse(Buffer.from(world.chain.manifest(commit.version) as Uint8Array).toString()) as {
    paramsHash: string;
  };
  expect(manifest.paramsHash).toBe(commit.paramsHash);
  // Only the newest step's: sums are as large as the model.
  expect(await world.blobs.has(one.result?.sum as NonNullable<typeof one.result>["sum"])).toBe(false);
});

test("an evaluation's transcript names its sum; one without a sum says so", async () => {
  world = new RoundWorld({
    config: { schedule: { rounds: 1, cohort: { min: 3 } } },
    trainers: ({ labels }) => Object.fromEntries([0, 1, 2].map((i) => [`site-${i}`, new FakeTrainer(labels)])),
  });
  await world.run();
  expect(read("0001-evaluation-1").result).toEqual({
    sum: expect.stringMatching(/^[0-9a-f]{64}$/),
    rejected: [],
    commit: null,
  });
});
