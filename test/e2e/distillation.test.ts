/** Distillation as people do it: a released teacher, a simulated federation of students, and a deployed one. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { existsSync } from "node:fs";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { withTeacher } from "../../coordinator/teacher.ts";
import { checkFederationConfig } from "../../coordinator/config.ts";
import { Deployment } from "../../simulations/deployment.ts";
import { Machine } from "./machines.ts";
import { COMMAND, freePort, namesOf, scratch, SIZE, smallConfig, until, writeSites } from "./small-federation.ts";

const here = new Machine(null, "");
let place: Awaited<ReturnType<typeof scratch>>;
let datasets: string[];
beforeAll(async () => {
  place = await scratch();
  datasets = await writeSites(join(place.dir, "data"), namesOf(3), 6);
});
afterAll(() => place.remove());

test("a teacher that was trained centrally is distilled in a simulation and between processes", async () => {
  const small = ["--data", ...datasets, "--size", String(SIZE), "--local-steps", "1", "--batch-size", "2"];
  const out = (name: string) => ["--out", join(place.dir, name)];
  await here.json("train", ...small, ...out("teacher"));
  const teacher = join(place.dir, "teacher", "releases", "1");
  const simulate = ["simulate", ...small, "--clients", "3", "--rounds", "1", "--secure-aggregation", "off"];
  interface Report {
    readonly rounds: readonly { readonly loss: number | null }[];
  }
  const plain = await here.json<Report>(...simulate, ...out("plain"));
  const taught = await here.json<Report>(
    ...simulate,
    "--set",
    `training.distillation={teacher: ${teacher}, weight: 3}`,
    ...out("taught"),
  );
  expect(taught.rounds.at(-1)?.loss).toBeGreaterThan(plain.rounds.at(-1)?.loss ?? 0);

  const schedule = { rounds: 1, minSurvivors: 3, cohort: { min: 3, max: 3 } };
  const base = smallConfig(await freePort(), schedule);
  const distillation = { teacher, temperature: 2, weight: 1 };
  const wanted = { ...base, training: { ...base.training, distillation } };
  const config = await withTeacher(checkFederationConfig(wanted).config, place.dir);
  const folder = join(place.dir, "federation");
  const deployment = await Deployment.create(folder, config, COMMAND);
  try {
    await deployment.startCoordinator([]);
    for (const [i, name] of namesOf(3).entries()) {
      await deployment.addSite(name, datasets[i] as string);
      const site = deployment.sites[i] as (typeof deployment.sites)[number];
      await cp(teacher, join(site.folder, "teacher"), { recursive: true });
      const yaml = join(site.folder, "site.yaml");
      await writeFile(yaml, (await readFile(yaml, "utf8")).replace("teacher: null", "teacher: teacher"));
    }
    for (const site of deployment.sites) deployment.startClient(site);
    await until("the release", async () => existsSync(join(folder, "releases", "1", "manifest.json")));
  } finally {
    await deployment.stop();
  }
}, 240_000);
