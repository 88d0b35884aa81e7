/** A trusted coordinator's sum: a client that sends what none can have trained is left out alone, whatever the rule. */
import { expect, test } from "@jest/globals";
import { encodeUpdate } from "../../../client/update/encode.ts";
import { robustRule } from "../../../coordinator/aggregate/robust/rules.ts";
import type { SumComplete } from "../../../coordinator/round/state.ts";
import { SumDesk, type DeskParts } from "../../../coordinator/round/sum-desk.ts";
import { MemoryBlobs } from "../../../coordinator/store/memory.ts";
import { aggregation } from "../../../shared/config/aggregation.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { layoutOf } from "../../../shared/params/layout.ts";
import { fixedPoint, signedView } from "../../../shared/quantize/fixed-point.ts";
import { bytesOf, type Words } from "../../../shared/secagg/mask.ts";
import { sealVector } from "../../../shared/secagg/sealed.ts";
import type { Session } from "../../../shared/secagg/session.ts";
import { trainingLayout } from "../../../shared/secagg/vector-layout.ts";
import { fixedSecureRng } from "../../fakes/secagg.ts";

const crypto = new NodeCrypto();
const box = crypto.agreementKey(new Uint8Array(32).fill(4));
const sid = "5e".repeat(32);
const size = { wordBits: 32, cohortMax: 8, maxWeight: 16 } as const;
const rules = {
  layout: trainingLayout({ ...size, coordinates: 3 }),
  fixed: fixedPoint({ ...size, coordinateBound: 1 }),
  clipNorm: null,
  examplesPerWeight: 2,
};
const layout = layoutOf([{ name: "w", shape: [3] }]);

function vector(i: number): Words {
  const delta = Float32Array.of(i / 8, -i / 8, 0.5);
  return encodeUpdate(rules, layout, { delta, examples: 4, examplesSeen: 4, lossSum: 1 }).words;
}

test.each(["mean", "median"])("%s", async (rule) => {
  const blobs = new MemoryBlobs();
  const inputs: Record<string, { vector: string; bytes: number; signed: null }> = {};
  for (const i of [1, 2, 3, 4]) {
    const words = vector(i);
    // Beyond all that fixed point covers: added up, it could be anything.
    if (i === 4) signedView(words)[0] = 2 ** 30;
    const sealed = sealVector(crypto, fixedSecureRng(crypto, `${i}`), sid, `site-${i}`, box.publicKey, bytesOf(words));
    inputs[`site-${i}`] = { vector: await blobs.put(sealed), bytes: sealed.length, signed: null };
  }
  const parts = { crypto, blobs, keys: { box }, handed: null, unmasker: null, pause: async () => {} };
  const given = { rules, rule: robustRule(aggregation.parse({ rule })), groups: null, needed: 1 };
  const desk = new SumDesk(parts as unknown as DeskParts, {} as Session, rules.layout, given);
  const sum = { mode: "off", sid, inputs, minSurvivors: 3, since: 5 } as unknown as SumComplete;
  const { words, survivors, rejected } = await desk.total(sum);
  expect(survivors).toEqual(["site-1", "site-2", "site-3"]);
  expect(rejected["site-4" as ClientName]).toMatchObject({ code: "UPDATE_IMPOSSIBLE", at: 5 });
  const weight = words[3] as number;
  expect((signedView(words)[0] as number) / (rules.fixed.scale * weight)).toBeCloseTo(2 / 8, 5);
  await expect(desk.total({ ...sum, minSurvivors: 4 })).rejects.toMatchObject({ code: "ROUND_TOO_FEW" });
});
