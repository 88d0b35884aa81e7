import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import {
  decodePersonal,
  FilePersonalStore,
  MemoryPersonalStore,
  type PersonalStore,
} from "../../../client/model-cache/personal.ts";
import { layoutOf } from "../../../shared/params/layout.ts";

const layout = layoutOf([
  { name: "norm/scale", shape: [3] },
  { name: "head/kernel", shape: [2, 2] },
]);
const values = (fill: number) => new Float32Array(layout.length).fill(fill);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "personal-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const stores: [string, () => PersonalStore][] = [
  ["in memory", () => new MemoryPersonalStore()],
  ["in files", () => new FilePersonalStore(folder, layout)],
];

describe.each(stores)("%s", (kind, open) => {
  test("a round begins with what the newest round before it left; before any, with nothing", async () => {
    const store = open();
    expect(await store.through(5)).toBeNull();
    await store.keep(1, values(1));
    // Round 1 again, after a restart: not from its own result.
    expect(await store.through(0)).toBeNull();
    expect(await store.through(1)).toEqual(values(1));
    await store.keep(4, values(4));
    expect([await store.through(3), await store.through(9)]).toEqual([values(1), values(4)]);
    await store.keep(4, values(40));
    expect([await store.through(3), await store.through(4)]).toEqual([values(1), values(40)]);
    // Older ones are thrown away; a coordinator that went back in time gets the oldest.
    await store.keep(5, values(5));
    expect([await store.through(4), await store.through(1)]).toEqual([values(40), values(40)]);
  });

  test("of what was trained from one version only the newest counts, and that from the next version on", async () => {
    const store = open();
    expect(await store.before(1, 0)).toBeNull();
    await store.keep(1, values(1), 0);
    // Round 1 came to nothing: there is no version 1.
    expect(await store.before(2, 0)).toBeNull();
    await store.keep(2, values(2), 0);
    await store.keep(3, values(3), 0);
    expect(await store.before(4, 0)).toBeNull();
    expect(await store.before(4, 1)).toEqual(values(3));
    // Nor do rounds that come to nothing push out the one that counts.
    for (const round of [4, 5, 6]) await store.keep(round, values(round), 1);
    expect([await store.before(7, 1), await store.before(7, 2)]).toEqual([values(3), values(6)]);
    await store.drop(6);
    expect(await store.before(7, 2)).toEqual(values(5));
    await store.drop(6);
  });

  test("whatever rounds come in whatever order, the two newest are there, as they were kept last", async () => {
    const rounds = fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.float({ noNaN: true })), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(rounds, async (list) => {
        if (kind === "in files") await rm(folder, { recursive: true, force: true });
        const store = open();
        const model = new Map<number, number>();
        for (const [round, fill] of list) {
          await store.keep(round, values(fill));
          model.set(round, fill);
          for (const old of [...model.keys()].toSorted((a, b) => b - a).slice(2)) model.delete(old);
        }
        for (const [round, fill] of model) expect(await store.through(round)).toEqual(values(fill));
      }),
      { numRuns: kind === "in files" ? 5 : 30 },
    );
  });
});

describe("files", () => {
  const paths = async () => {
    const [inner] = await readdir(folder);
    return (await readdir(join(folder, inner as string))).map((name) => join(folder, inner as string, name));
  };

  test("survive the process, are for their owner alone, and name their tensors", async () => {
    await new FilePersonalStore(folder, layout).keep(2, values(2));
    expect(await new FilePersonalStore(folder, layout).through(2)).toEqual(values(2));
    const [path] = (await paths()) as [string];
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(decodePersonal(await readFile(path))).toEqual({ layout, params: values(2) });
    expect(await readFile(path)).toEqual(Buffer.from((await new FilePersonalStore(folder, layout).file(2)) ?? []));
  });

  test("a damaged one gives way to the one before; another plan's are left alone", async () => {
    const store = new FilePersonalStore(folder, layout);
    await store.keep(1, values(1));
    await store.keep(2, values(2));
    const newest = (await paths()).find((path) => path.includes("/2-")) as string;
    const bytes = await readFile(newest);
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    await writeFile(newest, bytes);
    expect(await store.through(2)).toEqual(values(1));
    const other = new FilePersonalStore(folder, layoutOf([{ name: "norm/scale", shape: [3] }]));
    expect(await other.through(2)).toBeNull();
    await other.keep(2, new Float32Array(3));
    expect(await store.through(1)).toEqual(values(1));
  });
});
