import { describe, expect, test } from "@jest/globals";
import { describePlan } from "../../../client/plan/describe.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { planOf } from "../../../shared/config/plan.ts";
import { sitePolicy } from "../../../shared/config/site.ts";

const words = (federation: object, site: object = {}) =>
  describePlan(planOf(federationConfig.parse({ federation: "lungs", ...federation })), sitePolicy.parse(site))
    .flatMap(({ title, lines }) => [title, ...lines])
    .join("\n");

const hospital = {
  labels: { detection: ["lesion"], segmentation: ["background", "lesion"], scene: ["benign"], depth: { kind: "none" } },
  training: { localSteps: 20, batchSize: 8 },
  schedule: { rounds: 12, cohort: { min: 4, max: 16 }, minSurvivors: 3 },
};

describe("the plan in plain words", () => {
  test("says what is trained, on what, with whom", () => {
    const text = words(hospital);
    for (const part of [
      "allulook4",
      "lungs",
      "find objects (lesion)",
      "outline areas (background, lesion)",
      "name the scene (benign)",
      "12 rounds",
      "20 steps",
      "8 pictures",
      "colour pictures, depth maps, captions",
      "20 % of them are held out",
      "4 to 16 sites",
    ]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain("estimate depth");
  });

  test("names only the modalities and passes that there are", () => {
    const text = words({ input: { modalities: ["rgb"] }, training: { localEpochs: 2 }, labels: { scene: ["a"] } });
    expect(text).toContain("This site's colour pictures,");
    expect(text).toContain("2 passes over the data");
    expect(text).not.toContain("pictures, depth maps, captions, scaled");
  });

  test.each([
    ["malicious", "even if it cheats", "CAN read"],
    ["semi-honest", "only while the coordinator follows the protocol", "CAN read"],
    ["off", "can read it for this site alone", "only its sums"],
  ])("says what %s protects", (mode, said, unsaid) => {
    const text = words({ secureAggregation: { mode } });
    expect(text).toContain(said);
    expect(text).not.toContain(unsaid);
  });

  test("says what differential privacy protects, costs and keeps here", () => {
    const example = words({ privacy: { unit: "example", noiseMultiplier: 1.2, minExamples: 500 } });
    for (const part of [
      "every single picture",
      "epsilon",
      "with noise, and example counts",
      "do not leave this site",
    ]) {
      expect(example).toContain(part);
    }
    expect(example).not.toContain("scores on the held-out data.");
    const client = words({ privacy: { unit: "client", noiseMultiplier: 3, scores: "exact" } });
    for (const part of ["every whole site", "with noise, and nothing else", "this protection is not for them"]) {
      expect(client).toContain(part);
    }
    expect(client).not.toContain("No differential privacy");
  });

  test.each([
    ["no noise", { privacy: { unit: "client" } }],
    ["noise too fine for the words", { privacy: { unit: "client", noiseMultiplier: 1e-8 } }],
    ["epochs", { privacy: { unit: "example", noiseMultiplier: 1.2, minExamples: 500 }, training: { localEpochs: 9 } }],
  ])("names no epsilon for a promise that %s breaks", (_what, over) => {
    const text = words(over);
    expect(text).toContain("cannot be counted on");
    expect(text).toMatch(/REFUSED: .*POLICY_PRIVACY/);
    expect(text).not.toContain("cost at most epsilon");
  });

  test("says what a large cohort is safe against", () => {
    const large = { schedule: { cohort: { max: 300 } }, secureAggregation: { corruptionRate: 0.05 } };
    expect(words(large)).toContain("In rounds of more than 64 sites this holds while at most 5 %");
    expect(words({})).not.toContain("In rounds of more than");
    expect(words({ ...large, secureAggregation: { mode: "off" } })).not.toContain("In rounds of more than");
  });

  test("says what a strategy sends besides, and that groups are seen", () => {
    expect(words({ strategy: { name: "scaffold" } })).toContain("as many numbers again");
    expect(words({ strategy: { name: "qfedavg" } })).toContain("how well the model does on this site's training data");
    const grouped = words({ secureAggregation: { groups: { size: 4 } }, aggregation: { rule: "krum" } });
    for (const part of ["groups of 4", "each group of at least 3", "2 sites of a group that help it", "(krum)"])
      expect(grouped).toContain(part);
    expect(words({})).not.toContain("groups of");
  });

  test("says that what the sums are made of is kept, where it is", () => {
    expect(words({ transcripts: { keepInputs: 3 } })).toContain("the newest 3 rounds were made of");
    expect(words({})).not.toContain("were made of");
    const trusted = words({ transcripts: { keepInputs: 1 }, secureAggregation: { mode: "off" } });
    expect(trusted).toContain("keeps what every site sent in the newest round");
    expect(trusted).toContain("can read each site's change");
  });

  test("says what else is learned from, and that a teacher must be here", () => {
    const distillation = { teacher: "grown-up", sha256: "ab".repeat(32) };
    const text = words({ training: { semiSupervised: {}, curriculum: {}, distillation } });
    for (const part of ["Pictures without labels", "come first", "grown-up (abababababab)", "teacher in site.yaml"]) {
      expect(text).toContain(part);
    }
    expect(words({})).not.toContain("teacher");
  });

  test("never calls it private where there is no differential privacy, and says who can invent members", () => {
    expect(words({})).toContain("No differential privacy");
    expect(words({})).toContain("it could invent members");
    expect(words({ authority: "offline" })).toContain("does not hold");
  });

  test("shows what the site's own policy refuses, with what to do", () => {
    const text = words({ secureAggregation: { mode: "off" } }, { models: ["cnn"] });
    expect(text).toMatch(/REFUSED: policy\.models.*POLICY_MODEL/);
    expect(text).toMatch(/REFUSED: policy\.requireSecureAggregation.*POLICY_SECURE_AGGREGATION/);
    expect(words({})).toContain("Allowed, once a person has approved it.");
  });
});

test("says what is trained of the model, and what of it stays at the site", () => {
  const training = { trainable: "adapters", adapters: { rank: 8, full: ["heads"] }, personal: ["norms", "scene"] };
  const text = words({ ...hospital, training });
  for (const part of [
    "low-rank adapters of its kernels (rank 8), and its heads change",
    "keeps its own norms, scene: trained here, used here, and never sent",
    "file names, or this site's own norms, scene of the model.",
  ]) {
    expect(text).toContain(part);
  }
  expect(words(hospital)).not.toContain("own norms");
  const base = { sha256: "0".repeat(64), bytes: 10 };
  expect(words({ ...hospital, model: { init: "./base", base } })).toContain("weights of an earlier release");
});
