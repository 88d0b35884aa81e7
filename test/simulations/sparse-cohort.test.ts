/** A cohort beyond the complete graph, through the shipped coordinator and clients: with dropouts, sealed or masked, one result. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { checkFederationConfig } from "../../coordinator/config.ts";
import { currentSum } from "../../coordinator/round/transition.ts";
import { findTranscripts } from "../../coordinator/transcript/folder.ts";
import { verifyTranscripts } from "../../coordinator/transcript/verify.ts";
import { brotli } from "../../shared/node/brotli.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import type { ClientName } from "../../shared/ids.ts";
import { readTranscript } from "../../shared/transcript/session.ts";
import { simulateFederation, type SimulationResult } from "../../simulations/federation.ts";
import { noOpTrainer } from "../../simulations/population/no-op-trainer.ts";

const CLIENTS = 70;
const PARAMS = 50;
const out = mkdtempSync(join(tmpdir(), "allulook-sparse-"));
afterAll(() => rmSync(out, { recursive: true, force: true }));

/** Client i moves every param by i/1000; those whose number ends in 9 leave when they are asked to train. */
function simulated(mode: "malicious" | "semi-honest" | "off", names: readonly ClientName[]): Promise<SimulationResult> {
  const { config } = checkFederationConfig(
    federationConfig.parse({
      federation: "many",
      labels: { scene: ["a", "b"] },
      schedule: { rounds: 1, cohort: { min: 3, max: CLIENTS, overSelect: 1 } },
      secureAggregation: { mode },
      transcripts: { keepInputs: mode === "malicious" ? 10 : 0 },
    }),
  );
  let tell: () => void = () => {};
  const shared = new Promise<void>((resolve) => (tell = resolve));
  const trainers = names.map((name, i) => {
    const trainer = noOpTrainer(PARAMS, i / 1_000);
    const fails = () => shared.then(() => Promise.reject(new CodedError("DATA_EMPTY", "left")));
    return [name, i % 10 === 9 ? { ...trainer, train: fails } : trainer] as const;
  });
  return simulateFederation({
    config,
    trainers: new Map(trainers),
    initialParams: () => Promise.resolve(new Float32Array(PARAMS)),
    out: mode === "malicious" ? out : null,
    observer: {
      // Without secure aggregation nothing is shared: they leave at once.
      event: (_event, state) => {
        if (currentSum(state)?.phase === "collecting-masked-inputs") tell();
      },
    },
    options: { evaluationEvery: 0, publish: false, attempts: 1 },
  });
}

test("70 clients, seven of which vanish after they have shared their keys", async () => {
  const names = Array.from({ length: CLIENTS }, (_, i) => `site-${String(i).padStart(2, "0")}` as ClientName);
  const secure = await simulated("malicious", names);
  expect(secure.reason.code).toBe("DONE");
  expect(secure.rounds.at(-1)).toMatchObject({ status: "completed", cohort: CLIENTS, survivors: CLIENTS - 7 });
  const open = await simulated("off", names);
  expect(secure.paramsHash).toBe(open.paramsHash);
  expect((await simulated("semi-honest", names)).paramsHash).toBe(open.paramsHash);
  const present = names.flatMap((_, i) => (i % 10 === 9 ? [] : [i / 1_000]));
  const mean = present.reduce((a, b) => a + b, 0) / present.length;
  expect(secure.params[7]).toBeCloseTo(mean, 4);
  const found = await findTranscripts([out]);
  expect(found.keys).not.toBe(null);
  const { federationId, authorityKey, coordinatorKey } = found.keys as NonNullable<typeof found.keys>;
  const keys = {
    federation: federationId,
    authorityKey: Buffer.from(authorityKey, "hex"),
    coordinatorKey: Buffer.from(coordinatorKey ?? "", "hex"),
  };
  const verified = await verifyTranscripts(new NodeCrypto(), brotli, { ...found, keys });
  expect(verified.findings.filter(({ status }) => status === "failed")).toEqual([]);
  const { transcript } = readTranscript(found.transcripts.get("0001-training-1") as string);
  expect([transcript.shared.length, transcript.maskedInputs.length]).toEqual([CLIENTS, CLIENTS - 7]);
  expect(verified.sessions).toMatchObject([{ roster: CLIENTS, survivors: CLIENTS - 7, recomputed: true }]);
});
