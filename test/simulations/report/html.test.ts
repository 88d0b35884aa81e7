import { describe, expect, test } from "@jest/globals";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chartsOf } from "../../../simulations/report/charts.ts";
import { reportPage, writeReport } from "../../../simulations/report/html.ts";
import { picturePanels } from "../../../simulations/report/pictures.ts";
import { report as schema, type Report } from "../../../simulations/report/schema.ts";
import { examplePicture, exampleReport } from "../../fakes/report.ts";

const pictures = [await picturePanels(examplePicture())];

describe("report.json", () => {
  test("has the fields that it is documented with, and refuses others", () => {
    const report = exampleReport();
    expect(schema.parse(report)).toEqual(report);
    for (const field of Object.keys(report).filter((name) => name !== "data")) {
      expect(schema.safeParse({ ...report, [field]: undefined }).success).toBe(false);
    }
    expect(schema.safeParse({ ...report, more: 1 }).success).toBe(false);
    const [first, ...rest] = report.rounds;
    const negative = { ...report, rounds: [{ ...first, survivors: -1 }, ...rest] };
    expect(schema.safeParse(negative).success).toBe(false);
  });
});

describe("report.html", () => {
  test("is written beside report.json and the pictures", async () => {
    const folder = await mkdtemp(join(tmpdir(), "report-"));
    try {
      const written = await writeReport(folder, exampleReport(), pictures);
      expect(JSON.parse(await readFile(written.json, "utf8"))).toEqual(exampleReport());
      expect((await readFile(written.html, "utf8")).startsWith("<!doctype html>")).toBe(true);
      const files = await readdir(written.pictures.folder);
      expect(files.length).toBe(written.pictures.count);
      expect(files).toContain("1-site_b_picture_b_-segmentation.png");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("asks nobody for anything and allows only its own script and style", async () => {
    const page = await reportPage(exampleReport(), pictures);
    const [head = "", ...rest] = page.split("</head>");
    const sources = [...rest.join().matchAll(/\b(?:src|href)="([^"]*)"/g)].map(([, url]) => url ?? "");
    expect(sources.length).toBeGreaterThan(pictures.length);
    expect(sources.filter((url) => !/^(data:image\/png;base64,|#)/.test(url))).toEqual([]);
    expect(head).not.toMatch(/<link|@import|url\(/);
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1] ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("unsafe");
    for (const tag of ["style", "script"]) {
      const [, text = ""] = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(page) ?? [];
      expect(policy).toContain(`${tag}-src 'sha256-${createHash("sha256").update(text).digest("base64")}'`);
    }
    expect(page).not.toMatch(/\sstyle="|\son[a-z]+="/);
  });

  test("names, captions and codes are text, never markup", async () => {
    const page = await reportPage(exampleReport(), pictures);
    expect(page).not.toContain("<script>alert");
    expect(page).not.toContain("<b>picture");
    expect(page).toContain("&#60;script&#62;alert(1)&#60;/script&#62;");
    expect(page).toContain("north &#38; south");
  });

  test("says that data is generated, what failed and why, and shows the depth baseline", async () => {
    const page = await reportPage(exampleReport(), pictures);
    expect(page).toContain("generated data, not real pictures");
    expect(page).toContain("SECAGG_SURVIVORS_FEW");
    expect(page).toMatch(/mean depth map of the training pictures[\s\S]*?55\.0 %[\s\S]*?0\.250/);
    expect(page).toMatch(/27\.6 % of fp32/);
  });

  test("does without release, scores and pictures", async () => {
    const bare: Report = { ...exampleReport(), release: null, rounds: [] };
    const page = await reportPage(bare, []);
    expect(page).toContain("there is no release");
    expect(page).not.toContain("Predictions");
    expect(chartsOf(bare)).toEqual([]);
  });
});

test("each client stands by itself, where there are several", async () => {
  const score = (site: string, mIoU: number) => ({ site, samples: 8, metrics: { segmentation: { mIoU } } });
  const two = await reportPage({ ...exampleReport(), sites: [score("client-1", 0.251), score("client-2", 0.502)] }, []);
  const table = two.slice(two.indexOf("Each client by itself"));
  for (const part of ["client-1", "25.1", "client-2", "50.2"]) expect(table).toContain(part);
  const one = await reportPage({ ...exampleReport(), sites: [score("central", 0.251)] }, []);
  expect(one).not.toContain("Each client by itself");
});

test("charts hold what the rounds say, with the baseline beside depth, and only heads that were scored", () => {
  const report = exampleReport();
  const charts = chartsOf(report);
  expect(charts.map(({ title }) => title)).toEqual([
    "Training loss",
    "Segmentation",
    "Detection",
    "Depth from RGB: delta1",
    "Depth from RGB: absRel",
    "Depth completion: RMSE",
    "Scene",
  ]);
  const depth = charts[3];
  expect(depth?.x).toEqual({ label: "round", values: [0, 1, 2, 3] });
  expect(depth?.series.map(({ role, values }) => [role, values])).toEqual([
    ["main", [0.6, 0.65, null, 0.75]],
    ["baseline", [0.55, 0.55, null, 0.55]],
  ]);
  const rounds = report.rounds.map((entry) => ({ ...entry, metrics: {} }));
  expect(chartsOf({ ...report, rounds }).map(({ title }) => title)).toEqual(["Training loss"]);
});
