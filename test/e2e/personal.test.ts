/**
 * Adapters on another release's weights, with personal parts, in a deployed federation: sites fetch the base once, keep
 * their own parts over a power cut, and use them beside the release; nothing else of the model leaves them.
 */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { decodePersonal } from "../../client/model-cache/personal.ts";
import { sitePaths } from "../../client/site-folder.ts";
import { checkFederationConfig } from "../../coordinator/config.ts";
import { completeConfig } from "../../coordinator/own-model.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import { readModelCard } from "../../shared/release/model-card.ts";
import { untrainedRelease } from "../fakes/untrained-release.ts";
import { Machine } from "./machines.ts";
import {
  allReady,
  freePort,
  kill,
  namesOf,
  roundOver,
  scratch,
  smallConfig,
  startFederation,
  trigger,
  until,
  writeSites,
} from "./small-federation.ts";

const here = new Machine(null, "");
let place: Awaited<ReturnType<typeof scratch>>;
beforeAll(async () => {
  await loadEngine();
  place = await scratch();
});
afterAll(() => place.remove());

test("sites keep their parts over a power cut, and the release is a whole model with them and without", async () => {
  const schedule = { every: "manual", rounds: 2, minSurvivors: 3, cohort: { min: 3, max: 3 } };
  const plain = smallConfig(await freePort(), schedule);
  const { training, model: _model, ...rest } = plain;
  const raw = {
    ...rest,
    model: { init: await untrainedRelease({ ...plain, seed: 12 }) },
    training: { ...training, trainable: "adapters", adapters: { rank: 2 }, personal: ["norms", "scene"] },
  };
  const { config } = checkFederationConfig(federationConfig.parse(await completeConfig(raw, place.dir, "test")));
  const datasets = await writeSites(join(place.dir, "data"), namesOf(3), 6);
  const folder = join(place.dir, "federation");
  const federation = await startFederation(folder, config, datasets);
  const { deployment, sites } = federation;
  try {
    await allReady(federation);
    for (const round of [0, 1]) {
      await trigger(deployment);
      await roundOver(deployment, round);
    }
    const [site] = sites as [(typeof sites)[number]];
    await kill(deployment, site.name);
    await until("the site to be missed", async () =>
      (await deployment.status())?.clients.some((client) => client.name === site.name && !client.connected),
    );
    deployment.startClient(site);
    await allReady(federation);
    await trigger(deployment);
    await roundOver(deployment, 2);
    const paths = sitePaths(site.folder);
    const installed = join(paths.releases, "2");
    await until("the release to be installed", async () => existsSync(join(installed, "manifest.json")));

    const [layout] = (await readdir(paths.personal)) as [string];
    const kept = (await readdir(join(paths.personal, layout))).toSorted();
    expect(kept.map((name) => name.split("-")[0])).toEqual(["1", "2"]);
    const newest = await readFile(join(paths.personal, layout, kept[1] as string));
    expect(await readFile(join(paths.releases, "personal", "2.personal"))).toEqual(newest);
    const names = decodePersonal(newest).layout.tensors.map(({ name }) => name);
    expect(names.every((name) => /scale$/i.test(name) || name.startsWith("head_scene"))).toBe(true);
    expect(await readdir(paths.models)).toContain(`${config.model.base?.sha256}.base`);

    // What left: vectors of the federated params' length, which names none of these.
    const release = join(folder, "releases", "2");
    const card = readModelCard(await readFile(join(release, "model", "model.json")));
    const federated = card.tensors.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(card.tensors.some(([name]) => names.includes(name))).toBe(false);
    const sent = (await readFile(paths.outbox, "utf8")).trim().split("\n");
    const vectors = sent
      .map((line) => JSON.parse(line) as { kind: string; bytes: number; session: { purpose: string } | null })
      .filter(({ kind, session }) => kind === "masked vector" && session?.purpose === "training");
    expect(vectors).toHaveLength(2);
    for (const { bytes } of vectors) expect(Math.abs(bytes / 4 - federated)).toBeLessThan(100);

    expect((await here.allulook("release", "verify", release)).code).toBe(0);
    const image = join(datasets[0] as string, "annotations.json");
    const first = JSON.parse(await readFile(image, "utf8")) as { images: { file_name: string }[] };
    const picture = join(datasets[0] as string, first.images[0]?.file_name ?? "");
    const seen = async (model: string) =>
      here.allulook("predict", "--model", model, "--image", picture, "--out", join(place.dir, "seen"));
    const [mine, bare] = [await seen(installed), await seen(release)];
    expect([mine.code, bare.code]).toEqual([0, 0]);
    expect(mine.stderr).toContain("with a site's own norms, scene");
    expect(bare.stderr).toContain("initial values");
  } finally {
    await deployment.stop();
  }
});
