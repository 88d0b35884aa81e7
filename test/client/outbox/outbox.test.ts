import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileOutbox, readOutbox, type OutboxEntry } from "../../../client/outbox/outbox.ts";
import { configHashOf } from "../../../shared/config/plan.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "outbox-"));
  path = join(folder, "state", "outbox.jsonl");
});
afterEach(() => rm(folder, { recursive: true }));

const entry = (bytes: number): Omit<OutboxEntry, "at"> => ({
  kind: "masked vector",
  bytes,
  sha256: configHashOf(String(bytes)),
  session: { sid: configHashOf("sid"), purpose: "training", round: 3, attempt: 0 },
  approval: configHashOf("plan"),
});

describe("the outbox on disk", () => {
  test("is there, in order, as soon as an entry is recorded, and after a restart", async () => {
    expect(await readOutbox(path)).toEqual([]);
    const first = new FileOutbox(path, () => Date.UTC(2026, 0, 1));
    await Promise.all([1, 2, 3].map((n) => first.record(() => entry(n))));
    // Not closed: a killed process leaves it like this.
    const second = new FileOutbox(path);
    await second.record(() => entry(4));
    const entries = await readOutbox(path);
    expect(entries.map(({ bytes }) => bytes)).toEqual([1, 2, 3, 4]);
    expect(entries[0]).toEqual({ at: "2026-01-01T00:00:00.000Z", ...entry(1) });
    await first.close();
    await second.close();
  });

  test("one entry right after the other, each waited for", async () => {
    const outbox = new FileOutbox(path);
    for (let n = 1; n <= 20; n++) await outbox.record(() => entry(n));
    await outbox.record(() => entry(21)).then(() => outbox.record(() => entry(22)));
    await outbox.close();
    expect(await readOutbox(path)).toHaveLength(22);
  });

  test("an entry cut by a power failure was not sent: it goes, the others stay", async () => {
    const outbox = new FileOutbox(path);
    await outbox.record(() => entry(1));
    await outbox.close();
    await appendFile(path, JSON.stringify({ at: "x", ...entry(2) }).slice(0, 50));
    expect((await readOutbox(path)).map(({ bytes }) => bytes)).toEqual([1]);
    const again = new FileOutbox(path);
    await again.record(() => entry(3));
    await again.close();
    expect((await readOutbox(path)).map(({ bytes }) => bytes)).toEqual([1, 3]);
  });

  test("a changed line is noticed", async () => {
    const outbox = new FileOutbox(path);
    await outbox.record(() => entry(1));
    await outbox.close();
    await writeFile(path, (await readFile(path, "utf8")).replace("masked vector", 'masked", "vector'));
    await expect(readOutbox(path)).rejects.toMatchObject({ code: "STORE_CORRUPT", details: { line: 1 } });
  });

  test("recording fails when it cannot be written, and only the site's user can read it", async () => {
    const outbox = new FileOutbox(path);
    await outbox.record(() => entry(1));
    expect((await stat(path)).mode & 0o077).toBe(0);
    await outbox.close();
    const nowhere = new FileOutbox(join(path, "not-a-folder", "outbox.jsonl"));
    await expect(nowhere.record(() => entry(1))).rejects.toThrow();
  });
});
