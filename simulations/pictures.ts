/** Prediction pictures for a report: a few held-out samples of every client, seen by the released model. */
import { loadRelease } from "../client/model-cache/load-model-folder.ts";
import { openParts } from "../client/training/parts.ts";
import { predict } from "../models/allulook4/predict.ts";
import { loadEngine } from "../models/engine/node/load.ts";
import { openModel } from "../models/registry.ts";
import type { ClientData } from "./arrange.ts";
import { picturePanels, type PicturePanels } from "./report/pictures.ts";

/** At most `count` samples, spread over the clients. `releaseFolder` must hold a `model/`. */
export async function predictionPictures(
  releaseFolder: string,
  clients: readonly ClientData[],
  count: number,
): Promise<PicturePanels[]> {
  const { config, seed, params } = await loadRelease(releaseFolder);
  await loadEngine();
  const built = await openModel(config, seed);
  try {
    built.setParams(params);
    const panels: PicturePanels[] = [];
    for (const { parts, indices } of chosen(clients, count)) {
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
function chosen(clients: readonly ClientData[], count: number): { parts: ClientData["parts"]; indices: number[] }[] {
  const each = Math.max(1, Math.floor(count / clients.length));
  return clients.slice(0, count).map(({ parts, split }) => {
    const held = split.evaluation;
    const indices = Array.from(
      { length: Math.min(each, held.length) },
      (_, i) => held[Math.floor((i * held.length) / each)],
    );
    return { parts, indices: indices.filter((index) => index !== undefined) };
  });
}
