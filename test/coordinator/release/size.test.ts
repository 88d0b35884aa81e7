import { beforeAll, expect, test } from "@jest/globals";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { buildModel } from "../../../models/registry.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { dtypesOf } from "../../../shared/quantize/dtype.ts";
import { encodeModel } from "../../../shared/quantize/model.ts";
import { packBytes } from "../../../shared/quantize/pack.ts";
import { MODEL_CARD_PATH, modelFiles } from "../../../shared/release/model-card.ts";

beforeAll(async () => {
  await loadEngine({ prefer: "cpu" });
});

test.each([
  ["nano", 0.3],
  ["tiny", 0.27],
] as const)("model/ of %s in int8 is at most %d of the same folder in fp32", (preset, most) => {
  const config = federationConfig.parse({
    federation: "size",
    model: { preset },
    labels: { detection: ["a", "b"], segmentation: ["a", "b", "c"], scene: ["a", "b"] },
  });
  const built = buildModel(config, 7);
  const { layout } = built;
  const card = modelFiles(config, layout).get(MODEL_CARD_PATH)?.length ?? 0;
  const int8 = encodeModel(layout, built.getParams(), "int8", []).bytes.length;
  const fp32 = packBytes("model", layout, dtypesOf(layout, "fp32"));
  expect(fp32).toBeGreaterThan(4 * layout.length);
  expect((int8 + card) / (fp32 + card)).toBeLessThan(most);
  built.dispose();
});
