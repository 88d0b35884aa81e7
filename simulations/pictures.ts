/** Prediction pictures for a report: a few held-out samples of every client, seen by the released model. */
import { loadRelease } from "../client/model-cache/load-model-folder.ts";
import { openRelease } from "../client/model-cache/open-release.ts";
import { openParts } from "../client/training/parts.ts";
import { predict } from "../models/allulook4/predict.ts";
import { loadEngine } from "../models/engine/node/load.ts";
import type { ClientData } from "./arrange.ts";
import { picturePanels, type PicturePanels } from "./report/pictures.ts";

/**
 * At most `count` samples, spread over the clients. `releaseFolder` must hold a `model/`. `personalOf`: what each client
 * has kept for itself.
 */
export async function predictionPictures(
  releaseFolder: string,
  clients: readonly ClientData[],
  count: number,
  personalOf?: (client: ClientData["name"]) => Promise<Float32Array | null>,
): Promise<PicturePanels[]> {
  const loaded = await loadRelease(releaseFolder);
  const { config } = loaded;
  await loadEngine();
  const built = await openRelease(loaded);
  try {
    const panels: PicturePanels[] = [];
    for (const { name, parts, indices } of chosen(clients, count)) {
      const own = (await personalOf?.(name)) ?? null;
      if (own !== null) built.setParams(loaded.params, own);
      const dataset = await openParts(parts, config.labels);
      for (const index of indices) {
        const sample = await dataset.load(index);
        const prediction = predict(built, config, sample);
        const withoutDepth =
          config.labels.depth.kind === "none" ? null : predict(built, config, sample, { depth: true });
        panels.push(await picturePanels({ sample, labels: config.labels, prediction, withoutDepth }));
      }
    }
    return panels;
  } finally {
    built.dispose();
  }
}

/** Held-out samples, evenly from each client's list. */
function chosen(
  clients: readonly ClientData[],
  count: number,
): { name: ClientData["name"]; parts: ClientData["parts"]; indices: number[] }[] {
  const each = Math.max(1, Math.floor(count / clients.length));
  return clients.slice(0, count).map(({ name, parts, split }) => {
    const held = split.evaluation;
    const indices = Array.from(
      { length: Math.min(each, held.length) },
      (_, i) => held[Math.floor((i * held.length) / each)],
    );
    return { name, parts, indices: indices.filter((index) => index !== undefined) };
  });
}
