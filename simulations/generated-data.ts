/** Generated rooms on disk, written once and labelled as generated. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOM_LABELS } from "./scenarios/labels.ts";
import { generateRooms } from "./scenarios/rooms.ts";
import { writeDataset } from "./scenarios/write-dataset.ts";

/** `perSite` pictures of `size` x `size` for each of `sites` unlike sites; returns the folder. Written before: kept. */
export async function generatedData(
  root: string,
  sites: number,
  perSite: number,
  size: number,
  seed: number,
): Promise<string> {
  const dir = join(root, `rooms-${sites}x${perSite}-${size}-seed${seed}`);
  if (existsSync(join(dir, "annotations.json"))) return dir;
  const options = { sites, perSite, size: [size, size] as const, seed };
  await writeDataset(dir, generateRooms(options).all, {
    labels: ROOM_LABELS,
    description: "Generated RGB-D rooms with captions",
    generator: { name: "rooms", ...options },
  });
  return dir;
}
