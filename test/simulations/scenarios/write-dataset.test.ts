import { expect, test } from "@jest/globals";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checkDataset } from "../../../client/data/check.ts";
import { inferLabels } from "../../../client/data/labels.ts";
import { openDataset } from "../../../client/data/open-dataset.ts";
import { ROOM_LABELS } from "../../../simulations/scenarios/labels.ts";
import { generateRooms } from "../../../simulations/scenarios/rooms.ts";
import { writeDataset } from "../../../simulations/scenarios/write-dataset.ts";
import { folderWith } from "../../fakes/dataset-folder.ts";

const rooms = generateRooms({ sites: 2, perSite: 8, size: [32, 40], seed: 9 });
const options = { labels: ROOM_LABELS, description: "rooms", generator: { name: "rooms", seed: 9 } };

test("what is written is marked as generated and reads back sample for sample", async () => {
  const dir = join(folderWith({}), "rooms");
  await writeDataset(dir, rooms.all, options);
  expect(JSON.parse(readFileSync(join(dir, "annotations.json"), "utf8"))).toMatchObject({
    info: { generated: true, generator: { name: "rooms", seed: 9 } },
  });
  expect(await inferLabels(dir)).toEqual(ROOM_LABELS);
  const read = await openDataset(dir, { labels: ROOM_LABELS });
  expect(read.entries).toEqual(rooms.all.entries);
  for (let i = 0; i < read.size; i++) expect(await read.load(i)).toEqual(await rooms.all.load(i));
  expect(await checkDataset(dir, { labels: ROOM_LABELS })).toMatchObject({ ok: true, generated: true, problems: [] });
});

test("a folder that holds something is left alone", async () => {
  const dir = folderWith({ "mine.txt": "x" });
  await expect(writeDataset(dir, rooms.all, options)).rejects.toMatchObject({ code: "USAGE" });
  expect(existsSync(join(dir, "annotations.json"))).toBe(false);
});

test("depth in other units than metres is refused", async () => {
  const labels = { ...ROOM_LABELS, depth: { kind: "relative" as const } };
  await expect(writeDataset(folderWith({}), rooms.all, { ...options, labels })).rejects.toMatchObject({
    code: "USAGE",
    details: { field: "labels.depth.kind" },
  });
});
