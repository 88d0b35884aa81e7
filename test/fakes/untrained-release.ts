/** The model/ folder of a release that was never trained. Needs a loaded engine. */
import { join } from "node:path";
import { openModel } from "../../models/registry.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { encodeModel } from "../../shared/quantize/model.ts";
import { MODEL_WEIGHTS_PATH, modelFiles } from "../../shared/release/model-card.ts";
import { folderWith } from "./dataset-folder.ts";

export async function untrainedRelease(config: FederationConfig): Promise<string> {
  const built = await openModel(config, 7);
  const files = modelFiles(config, built.layout);
  files.set(MODEL_WEIGHTS_PATH, encodeModel(built.layout, built.getParams(), "fp32", []).bytes);
  built.dispose();
  return join(folderWith(Object.fromEntries(files)), "model");
}
