import { describe, expect, test } from "@jest/globals";
import { parseFederationConfig } from "../../coordinator/config.ts";

const federation = (training: string, labels = "segmentation: [background, lesion]") =>
  parseFederationConfig(`federation: wards\nlabels: { ${labels} }\ntraining: ${training}\n`);

describe("ways of training that do not fit the rest of federation.yaml", () => {
  const sided = "scene: [normal, opacity in the left lung]";
  test.each([
    ["{ augmentation: { flip: { probability: 0.5 } } }", sided, "training.augmentation.flip.probability"],
    ["{ augmentation: { zoom: [1.5, 2] } }", undefined, "training.augmentation.zoom[0]"],
    ["{ semiSupervised: {} }", "depth: { kind: metric }", "training.semiSupervised"],
    ["{ semiSupervised: { confidence: 0.3 } }", undefined, "training.semiSupervised.confidence"],
    ["{ curriculum: { measure: mood } }", undefined, "training.curriculum.measure"],
    ["{ augmentation: { blur: 1 } }", undefined, "training.augmentation.blur"],
    ["{ personal: [depth] }", "segmentation: [background, lesion], depth: { kind: none }", "training.personal"],
    ["{ trainable: heads, personal: [heads] }", undefined, "training.personal"],
    ["{ trainable: heads, personal: [segmentation, depth] }", undefined, "training.personal"],
    ["{ trainable: adapters, adapters: { rank: 0 } }", undefined, "training.adapters.rank"],
  ])("%s", (training, labels, field) => {
    expect(() => federation(training, labels)).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", details: expect.objectContaining({ field }) }),
    );
  });

  test("mirroring is allowed where no class tells sides apart, and where nothing is mirrored", () => {
    const { flip } = federation("{ augmentation: { flip: { probability: 0.5 } } }").config.training.augmentation;
    expect(flip).toEqual({ probability: 0.5, words: [["left", "right"]] });
    expect(() => federation("{}", sided)).not.toThrow();
  });
});
