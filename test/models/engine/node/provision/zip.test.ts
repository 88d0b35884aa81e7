import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import { extractZip } from "../../../../../models/engine/node/provision/zip.ts";
import { makeZip } from "./zip-writer.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "allulook-zip-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function extract(zip: Buffer, want: (name: string) => string | null = (name) => name): Promise<string> {
  const target = await mkdtemp(join(folder, "out-"));
  const archive = join(folder, `${Math.random()}.zip`);
  await writeFile(archive, zip);
  await extractZip(archive, target, want);
  return target;
}

test("gives back what was packed, whatever the content and the comment", async () => {
  const member = fc.record({ data: fc.uint8Array({ maxLength: 3000 }), stored: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(member, { minLength: 1, maxLength: 5 }),
      fc.string({ maxLength: 40 }),
      async (list, text) => {
        const members = list.map(({ data, stored }, i) => ({ name: `a/b${i}/file`, data: Buffer.from(data), stored }));
        const comment = text.replace(/[^ -~]/g, "x");
        const out = await extract(makeZip(members, comment));
        for (const { name, data } of members) expect((await readFile(join(out, name))).equals(data)).toBe(true);
      },
    ),
    { numRuns: 25 },
  );
});

test("writes only what is wanted, under the path that is given for it", async () => {
  const zip = makeZip([
    { name: "x/keep.h", data: Buffer.from("1") },
    { name: "x/leave.py", data: Buffer.from("2") },
    { name: "x/", data: Buffer.alloc(0), stored: true },
  ]);
  const out = await extract(zip, (name) => (name.endsWith(".h") ? "include/keep.h" : null));
  expect(await readdir(out, { recursive: true })).toEqual(["include", join("include", "keep.h")]);
});

test.each([
  ["no archive", () => Buffer.from("hello")],
  ["cut short", () => makeZip([{ name: "a", data: Buffer.alloc(500, 7) }]).subarray(0, 60)],
  ["a path that leads out", () => makeZip([{ name: "../../evil", data: Buffer.from("x") }])],
  [
    "a changed byte",
    () => {
      const zip = makeZip([{ name: "a", data: Buffer.from("hello world"), stored: true }]);
      zip[36]! ^= 1;
      return zip;
    },
  ],
])("refuses with a code: %s", async (_what, make) => {
  await expect(extract(make())).rejects.toMatchObject({ code: "ENGINE_ARCHIVE" });
});
