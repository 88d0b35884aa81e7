/** What people and networks get wrong, met by the processes themselves: a coded error that names it, and an exit code. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { execFileSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import sharp from "sharp";
import { stringify } from "yaml";
import { sitePaths } from "../../client/site-folder.ts";
import { readEndpoint } from "../../coordinator/enrol/folder.ts";
import { clientName } from "../../shared/ids.ts";
import { Deployment, type Site } from "../../simulations/deployment.ts";
import { floatTiff } from "../reference/tiff.ts";
import { Machine } from "./machines.ts";
import {
  allReady,
  COMMAND,
  freePort,
  kill,
  namesOf,
  roundOver,
  scratch,
  smallConfig,
  trigger,
  until,
  writeSites,
} from "./small-federation.ts";

const here = new Machine(null, "");
let place: Awaited<ReturnType<typeof scratch>>;
let datasets: string[];
/** A federation whose coordinator runs, without any client. */
let deployment: Deployment;

beforeAll(async () => {
  place = await scratch();
  datasets = await writeSites(
    place.dir,
    namesOf(4).map((name) => `data-${name}`),
    5,
  );
  const config = smallConfig(await freePort(), { rounds: 1000, every: "manual", cohort: { min: 4 } });
  deployment = await Deployment.create(join(place.dir, "federation"), config, COMMAND);
  await deployment.startCoordinator([]);
});
afterAll(async () => {
  await deployment?.stop();
  await place?.remove();
});

async function expectRefused(words: readonly string[], exit: number, ...said: string[]): Promise<void> {
  const { code, stdout, stderr } = await here.allulook(...words);
  for (const text of said) expect(stderr).toContain(text);
  expect([code, stdout]).toEqual([exit, ""]);
}

/** A client goes on trying, as the operator may let it in again, and says at both ends why it is not let in. */
async function expectKeptOut(site: Site, code: string): Promise<void> {
  deployment.startClient(site);
  const says = (name: string) => logText(deployment, name).includes(code);
  await until(`${site.name} to be told ${code}`, async () => says(site.name) && says("coordinator"));
  expect((await deployment.status())?.clients.some(({ name, connected }) => name === site.name && connected)).toBe(
    false,
  );
  await kill(deployment, site.name);
}

async function invitation(name: string, valid: string): Promise<string> {
  const words = ["invite", name, "--config", deployment.paths.config, "--valid", valid];
  return (await here.json<{ token: string }>(...words)).token;
}

describe("files that people write", () => {
  test.each([
    ["an unknown field", { schedul: {} }, "schedul"],
    ["a word for a number", { schedule: { rounds: "many" } }, "schedule.rounds"],
    ["a cohort that no threshold allows", { schedule: { cohort: { min: 2 }, minSurvivors: 2 } }, "minSurvivors"],
    ["a certificate that is not there", { listen: { tls: { cert: "no.pem", key: "no.key" } } }, "listen.tls.cert"],
  ])("federation.yaml with %s: exit 2, the field named", async (_what, wrong, field) => {
    const folder = join(place.dir, `wrong-${field}`);
    await here.json("init", folder, "--name", "wrong", "--port", String(await freePort()));
    const file = join(folder, "federation.yaml");
    writeFileSync(file, stringify({ federation: "wrong", labels: { scene: ["a", "b"] }, ...wrong }));
    await expectRefused(["coordinator", "--config", file], 2, "CONFIG_", field);
  });

  test("labels that were changed after the first version was made with others: exit 2, said so", async () => {
    const folder = join(place.dir, "relabelled");
    const config = smallConfig(await freePort(), { rounds: 1 });
    const relabelled = await Deployment.create(folder, config, COMMAND);
    await relabelled.startCoordinator([]);
    await kill(relabelled, "coordinator");
    const file = relabelled.paths.config;
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace("labels:\n  detection:\n", "labels:\n  detection:\n    - more\n"),
    );
    await expectRefused(["coordinator", "--config", file], 2, "CONFIG_INVALID", "labels", "put them back");
  });

  test("site.yaml with a wrong field: exit 2, the field named", async () => {
    const site = await deployment.addSite(clientName.parse("typo"), datasets[0] as string);
    const { config } = sitePaths(site.folder);
    writeFileSync(config, readFileSync(config, "utf8").replace("minSurvivors: 3", "minSurvivors: three"));
    await expectRefused(["client", "--data", site.folder], 2, "CONFIG_INVALID", "policy.minSurvivors");
  });
});

describe("data", () => {
  test("every kind of damage is found by `data check`, by file, and exits 1", async () => {
    const folder = join(place.dir, "damaged");
    cpSync(datasets[0] as string, folder, { recursive: true });
    const file = join(folder, "annotations.json");
    interface Image {
      file_name: string;
      depth_file_name: string | null;
    }
    const content = JSON.parse(readFileSync(file, "utf8")) as {
      images: Image[];
      categories: { name: string }[];
    };
    const [cut, small, nan] = content.images as [Image, Image, Image];
    writeFileSync(join(folder, cut.file_name), readFileSync(join(folder, cut.file_name)).subarray(0, 200));
    const grey = { raw: { width: 8, height: 8, channels: 1 as const } };
    const depth = await sharp(
      Uint16Array.from({ length: 64 }, (_, i) => 900 + i),
      grey,
    )
      .toColourspace("grey16")
      .png()
      .toBuffer();
    small.depth_file_name = "depth/small.png";
    writeFileSync(join(folder, "depth", "small.png"), depth);
    nan.depth_file_name = "depth/nan.tiff";
    const readings = Array.from({ length: 64 * 64 }, (_, i) => (i === 65 ? Number.NaN : 1));
    writeFileSync(join(folder, "depth", "nan.tiff"), floatTiff(64, 64, readings));
    (content.categories[0] as { name: string }).name = "gargoyle";
    writeFileSync(file, JSON.stringify(content));

    const words = ["data", "check", folder, "--federation", deployment.paths.config, "--json"];
    const { code, stdout } = await here.allulook(...words);
    expect(code).toBe(1);
    const { problems } = JSON.parse(stdout) as {
      problems: { code: string; severity: string; file: string; message: string }[];
    };
    const errors = problems.filter(({ severity }) => severity === "error");
    const about = (name: string) => errors.filter(({ file: where }) => where === name).map((problem) => problem.code);
    expect(about(cut.file_name)).toContain("DATA_PICTURE");
    // Depth of another size is no damage: it is resampled, as the format says.
    expect(about("depth/small.png")).toEqual([]);
    expect(about("depth/nan.tiff")).toEqual(["DATA_DEPTH"]);
    expect(errors.find(({ file: where }) => where === "depth/nan.tiff")?.message).toContain("NaN at x 1, y 1");
    expect(errors.find(({ code: found }) => found === "DATA_UNKNOWN_CLASS")?.message).toContain("gargoyle");
  });

  test.each([
    ["an empty folder", (folder: string) => mkdirSync(folder), "DATA_EMPTY"],
    [
      "an unknown class",
      (folder: string) => {
        cpSync(datasets[0] as string, folder, { recursive: true });
        const file = join(folder, "annotations.json");
        writeFileSync(file, readFileSync(file, "utf8").replaceAll('"person"', '"gargoyle"'));
      },
      "DATA_UNKNOWN_CLASS",
    ],
  ])("a client with %s says so and ends", async (what, make, code) => {
    const folder = join(place.dir, what.replaceAll(" ", "-"));
    make(folder);
    const site = await deployment.addSite(clientName.parse(what.replaceAll(" ", "-")), folder);
    await expectRefused(["client", "--data", site.folder], 1, code);
  });
});

describe("membership", () => {
  test("an invitation that is none, was changed, has expired, or was used", async () => {
    const to = (name: string) => ["--data", join(place.dir, name)];
    await expectRefused(["join", "hello", ...to("none")], 2, "TOKEN_INVALID");
    const token = await invitation("late", "1s");
    const changed = token.slice(0, -2) + (token.endsWith("AA") ? "BB" : "AA");
    const { code, stderr } = await here.allulook("join", changed, ...to("changed"));
    expect([code, /TOKEN_INVALID/.test(stderr)]).toEqual([2, true]);
    await wait(1_100);
    await expectRefused(["join", token, ...to("late")], 2, "TOKEN_EXPIRED");
    const once = await invitation("once", "1h");
    await here.json("join", once, ...to("once"));
    await expectRefused(["join", once, ...to("twice")], 2, "TOKEN_USED");
  });

  test("a client that is not a member (any more)", async () => {
    const site = await deployment.addSite(clientName.parse("gone"), datasets[0] as string);
    await here.json("authority", "revoke", "gone", "--config", deployment.paths.config);
    await expectKeptOut(site, "CERTIFICATE_REVOKED");
  });

  test("a client whose key is not the enrolled one", async () => {
    const site = await deployment.addSite(clientName.parse("forged"), datasets[0] as string);
    const other = await deployment.addSite(clientName.parse("donor"), datasets[0] as string);
    const [to, from] = [sitePaths(site.folder).signingKey, sitePaths(other.folder).signingKey];
    rmSync(to);
    cpSync(from, to);
    await expectKeptOut(site, "AUTH_REFUSED");
  });
});

describe("the coordinator's port", () => {
  test("a request larger than allowed is refused by code, and the process lives on", async () => {
    const url = (await readEndpoint(deployment.paths))?.url as string;
    const body = JSON.stringify({ token: "x".repeat(4_000_000) });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/v1/join`, { method: "POST", headers, body });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { code: "WIRE_OVERSIZE" } });
    expect(await deployment.status()).not.toBeNull();
  });
});

describe("a full disk at the coordinator", () => {
  const folder = () => join(place.dir, "crowded");
  const data = () => join(folder(), "data");
  let mounted = false;

  beforeAll(() => {
    mkdirSync(data(), { recursive: true });
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=200m", "tmpfs", data()], { stdio: "ignore" });
      mounted = true;
    } catch {
      process.stderr.write("The full disk was not tried on a running coordinator: only root may mount one\n");
    }
  });
  afterAll(() => {
    if (mounted) execFileSync("umount", ["-l", data()]);
  });

  test("holds the round up, loses nothing, and the round goes on when there is room", async () => {
    if (!mounted) return;
    const config = smallConfig(await freePort(), { rounds: 1000, every: "manual", cohort: { min: 4 } });
    const crowded = await Deployment.create(folder(), config, COMMAND);
    try {
      const coordinator: ChildProcess = await crowded.startCoordinator([]);
      for (const [i, name] of namesOf(4).entries())
        crowded.startClient(await crowded.addSite(name, datasets[i] as string));
      const federation = { deployment: crowded, sites: crowded.sites };
      await allReady(federation);
      await trigger(crowded);
      await roundOver(crowded, 0);
      // Room for one of four vectors of 1.2 MB, and for the database.
      const { blocks, bfree, bsize } = statfsSync(data());
      resize((blocks - bfree) * bsize + 2_000_000);
      await trigger(crowded);
      await until("the disk to be full", async () => logText(crowded, "coordinator").includes("STORE_FULL"));
      expect([coordinator.exitCode, coordinator.signalCode]).toEqual([null, null]);
      resize(200_000_000);
      const report = await roundOver(crowded, 1);
      expect(report).toMatchObject({ status: "completed" });
      expect(report.survivors).toBeGreaterThanOrEqual(3);
      expect(report.examples).toBe(4 * report.survivors);
    } finally {
      await crowded.stop();
    }

    function resize(bytes: number): void {
      execFileSync("mount", ["-o", `remount,size=${bytes}`, data()]);
    }
  });
});

/** What a process has said so far. */
function logText(of: Deployment, name: string): string {
  const file = of.logOf(name);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}
