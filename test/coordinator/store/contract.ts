/** What every FederationStore must do; run against each implementation. `reopen` closes and opens the same data again. */
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { FederationStore } from "../../../coordinator/store/port.ts";
import { clientName, sha256Hex } from "../../../shared/ids.ts";

export interface StoreUnderTest {
  store: FederationStore;
  /** null where data does not outlive the store (memory). */
  reopen: (() => Promise<FederationStore>) | null;
  dispose(): Promise<void>;
}

const alice = clientName.parse("alice");
const bob = clientName.parse("bob");
const hash = (digit: string) => sha256Hex.parse(digit.repeat(64));
const client = (name: typeof alice, key: string) => ({
  name,
  signingKey: hash(key),
  certificate: null,
  enrolledAt: 1_700_000_000_123,
  revoked: false,
});

export function federationStoreContract(what: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${what} keeps the contract of FederationStore`, () => {
    let under: StoreUnderTest;
    beforeEach(async () => {
      under = await open();
    });
    afterEach(async () => {
      await under.dispose();
    });
    const again = async () => {
      if (under.reopen !== null) under.store = await under.reopen();
      return under.store;
    };

    test("an empty store recovers to nothing", async () => {
      expect(await under.store.recover()).toEqual({ snapshot: null, events: [] });
      expect(await under.store.clients()).toEqual([]);
      expect(await under.store.rounds()).toEqual([]);
      expect(await under.store.versions()).toEqual([]);
    });

    test("events come back in order, also when many appends are under way at once", async () => {
      await Promise.all(Array.from({ length: 300 }, (_, i) => under.store.append([`${i}a`, `${i}b`])));
      const expected = Array.from({ length: 300 }, (_, i) => [`${i}a`, `${i}b`]).flat();
      expect((await (await again()).recover()).events).toEqual(expected);
    });

    test("one append of more rows than a statement takes is kept whole", async () => {
      const events = Array.from({ length: 1_701 }, (_, i) => `event ${i}`);
      await under.store.append(events);
      expect((await (await again()).recover()).events).toEqual(events);
    });

    test("a snapshot covers exactly the events appended before it", async () => {
      const before = under.store.append(["1", "2"]);
      const snapshot = under.store.snapshot("S");
      const after = under.store.append(["3"]);
      await Promise.all([before, snapshot, after]);
      expect(await (await again()).recover()).toEqual({ snapshot: "S", events: ["3"] });
      await under.store.snapshot("T");
      await under.store.append(["4", "5"]);
      expect(await (await again()).recover()).toEqual({ snapshot: "T", events: ["4", "5"] });
    });

    test("a snapshot without new events replaces the state and loses nothing appended later", async () => {
      await under.store.append(["1"]);
      await under.store.snapshot("S");
      await under.store.snapshot("S2");
      await under.store.append(["2"]);
      expect(await (await again()).recover()).toEqual({ snapshot: "S2", events: ["2"] });
    });

    test("clients are stored and replaced by name", async () => {
      await under.store.putClient(client(bob, "b"));
      await under.store.putClient(client(alice, "a"));
      await under.store.putClient({ ...client(bob, "b"), certificate: "{}", revoked: true });
      const stored = [...(await (await again()).clients())].sort((x, y) => (x.name < y.name ? -1 : 1));
      expect(stored).toEqual([client(alice, "a"), { ...client(bob, "b"), certificate: "{}", revoked: true }]);
    });

    test("an invitation is redeemed once, in time, by its own name", async () => {
      const invite = (digit: string, name: typeof alice, expiresAt: number) =>
        under.store.putInvitation({ tokenHash: hash(digit), name, expiresAt, usedAt: null });
      await invite("1", alice, 1_000);
      await invite("2", bob, 1_000);
      await expect(under.store.redeem(hash("9"), 1, client(alice, "a"))).rejects.toMatchObject({
        code: "TOKEN_INVALID",
      });
      await expect(under.store.redeem(hash("2"), 1, client(alice, "a"))).rejects.toMatchObject({
        code: "TOKEN_INVALID",
      });
      await expect(under.store.redeem(hash("1"), 1_000, client(alice, "a"))).rejects.toMatchObject({
        code: "TOKEN_EXPIRED",
      });
      expect(await under.store.clients()).toEqual([]);
      await under.store.redeem(hash("1"), 999, client(alice, "a"));
      await expect(under.store.redeem(hash("1"), 999, client(alice, "c"))).rejects.toMatchObject({
        code: "TOKEN_USED",
      });
      expect(await (await again()).clients()).toEqual([client(alice, "a")]);
      await expect(under.store.redeem(hash("1"), 5_000, client(alice, "c"))).rejects.toMatchObject({
        code: "TOKEN_USED",
      });
    });

    test("an older invitation of the same name is worth nothing once one was redeemed; a later one is", async () => {
      const invite = (digit: string, name: typeof alice) =>
        under.store.putInvitation({ tokenHash: hash(digit), name, expiresAt: 1_000, usedAt: null });
      await invite("1", alice);
      await invite("2", alice);
      await invite("3", bob);
      await under.store.redeem(hash("2"), 1, client(alice, "a"));
      await expect(under.store.redeem(hash("1"), 2, client(alice, "c"))).rejects.toMatchObject({ code: "TOKEN_USED" });
      expect(await (await again()).clients()).toEqual([client(alice, "a")]);
      await under.store.redeem(hash("3"), 2, client(bob, "b"));
      await invite("4", alice);
      await under.store.redeem(hash("4"), 3, client(alice, "c"));
      expect((await under.store.clients()).find(({ name }) => name === alice)).toEqual(client(alice, "c"));
    });

    test("two that redeem one invitation at once: exactly one succeeds", async () => {
      await under.store.putInvitation({ tokenHash: hash("1"), name: alice, expiresAt: 1_000, usedAt: null });
      const outcomes = await Promise.allSettled([
        under.store.redeem(hash("1"), 1, client(alice, "a")),
        under.store.redeem(hash("1"), 1, client(alice, "c")),
      ]);
      expect(outcomes.filter((o) => o.status === "fulfilled")).toHaveLength(1);
      expect(await under.store.clients()).toHaveLength(1);
    });

    test("rounds and versions come back in order, replaced by number, manifests byte for byte", async () => {
      await under.store.putRound({ round: 2, report: "two" });
      await under.store.putRound({ round: 1, report: "one" });
      await under.store.putRound({ round: 2, report: "zwei" });
      await under.store.putVersion({ version: 1, link: "{1}", manifest: null });
      await under.store.putVersion({ version: 0, link: "{0}", manifest: null });
      await under.store.putVersion({ version: 1, link: "{1}", manifest: Uint8Array.of(0, 255, 10, 13) });
      const store = await again();
      expect(await store.rounds()).toEqual([
        { round: 1, report: "one" },
        { round: 2, report: "zwei" },
      ]);
      const versions = await store.versions();
      expect(versions.map(({ version, link }) => ({ version, link }))).toEqual([
        { version: 0, link: "{0}" },
        { version: 1, link: "{1}" },
      ]);
      expect(versions[0]?.manifest).toBeNull();
      expect([...(versions[1]?.manifest ?? [])]).toEqual([0, 255, 10, 13]);
    });
  });
}
