import { describe, expect, test } from "@jest/globals";
import { withSettings } from "../../bin/settings.ts";

describe("settings from the command line", () => {
  const config = { training: { batchSize: 8, optimizer: { name: "adam", learningRate: 0.002 } }, seed: 7 };

  test("replace single fields and leave the rest, and the original, as they are", () => {
    const changed = withSettings(config, ["training.optimizer.name=sgd", "training.batchSize=2", "clip={ norm: 1 }"]);
    expect(changed).toEqual({
      training: { batchSize: 2, optimizer: { name: "sgd", learningRate: 0.002 } },
      seed: 7,
      clip: { norm: 1 },
    });
    expect(config.training.batchSize).toBe(8);
  });

  test.each(["training.batchSize", "traning.batchSize=2", "seed.of.all=1", "training.batchSize=[1", "__proto__.x=1"])(
    "refuse %s",
    (setting) => {
      expect(() => withSettings(config, [setting])).toThrow(expect.objectContaining({ code: "USAGE" }));
    },
  );
});
