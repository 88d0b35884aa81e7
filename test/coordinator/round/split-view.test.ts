/** A coordinator that tells one site another end of a session is noticed by that site in the next round. */
import { afterEach, expect, test } from "@jest/globals";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toldLast } from "../../../client/session/copies.ts";
import { sitePaths } from "../../../client/site-folder.ts";
import type { RoundReport } from "../../../coordinator/round/report.ts";
import { verifyAudit } from "../../../shared/audit/verify.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { messageSignature } from "../../../shared/wire/signing.ts";
import { RoundWorld } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const OTHER = "e".repeat(64) as Sha256;
const dir = mkdtempSync(join(tmpdir(), "allulook-split-"));
let world: RoundWorld;
afterEach(async () => {
  await world.close();
  rmSync(dir, { recursive: true, force: true });
});

test("site-0 is told another transcript of round 1, refuses round 2, and the others go on without it", async () => {
  const refused: { client: string; code: string }[] = [];
  const reports: RoundReport[] = [];
  let lies = false;
  world = new RoundWorld({
    folder: dir,
    config: { schedule: { rounds: 2, cohort: { min: 4 } } },
    trainers: ({ labels }) => Object.fromEntries([0, 1, 2, 3, 4].map((i) => [`site-${i}`, new FakeTrainer(labels)])),
    observer: {
      event: (event) => {
        if (event.type === "committed" && event.version === 1) lies = true;
      },
      refused: (client, { code }) => void refused.push({ client, code }),
      round: (report) => void reports.push(report),
    },
    network: {
      // The coordinator signs the false end itself.
      toClient: (client, message) => {
        const end = client === "site-0" && message.type === "ended" && message.transcriptDigest !== null;
        if (!end || !lies) return message;
        lies = false;
        const { signature: _signature, ...fields } = { ...message, transcriptDigest: OTHER };
        return { ...fields, signature: messageSignature(world.signing, fields) };
      },
    },
  });
  await world.run();
  expect(refused.length).toBeGreaterThan(0);
  expect(new Set(refused.map(({ client, code }) => `${client} ${code}`))).toEqual(
    new Set(["site-0 SESSION_SPLIT_VIEW"]),
  );
  expect(reports.map(({ round, survivors, evaluated }) => [round, survivors, evaluated])).toEqual([
    [0, 5, 5],
    [1, 5, 4],
    [2, 4, 4],
  ]);
  // It stands in the site's own records, with the false end as evidence, and is remembered over a restart.
  const paths = sitePaths(join(dir, "sites", "site-0"));
  const { entries } = verifyAudit(new NodeCrypto(), readFileSync(paths.audit, "utf8"), null);
  expect(entries.filter(({ act }) => act === "refused").map(({ facts }) => facts["code"])).toContain(
    "SESSION_SPLIT_VIEW",
  );
  expect(await toldLast(paths.transcripts)).toMatchObject({ digest: OTHER, place: { round: 1 } });
});
