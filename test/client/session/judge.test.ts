import { describe, expect, test } from "@jest/globals";
import { Judge, type Begin, type Memory } from "../../../client/session/judge.ts";
import type { Pinned, Revocations } from "../../../client/session/ports.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { issueRevocationList, type RevocationList } from "../../../shared/secagg/certificate.ts";
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
