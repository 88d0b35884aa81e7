import { describe, expect, test } from "@jest/globals";
import { parseFederationConfig, readFederationConfig } from "../../coordinator/config.ts";
import { CodedError } from "../../shared/errors.ts";

const LABELS = "labels: { segmentation: [background, lesion] }\n";

function failure(text: string): CodedError {
  try {
    parseFederationConfig(text);
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error("accepted");
}

describe("federation.yaml", () => {
  test("losses are chosen by name", () => {
    const { config } = parseFederationConfig(
      "federation: wards\nlabels: { scene: [a, b], depth: { kind: relative } }\n" +
        "training: { losses: { scene: [focal], depth: [ranking, ssim, smoothness] } }\n",
    );
    expect(config.training.losses).toEqual({
      segmentation: ["crossEntropy", "dice"],
      detection: ["focal", "giou"],
      depth: ["ranking", "ssim", "smoothness"],
      scene: ["focal"],
      weights: "learned",
    });
  });

  test("modality dropout and weather are set field by field", () => {
    const { config } = parseFederationConfig(
      `federation: wards\n${LABELS}training: { modalityDropout: { depth: 0.4 }, augmentation: { weather: { share: 0.5 } } }\n`,
    );
    expect(config.training.modalityDropout).toEqual({ rgb: 0.1, depth: 0.4, text: 0.3 });
    const kinds = ["low-light", "noise", "fog", "rain"];
    expect(config.training.augmentation.weather).toEqual({ share: 0.5, severity: 4, kinds });
  });

  test.each([
    ["modalityDropout: { text: 1 }", "training.modalityDropout.text"],
    ["modalityDropout: { sound: 0.1 }", "training.modalityDropout"],
    ["augmentation: { weather: { share: 1.1 } }", "training.augmentation.weather.share"],
    ["augmentation: { weather: { kinds: [rain, rain] } }", "training.augmentation.weather.kinds"],
    ["augmentation: { weather: { kinds: [no-depth] } }", "training.augmentation.weather.kinds"],
  ])("training: %s is refused", (text, field) => {
    const error = failure(`federation: wards\n${LABELS}training: { ${text} }\n`);
    expect([error.code, error.message]).toEqual(["CONFIG_INVALID", expect.stringContaining(field)]);
  });

  test("weather needs pictures", () => {
    const error = failure(
      `federation: wards\n${LABELS}input: { modalities: [depth] }\ntraining: { augmentation: { weather: { share: 0.5 } } }\n`,
    );
    expect(error.details).toMatchObject({ field: "training.augmentation.weather.share" });
  });

  test("the smallest one gets every default", () => {
    const checked = parseFederationConfig(`federation: wards\n${LABELS}`);
    expect(checked.config.schedule.cohort).toEqual({ fraction: 1, min: 4, max: 64, overSelect: 1.3 });
    expect(checked.config.schedule.phaseDeadlines.recruit).toBe(600_000);
    expect(checked.tolerated).toBe(1);
  });

  test.each([
    ["federation: x\nfedration: x\n", "CONFIG_INVALID", "fedration"],
    ["federation: Wards\n", "CONFIG_INVALID", "federation"],
    [`federation: wards\n${LABELS}schedule: { cohort: { min: 0 } }\n`, "CONFIG_INVALID", "schedule.cohort.min"],
    [`federation: wards\n${LABELS}schedule: { minSurvivors: 2 }\n`, "CONFIG_INVALID", "schedule.minSurvivors"],
    [`federation: wards\n${LABELS}schedule: { cohort: { max: 2001 } }\n`, "CONFIG_INVALID", "schedule.cohort.max"],
    [
      `federation: wards\n${LABELS}schedule: { cohort: { max: 1000 } }\nsecureAggregation: { corruptionRate: 0.2 }\n`,
      "CONFIG_INVALID",
      "secureAggregation.corruptionRate",
    ],
    [`federation: wards\n${LABELS}schedule: { cohort: { min: 8, max: 6 } }\n`, "CONFIG_INVALID", "schedule.cohort.max"],
    [
      `federation: wards\n${LABELS}schedule: { cohort: { min: 4 }, minSurvivors: 5 }\n`,
      "CONFIG_INVALID",
      "schedule.cohort.min",
    ],
    [
      `federation: wards\n${LABELS}schedule: { cohort: { min: 2, max: 4 }, minSurvivors: 3 }\nsecureAggregation: { mode: off }\n`,
      "CONFIG_INVALID",
      "schedule.minSurvivors",
    ],
    [`federation: wards\n${LABELS}schedule: { every: often }\n`, "CONFIG_INVALID", "schedule.every"],
    [
      `federation: wards\n${LABELS}schedule: { every: "Mon-Fri 19:00-06:00 Europe/Atlantis" }\n`,
      "CONFIG_INVALID",
      "schedule.every",
    ],
    [`federation: wards\nlabels: { depth: { kind: none } }\n`, "CONFIG_INVALID", "labels"],
    [`federation: wards\nlabels: { scene: [a, b, a] }\n`, "CONFIG_INVALID", "labels.scene"],
    [
      `federation: wards\n${LABELS}schedule: { untilMetric: { head: scene, metric: accuracy } }\n`,
      "CONFIG_INVALID",
      "schedule.untilMetric",
    ],
    [`federation: wards\n${LABELS}retry: { patience: soon }\n`, "CONFIG_INVALID", "retry.patience"],
    [
      `federation: wards\nlabels: { detection: [lesion] }\ntraining: { losses: { detection: [giou] } }\n`,
      "CONFIG_INVALID",
      "training.losses.detection",
    ],
    [
      `federation: wards\nlabels: { depth: { kind: relative } }\ntraining: { losses: { depth: [smoothness] } }\n`,
      "CONFIG_INVALID",
      "training.losses.depth",
    ],
    [
      `federation: wards\n${LABELS}training: { losses: { depth: [ranking, ssim] } }\n`,
      "CONFIG_INVALID",
      "training.losses.depth",
    ],
    [
      `federation: wards\n${LABELS}training: { losses: { segmentation: [dice, dice] } }\n`,
      "CONFIG_INVALID",
      "training.losses.segmentation",
    ],
    [
      `federation: wards\n${LABELS}training: { losses: { depth: [L3] } }\n`,
      "CONFIG_INVALID",
      "training.losses.depth[0]",
    ],
    [
      `federation: wards\n${LABELS}training: { proximal: 0.5 }\nstrategy: { name: fedprox, mu: 0.01 }\n`,
      "CONFIG_INVALID",
      "training.proximal",
    ],
    [
      `federation: wards\n${LABELS}schedule: { untilMetric: { head: segmentation, metric: iou, atLeast: 0.5 } }\n`,
      "CONFIG_INVALID",
      "schedule.untilMetric.metric",
    ],
    [
      `federation: wards\n${LABELS}training: { optimizer: { name: adam, momentum: 0.5 } }\n`,
      "CONFIG_INVALID",
      "training.optimizer.momentum",
    ],
  ])("refuses %j", (text, code, field) => {
    const error = failure(text);
    expect(error.code).toBe(code);
    expect(error.details.field).toBe(field);
    expect(error.message).toContain("federation.yaml");
    expect(error.message).toContain(field);
  });

  test("FedProx's mu becomes the clients' proximal term", () => {
    const { config } = parseFederationConfig(`federation: wards\n${LABELS}strategy: { name: fedprox, mu: 0.25 }\n`);
    expect(config.training.proximal).toBe(0.25);
    expect(parseFederationConfig(`federation: wards\n${LABELS}`).config.training.proximal).toBe(0);
  });

  test("sums that could overflow are refused before any round", () => {
    const error = failure(`federation: wards\n${LABELS}secureAggregation: { wordBits: 16 }\n`);
    expect(error.code).toBe("CONFIG_HEADROOM");
    expect(error.message).toContain("cohort.max");
  });

  test("the same key twice, and text that is no YAML, name the line", () => {
    expect(failure("federation: a\nfederation: b\n").message).toContain("line 2");
    expect(failure("federation: [a\n").code).toBe("CONFIG_INVALID");
  });

  test("a missing file is named", async () => {
    await expect(readFederationConfig("/nowhere/federation.yaml")).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("/nowhere/federation.yaml"),
    });
  });

  test("a robust rule needs a trusted coordinator and as many updates as its paper says", () => {
    const off = "secureAggregation: { mode: off }\n";
    const head = `federation: wards\n${LABELS}`;
    const hidden = failure(`${head}aggregation: { rule: krum }\n`);
    expect([hidden.code, hidden.details["field"]]).toEqual(["CONFIG_INVALID", "secureAggregation.groups"]);
    for (const [rule, needed] of [
      ["krum", 5],
      ["multiKrum", 5],
      ["bulyan", 7],
    ] as const) {
      const survivors = (n: number) => `schedule: { minSurvivors: ${n}, cohort: { min: ${n} } }\n`;
      const few = failure(`${head}${off}${survivors(needed - 1)}aggregation: { rule: ${rule}, attackers: 1 }\n`);
      expect([few.code, few.details["field"]]).toEqual(["CONFIG_INVALID", "schedule.minSurvivors"]);
      expect(few.message).toContain(`at least ${needed}`);
      parseFederationConfig(`${head}${off}${survivors(needed)}aggregation: { rule: ${rule}, attackers: 1 }\n`);
    }
  });
});
