import { describe, expect, test } from "@jest/globals";
import { Judge, type Begin, type Memory } from "../../../client/session/judge.ts";
import type { Pinned, Revocations } from "../../../client/session/ports.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { issueRevocationList, type RevocationList } from "../../../shared/secagg/certificate.ts";
import { NO_TRANSCRIPT } from "../../../shared/secagg/session.ts";
import { HISTORY_KEPT, nextDigest, type History } from "../../../shared/secagg/transcript.ts";
import { messageSignature } from "../../../shared/wire/signing.ts";
import { fakeFederation, fakeSession } from "../../fakes/secagg.ts";

const federation = fakeFederation(1);
const { crypto, authority, coordinator, trust } = federation;
const { sid: _sid, ...session } = fakeSession(federation);
const pinned: Pinned = {
  federation: trust.federation as Sha256,
  coordinatorKey: coordinator.publicKey,
  authorityKey: authority.publicKey,
};
const list = (version: number, serials: string[]): RevocationList =>
  issueRevocationList(authority, { federation: trust.federation as Sha256, version, serials });
const SERIAL = "0123456789abcdef";
const memory = (revocations: Revocations): Memory => ({ revocations, told: null, allowRestored: false });

function begin(revoked: RevocationList | null): Begin {
  const history = { before: session.previousTranscriptDigest, links: [] };
  const message = { type: "begin" as const, session, version: 0, revoked, history };
  return { ...message, signature: messageSignature(coordinator, message) };
}

describe("the history", () => {
  const places = [1, 2, 3].flatMap((round) =>
    (["training", "evaluation"] as const).map((purpose) => ({ purpose, round, attempt: 1 })),
  );
  const links = places.map((place, i) => ({ ...place, transcript: String(i + 1).repeat(64) as Sha256 }));
  const digests = links.reduce((list, link) => [...list, nextDigest(list.at(-1) as Sha256, link)], [NO_TRANSCRIPT]);

  /** An invitation to what follows these links. */
  function after(shown: History["links"], before: Sha256 = NO_TRANSCRIPT, follows?: Sha256): Begin {
    const end = shown.reduce((digest, link) => nextDigest(digest, link), before);
    const next = { ...session, round: 4, previousTranscriptDigest: follows ?? end };
    const message = {
      type: "begin" as const,
      session: next,
      version: 0,
      revoked: null,
      history: { before, links: shown },
    };
    return { ...message, signature: messageSignature(coordinator, message) };
  }

  function told(i: number, digest = digests[i + 1] as Sha256, allowRestored = false): Judge {
    const place = places[i] as (typeof places)[number];
    const revocations = { held: null, keep: () => {} };
    return new Judge(crypto, pinned, { revocations, told: { place, digest }, allowRestored });
  }

  const admit = (judge: Judge, message: Begin) => () => judge.admit(message, session.configHash);
  const split = expect.objectContaining({ code: "SESSION_SPLIT_VIEW" });

  test("that holds what this site was told last is followed, over any number of sessions without it", () => {
    for (const i of places.keys()) expect(admit(told(i), after(links))).not.toThrow();
    // Told of the very session that the history begins behind.
    expect(admit(told(2), after(links.slice(3), digests[3]))).not.toThrow();
  });

  test("with another transcript at that place is refused, also by a site that allows restored backups", () => {
    const other = "f".repeat(64) as Sha256;
    for (const i of places.keys()) expect(admit(told(i, other), after(links))).toThrow(split);
    expect(admit(told(1, other, true), after(links))).toThrow(split);
  });

  test("that leads elsewhere than to the session id is refused", () => {
    expect(admit(told(5), after(links, NO_TRANSCRIPT, digests[5]))).toThrow(split);
    const changed = links.map((link, i) => (i === 1 ? { ...link, transcript: "e".repeat(64) as Sha256 } : link));
    expect(admit(told(5), after(changed, NO_TRANSCRIPT, digests[6]))).toThrow(split);
  });

  test("in which that session is missing is refused, unless the site allows that a backup was restored", () => {
    const without = links.filter((_, i) => i !== 2);
    for (const shown of [without, links.slice(0, 2), []]) {
      expect(admit(told(2), after(shown))).toThrow(split);
      expect(admit(told(2, digests[3], true), after(shown))).not.toThrow();
    }
    // Cut off at the front, although there are few.
    expect(admit(told(0), after(links.slice(3), digests[3]))).toThrow(split);
  });

  test("without a session in which this site revealed shares is refused, although it was told no end of it", () => {
    const secret = { ...session, ...(places[4] as (typeof places)[number]), sid: "a".repeat(64) as Sha256 };
    const missing = links.filter((_, i) => i !== 4);
    for (const shown of [missing, links.slice(0, 4)]) {
      const judge = told(3);
      expect(admit(judge, after(shown))).not.toThrow();
      judge.revealed(secret);
      expect(admit(judge, after(shown))).toThrow(split);
      expect(admit(judge, after(links))).not.toThrow();
    }
    const { purpose, round, attempt } = secret;
    const again = { revocations: { held: null, keep: () => {} }, told: null, revealed: { purpose, round, attempt } };
    expect(admit(new Judge(crypto, pinned, { ...again, allowRestored: false }), after(missing))).toThrow(split);
    expect(admit(new Judge(crypto, pinned, { ...again, allowRestored: true }), after(missing))).not.toThrow();
  });

  test("is not forgotten for an end of an earlier session that is told again, nor for a second end of the same", () => {
    const judge = told(3);
    const end = (i: number, digest: Sha256): void => {
      const fields = { type: "ended", sid: "a".repeat(64) as Sha256, outcome: "completed", reason: null } as const;
      const message = { ...fields, transcriptDigest: digest };
      const signed = { ...message, signature: messageSignature(coordinator, message) };
      judge.ended(signed, { ...session, ...(places[i] as (typeof places)[number]), sid: message.sid });
    };
    end(1, digests[2] as Sha256);
    const forked = links.map((link, i) => (i === 3 ? { ...link, transcript: "e".repeat(64) as Sha256 } : link));
    expect(admit(judge, after(forked))).toThrow(split);
    expect(() => end(3, "e".repeat(64) as Sha256)).toThrow(split);
    expect(admit(judge, after(links))).not.toThrow();
  });

  test("after a long absence cannot be compared, and is followed", () => {
    const many = Array.from(
      { length: HISTORY_KEPT },
      (_, i) => ({ ...links[5], round: 10 + i }) as (typeof links)[number],
    );
    expect(admit(told(0), after(many, digests[6]))).not.toThrow();
    expect(admit(told(0), after(many.slice(1), digests[6]))).toThrow(split);
  });
});

describe("the list of revoked members", () => {
  test("once seen is not taken back: not by an older list, by none, nor over a restart of the site", () => {
    const kept: RevocationList[] = [];
    const keep = (newest: RevocationList) => void kept.push(newest);
    const first = new Judge(crypto, pinned, memory({ held: null, keep }));
    first.admit(begin(list(2, [SERIAL])), session.configHash);
    first.admit(begin(list(1, [])), session.configHash);
    first.admit(begin(null), session.configHash);
    expect(first.trust().revoked).toEqual(new Set([SERIAL]));
    expect(kept.map(({ version }) => version)).toEqual([2]);

    const again = new Judge(crypto, pinned, memory({ held: kept[0] as RevocationList, keep }));
    again.admit(begin(list(1, [])), session.configHash);
    expect(again.trust().revoked).toEqual(new Set([SERIAL]));
  });

  test("of another authority is refused, from the coordinator as from the site's own folder", () => {
    const other = fakeFederation(2);
    const foreign = issueRevocationList(other.coordinator, { federation: pinned.federation, version: 9, serials: [] });
    const judge = new Judge(crypto, pinned);
    expect(() => judge.admit(begin(foreign), session.configHash)).toThrow(/not signed by the authority/);
    expect(() => new Judge(crypto, pinned, memory({ held: foreign, keep: () => {} }))).toThrow(/not signed/);
  });
});
