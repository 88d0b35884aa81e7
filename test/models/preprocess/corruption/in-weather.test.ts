import { describe, expect, test } from "@jest/globals";
import { inWeather } from "../../../../models/preprocess/corruption/in-weather.ts";
import { prepareSample } from "../../../../models/preprocess/prepare.ts";
import { Rng } from "../../../../shared/rng/rng.ts";
import { squareSample, testConfig } from "../../synthetic-samples.ts";

const config = testConfig();

describe("weather", () => {
  const weather = (over: object) =>
    testConfig({ training: { augmentation: { weather: over } } }).training.augmentation.weather;
  const sample = prepareSample(squareSample("a", Rng.of(1)), config);

  test("is off by default, and then draws nothing", () => {
    const rng = Rng.of("weather");
    const before = rng.save();
    expect(inWeather(sample, rng, config.training.augmentation.weather, "metric")).toBe(sample);
    expect(rng.save()).toEqual(before);
  });

  test("changes the colours of as many samples as configured, and nothing else", () => {
    const rng = Rng.of("weather");
    const seen = Array.from({ length: 200 }, () => inWeather(sample, rng, weather({ share: 0.5 }), "metric"));
    const changed = seen.filter((one) => one !== sample);
    expect(Math.abs(changed.length - 100)).toBeLessThan(25);
    expect(new Set(changed.map(({ rgb }) => String(rgb))).size).toBe(changed.length);
    for (const one of changed) expect({ ...one, rgb: sample.rgb }).toEqual(sample);
  });

  test("the same stream gives the same weather, whether or not earlier samples had any", () => {
    const run = (first: typeof sample) => {
      const rng = Rng.of("weather");
      inWeather(first, rng, weather({ share: 0.7 }), "metric");
      return inWeather(sample, rng, weather({ share: 0.7 }), "metric");
    };
    expect(run({ ...sample, rgb: null })).toEqual(run(sample));
  });
});
