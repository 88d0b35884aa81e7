/** `allulook compare-weights` and `pretrain` as people run them, on few and small pictures. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadRelease } from "../../client/model-cache/load-model-folder.ts";
import { shippedFolders } from "../../shared/config/pretrained.ts";
import { generatedData } from "../../simulations/generated-data.ts";
import { PRETRAINING_LABELS } from "../../simulations/pretraining/labels.ts";
import { Machine } from "./machines.ts";
import { scratch } from "./small-federation.ts";

const here = new Machine(null, "");
let place: Awaited<ReturnType<typeof scratch>>;
let data: string;

beforeAll(async () => {
  place = await scratch();
  data = await generatedData(join(place.dir, "data"), 4, 4, 32, 5);
});
afterAll(() => place.remove());

const small = "--clients 4 --rounds 1 --local-steps 1 --size 32".split(" ");

describe("compare-weights", () => {
  test("prints both ways to begin, before, after and centrally, and what the rounds reach", async () => {
    const out = join(place.dir, "compared");
    const words = ["compare-weights", "--data", data, ...small, "--random-rounds", "2", "--out", out];
    const { code, stdout, stderr } = await here.allulook(...words, "--json");
    expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
    const [measured] = JSON.parse(stdout) as { courses: Record<string, { rounds: unknown[]; central: object }> }[];
    expect(measured?.courses["pretrained"]?.rounds).toHaveLength(2);
    expect(measured?.courses["random"]?.rounds).toHaveLength(3);
    for (const course of Object.values(measured?.courses ?? {})) expect(course.central).toHaveProperty("segmentation");
    // What ships is what the federation began with, and it knows generated rooms.
    const begun = JSON.parse(
      await readFile(join(out, data.split("/").at(-1) ?? "", "pretrained", "federated", "setup.json"), "utf8"),
    );
    expect(begun.config.model.weights).toBe(shippedFolders().find(({ folder }) => folder === "allulook4-nano")?.sha256);
    const before = (init: string) => measured?.courses[init]?.rounds[0] as { segmentation: { mIoU: number } };
    expect(before("pretrained").segmentation.mIoU).toBeGreaterThan(before("random").segmentation.mIoU + 0.1);
    const text = await readFile(join(out, "weights.md"), "utf8");
    expect(text).toMatch(/\| data +\| metric +\| pretrained: before/);
  });

  test("judges scenes by cross-validation, with an interval and the majority class", async () => {
    const out = join(place.dir, "folds");
    const words = ["compare-weights", "--data", data, ...small, "--modalities", "rgb", "--folds", "2", "--out", out];
    const { code, stdout, stderr } = await here.allulook(...words, "--json");
    expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
    const { folds, majority } = JSON.parse(stdout) as { folds: { size: number }[]; majority: number };
    expect(folds.reduce((sum, { size }) => sum + size, 0)).toBe(16);
    expect(majority).toBeGreaterThan(0.2);
    expect(await readFile(join(out, "weights.md"), "utf8")).toMatch(/\| majority class +\| \.\d{3} /);
  });
});

test("pretrain makes a model folder with its card, the same again from the same seed", async () => {
  const make = async (name: string) => {
    const out = join(place.dir, name);
    const few = "--preset nano --seed 3 --steps 2 --pictures 3 --evaluation 2".split(" ");
    const { code, stdout, stderr } = await here.allulook("pretrain", ...few, "--out", out, "--json");
    expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
    return { out, report: JSON.parse(stdout) as { sha256: string; params: number; metrics: object } };
  };
  const [first, again] = [await make("pretrained"), await make("again")];
  expect(again.report.sha256).toBe(first.report.sha256);
  const { layout, params, config } = await loadRelease(first.out);
  expect(params).toHaveLength(first.report.params);
  expect(layout.length).toBe(first.report.params);
  expect(config.labels).toEqual(PRETRAINING_LABELS);
  expect(await readFile(join(first.out, "README.md"), "utf8")).toContain(first.report.sha256);
});
