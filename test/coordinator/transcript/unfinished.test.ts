/** Sessions that failed or are void leave transcripts, too, and stand in the chain like all others. */
import { afterEach, expect, test } from "@jest/globals";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findTranscripts } from "../../../coordinator/transcript/folder.ts";
import { verifyTranscripts } from "../../../coordinator/transcript/verify.ts";
import { currentSum } from "../../../coordinator/round/transition.ts";
import { brotli } from "../../../shared/node/brotli.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { RoundWorld } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const dir = mkdtempSync(join(tmpdir(), "allulook-unfinished-"));
let world: RoundWorld;
afterEach(async () => {
  await world.close();
  rmSync(dir, { recursive: true, force: true });
});

test("an attempt that failed, a round that is void, and the rounds after them", async () => {
  world = new RoundWorld({
    folder: dir,
    heartbeatMs: 50,
    config: {
      schedule: { rounds: 1, cohort: { min: 4 } },
      retry: { patience: "1s" },
      transcripts: { keepInputs: 3 },
    },
    trainers: ({ labels }) => Object.fromEntries([0, 1, 2, 3].map((i) => [`site-${i}`, new FakeTrainer(labels)])),
    observer: {
      event: (event, state) => {
        const sum = currentSum(state);
        if (event.type !== "close" || sum === null) return;
        const { purpose, round, attempt } = sum.session;
        if (purpose !== "training" || round !== 1) return;
        // The first attempt loses too many before anything is revealed, the second once shares may be known.
        const when = attempt === 1 ? "collecting-masked-inputs" : "unmasking";
        if (sum.phase !== when) return;
        for (const name of ["site-1", "site-2"]) {
          world.leave(name);
          setTimeout(() => world.join(name), 20);
        }
      },
    },
  });
  await world.run();
  const found = await findTranscripts([dir]);
  const keys = {
    federation: found.keys?.federationId ?? null,
    authorityKey: world.authority.publicKey,
    coordinatorKey: world.signing.publicKey,
  };
  const { ok, sessions, findings, head } = await verifyTranscripts(new NodeCrypto(), brotli, { ...found, keys });
  expect(findings.filter(({ status }) => status === "failed")).toEqual([]);
  expect(ok).toBe(true);
  const training = sessions.filter(({ name }) => name.includes("training"));
  expect(training.map(({ name, outcome, recomputed }) => [name, outcome, recomputed])).toEqual([
    ["0001-training-1", "failed", false],
    ["0001-training-2", "void", false],
    ["0002-training-1", "completed", true],
  ]);
  expect(head).toBe(world.coordinator.state.transcriptDigest);
});
