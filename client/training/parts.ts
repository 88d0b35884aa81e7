/** Opens the folders that one client's samples lie in, as one dataset. */
import { concat } from "../data/concat.ts";
import { openDataset } from "../data/open-dataset.ts";
import { subset } from "../data/subset.ts";
import type { Dataset } from "../../models/preprocess/sample.ts";
import type { Labels } from "../../shared/config/federation.ts";
import type { DataPart } from "./pool-messages.ts";

/** Throws DATA_ codes, as `openDataset` does. */
export async function openParts(parts: readonly DataPart[], labels: Labels): Promise<Dataset> {
  const opened = await Promise.all(
    parts.map(async ({ dir, map, indices }) => {
      const whole = await openDataset(dir, { labels, ...(map !== undefined && { map }) });
      return indices === undefined ? whole : subset(whole, indices);
    }),
  );
  return concat(opened);
}
