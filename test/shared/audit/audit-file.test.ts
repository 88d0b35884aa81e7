/** The file: whole after a crash, one chain whoever appends, and continued after a restart. */
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { verifyAudit } from "../../../shared/audit/verify.ts";
import { AuditFile } from "../../../shared/node/audit-file.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";

const hook = new URL("../../tools/strip-types-hook.mjs", import.meta.url).href;
const crypto = new NodeCrypto();
const key = crypto.signingKey(new Uint8Array(32).fill(1));
let dir: string;
let path: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "allulook-audit-"));
  path = join(dir, "state", "audit.jsonl");
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const read = async () => verifyAudit(crypto, await readFile(path, "utf8"), null);
const acts = async () => (await read()).entries.map(({ act }) => act);
const act = (name: string) => ({ act: name, facts: { of: name } });

describe("an audit file", () => {
  test("goes on where the last process ended; the signature covers all of it", async () => {
    await new AuditFile(path).append(act("one"), act("two"));
    await new AuditFile(path).sign(key, act("three"));
    expect(await acts()).toEqual(["one", "two", "three", "checkpoint"]);
    expect(await read()).toMatchObject({ signedUpTo: 3 });
  });

  test("is one chain when two writers append at the same time", async () => {
    const [a, b] = [new AuditFile(path), new AuditFile(path)];
    await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? a : b).append(act(`act ${i}`))));
    expect((await read()).entries).toHaveLength(20);
  });

  test.each([1, 7, 60])("a last line cut short by %i bytes is cut off, and that is said", async (bytes) => {
    await new AuditFile(path).append(act("one"), act("two"));
    await truncate(path, (await readFile(path)).length - bytes);
    await new AuditFile(path).append(act("three"));
    const { entries } = await read();
    expect(entries.map((entry) => entry.act)).toEqual(["one", "log repaired", "three"]);
    expect(entries[1]?.facts["bytesCutOff"]).toBeGreaterThan(0);
  });

  test("a last line that is none is not built on", async () => {
    await new AuditFile(path).append(act("one"));
    await appendFile(path, "garbage\n");
    await expect(new AuditFile(path).append(act("two"))).rejects.toMatchObject({ code: "STORE_CORRUPT" });
  });

  test("killed in the middle it loses nothing that was acknowledged", async () => {
    const script = join(dir, "append.mjs");
    const source = new URL("../../../shared/node/audit-file.ts", import.meta.url);
    await writeFile(
      script,
      `import { AuditFile } from ${JSON.stringify(source.href)};
       const file = new AuditFile(${JSON.stringify(path)});
       for (let i = 1; ; i++) { await file.append({ act: "act", facts: { i } }); process.stdout.write(i + "\\n"); }`,
    );
    const child = spawn(process.execPath, ["--no-warnings", "--import", hook, script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let told = "";
    await new Promise<void>((done) => {
      child.stdout.on("data", (chunk: Buffer) => {
        told += chunk.toString();
        if (told.split("\n").length > 20) child.kill("SIGKILL");
      });
      child.on("close", () => done());
    });
    const acknowledged = Number(told.trimEnd().split("\n").at(-1));
    expect(acknowledged).toBeGreaterThanOrEqual(20);
    await new AuditFile(path).append(act("after"));
    const { entries } = await read();
    expect(entries.filter((entry) => entry.act === "act").length).toBeGreaterThanOrEqual(acknowledged);
    expect(entries.at(-1)?.act).toBe("after");
  });
});
