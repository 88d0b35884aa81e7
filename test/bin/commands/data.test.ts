import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { Command } from "commander";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { register } from "../../../bin/commands/data.ts";
import { reportError } from "../../../bin/output.ts";
import { storePlan } from "../../../client/plan/approvals.ts";
import { sitePaths } from "../../../client/site-folder.ts";
import { parseFederationConfig } from "../../../coordinator/config.ts";
import { planOf, planText } from "../../../shared/config/plan.ts";
import { folderWith, gray, picture } from "../../fakes/dataset-folder.ts";

/** Runs `allulook data …` in this process; stdout and exit code. */
async function data(...words: string[]): Promise<{ out: string; code: number }> {
  let out = "";
  process.exitCode = 0;
  jest.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  jest.spyOn(process.stderr, "write").mockImplementation(() => true);
  const program = new Command("allulook").exitOverride();
  register(program);
  try {
    await program.parseAsync(["data", ...words], { from: "user" });
  } catch (error) {
    process.exitCode = reportError(error, words.includes("--json"));
  }
  const code = Number(process.exitCode);
  process.exitCode = 0;
  jest.restoreAllMocks();
  return { out, code };
}

afterEach(() => {
  process.exitCode = 0;
});

const federation = `
federation: pets
labels: { detection: [cat, dog], depth: { kind: none } }
`;

async function pets(): Promise<string> {
  return folderWith({
    "a.png": await picture(4, 4),
    "m.png": await gray(new Uint8Array(16), 4, 4),
    "annotations.json": {
      images: [{ id: 1, file_name: "a.png" }],
      categories: [{ id: 1, name: "hound" }],
      annotations: [{ image_id: 1, category_id: 1, bbox: [0, 0, 1, 1] }],
    },
    "federation.yaml": federation,
    "site.yaml": "coordinator: https://fl.example.org\nlabels: { map: { hound: dog } }\n",
  });
}

describe("allulook data check", () => {
  test("0 when the data fits, with one JSON document on stdout", async () => {
    const dir = await pets();
    const files = ["--federation", join(dir, "federation.yaml"), "--site", join(dir, "site.yaml")];
    const { out, code } = await data("check", dir, ...files, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ ok: true, inferredLabels: false, labels: { detection: ["cat", "dog"] } });
  });

  test("with a site's file alone, the labels are those of the training plan that has come to it", async () => {
    const dir = await pets();
    const words = ["check", dir, "--site", join(dir, "site.yaml"), "--json"];
    expect(JSON.parse((await data(...words)).out)).toMatchObject({ ok: true, inferredLabels: true });
    const text = planText(planOf(parseFederationConfig(federation).config));
    await storePlan(sitePaths(dir).plan, text, 0);
    expect(JSON.parse((await data(...words)).out)).toMatchObject({ ok: true, labels: { detection: ["cat", "dog"] } });
    await writeFile(join(dir, "site.yaml"), "coordinator: https://fl.example.org\n");
    const unmapped = await data(...words);
    expect(unmapped.code).toBe(1);
    expect(unmapped.out).toContain("DATA_UNKNOWN_CLASS");
  });

  test("1 when a class is unknown, and the text says which", async () => {
    const dir = await pets();
    const { out, code } = await data("check", dir, "--federation", join(dir, "federation.yaml"));
    expect(code).toBe(1);
    expect(out).toContain('error DATA_UNKNOWN_CLASS: a.png: detection class "hound"');
    expect(out).toContain("labels.map");
  });

  test("1 for a folder that is not there, 2 for a wrong or missing configuration", async () => {
    const dir = await pets();
    expect((await data("check", join(dir, "none"), "--json")).code).toBe(1);
    expect((await data("check", dir, "--site", join(dir, "none.yaml"))).code).toBe(2);
    expect((await data("check", dir, "--federation", join(dir, "site.yaml"))).code).toBe(2);
    expect((await data("check")).code).toBe(2);
  });
});

describe("allulook data generate", () => {
  test("writes what check then finds in order, marked as generated", async () => {
    const dir = join(folderWith({}), "rooms");
    const options = ["--sites", "2", "--per-site", "3", "--size", "32x48", "--seed", "4"];
    const made = await data("generate", "--out", dir, ...options, "--json");
    expect(made.code).toBe(0);
    expect(JSON.parse(made.out)).toMatchObject({ generated: true, pictures: 6, size: [32, 48], seed: 4 });
    const { out, code } = await data("check", dir);
    expect(code).toBe(0);
    expect(out).toContain("This data is generated; it shows nothing real.");
    expect(out).toContain("48 x 32 pixels");
  });

  test.each([[["--size", "big"]], [["--sites", "-1"]], [["--skew", "2"]], [["--sites", "0"]], [["--size", "4"]]])(
    "2 for %j",
    async (options) => {
      expect((await data("generate", "--out", join(folderWith({}), "x"), ...options)).code).toBe(2);
    },
  );
});
