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

  test("another strategy begins with its own fields, whatever the order; the same keeps those it has", () => {
    const averaging = { strategy: { name: "fedavg", serverMomentum: 0.5 } };
    const other = withSettings(averaging, ["strategy.population=9", "strategy.name=scaffold"]);
    expect(other).toEqual({ strategy: { name: "scaffold", population: 9 } });
    expect(withSettings(averaging, ["strategy.name=fedavg"])).toEqual(averaging);
  });

  test("leave what has an option to that option", () => {
    const elsewhere = { seed: "--seed", clip: "--clip" };
    for (const setting of ["seed=8", "clip.norm=1"])
      expect(() => withSettings(config, [setting], elsewhere)).toThrow(/use --(seed|clip)/);
  });

  test("keep a last key that is special to JavaScript, for the schema to refuse", () => {
    expect(Object.keys(withSettings(config, ["training.__proto__={}"]).training)).toContain("__proto__");
  });

  test.each(["training.batchSize", "traning.batchSize=2", "seed.of.all=1", "training.batchSize=[1", "__proto__.x=1"])(
    "refuse %s",
    (setting) => {
      expect(() => withSettings(config, [setting])).toThrow(expect.objectContaining({ code: "USAGE" }));
    },
  );
});
