import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyKeeper, readCopies, toldLast } from "../../../client/session/copies.ts";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import { NO_TRANSCRIPT } from "../../../shared/secagg/session.ts";
import { transcriptName, type Place } from "../../../shared/secagg/transcript.ts";
import type { SiteCopy } from "../../../shared/transcript/copy.ts";
import { fakeFederation, fakeSession } from "../../fakes/secagg.ts";

const { sid: _sid, ...session } = fakeSession(fakeFederation(1));
const DIGEST = "d".repeat(64) as Sha256;
const at = (round: number, purpose: Place["purpose"], attempt: number): Place => ({ round, purpose, attempt });

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "copies-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function keep(place: Place, digest: Sha256 | null): Promise<void> {
  const copy: SiteCopy = {
    schema: 1,
    client: "site-0" as ClientName,
    invitation: {
      session: { ...session, ...place },
      version: 0,
      revoked: null,
      history: { before: NO_TRANSCRIPT, links: [] },
      signature: "",
    },
    shown: [],
    own: [],
    ended: digest && { outcome: "completed", reason: null, transcriptDigest: digest, signature: "" },
  };
  await copyKeeper(folder)(copy);
}

const damage = (place: Place) => writeFile(join(folder, `${transcriptName(place)}.json`), "{");
const corrupt = expect.objectContaining({ code: "STORE_CORRUPT" });

test("the newest end is found by the sessions' order, not that of their files' names", async () => {
  expect(await toldLast(join(folder, "none"))).toBeNull();
  expect(await toldLast(folder)).toBeNull();
  const places = [
    at(2, "training", 1),
    at(9_999, "training", 9),
    at(9_999, "training", 10),
    at(9_999, "evaluation", 1),
    at(10_000, "training", 1),
  ];
  for (const place of places) {
    await keep(place, DIGEST);
    expect(await toldLast(folder)).toEqual({ place, digest: DIGEST });
  }
  expect((await readCopies(folder)).map(({ invitation }) => transcriptName(invitation.session))).toEqual(
    places.map(transcriptName),
  );
});

test("sessions whose end was not told are passed over, and what is older than the newest end is not read", async () => {
  await keep(at(1, "training", 1), DIGEST);
  await keep(at(2, "training", 1), DIGEST);
  await keep(at(2, "evaluation", 1), null);
  await damage(at(1, "training", 1));
  expect(await toldLast(folder)).toEqual({ place: at(2, "training", 1), digest: DIGEST });
  await expect(readCopies(folder)).rejects.toEqual(corrupt);
});

test("a damaged newest copy, another session's under its name, and a strange file are refused", async () => {
  await keep(at(1, "training", 1), DIGEST);
  const file = (name: string) => join(folder, `${name}.json`);
  await rename(file("0001-training-1"), file("0002-training-1"));
  await expect(toldLast(folder)).rejects.toEqual(corrupt);
  await damage(at(2, "training", 1));
  await expect(toldLast(folder)).rejects.toEqual(corrupt);
  await rename(file("0002-training-1"), file("strange"));
  await expect(toldLast(folder)).rejects.toEqual(corrupt);
});
