/**
 * What a coordinator could ever see of one client in a deployed round: everything that went over its sockets and
 * everything on its disk and in its database while the vectors were there. Vectors are noise, and nothing else holds an
 * update.
 */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createHash } from "node:crypto";
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ChildProcess } from "node:child_process";
import { parseDocument } from "yaml";
import { openDataset } from "../../client/data/open-dataset.ts";
import { sitePaths } from "../../client/site-folder.ts";
import { createTrainer } from "../../client/training/allulook-trainer.ts";
import { encodeUpdate } from "../../client/update/encode.ts";
import { decodeServerState } from "../../coordinator/optimizer/server-state-codec.ts";
import { initialModel } from "../../coordinator/release/initial-model.ts";
import { FileBlobs } from "../../coordinator/store/blobs.ts";
import { openPrismaStore } from "../../coordinator/store/prisma.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { fixedPoint, signedView } from "../../shared/quantize/fixed-point.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { bytesOf, type Words } from "../../shared/secagg/mask.ts";
import { trainingLayout } from "../../shared/secagg/vector-layout.ts";
import { Deployment } from "../../simulations/deployment.ts";
import { chiSquare, correlation } from "../reference/uniformity.ts";
import { haltIn, type PhaseName } from "./phase-watch.ts";
import { storedState } from "./stored-state.ts";
import { recordingProxy, uploadsIn, type RecordingProxy } from "./recording-proxy.ts";
import {
  allReady,
  COMMAND,
  freePort,
  namesOf,
  roundOver,
  scratch,
  smallConfig,
  trigger,
  writeSites,
} from "./small-federation.ts";

const NAMES = namesOf(4);
/** Windows of so many bytes, so many of each vector, are looked for in everything. */
const NEEDLE = 16;
const NEEDLES = 8;

interface Upload {
  readonly hash: string;
  readonly body: Buffer;
}

let place: Awaited<ReturnType<typeof scratch>>;
let config: FederationConfig;
let deployment: Deployment;
let proxy: RecordingProxy;
/** Of round 1, by client: what was recorded in the database, and what lay on disk under that hash. */
const stored = new Map<string, { hash: string; bytes: Uint8Array }>();
let uploads: Upload[];
/** True deltas and their encoding, from the same training in this process. */
const truth = new Map<string, { delta: Float32Array; words: Words }>();
let initial: Float32Array;
let haystack: Buffer;

beforeAll(async () => {
  place = await scratch();
  const datasets = await writeSites(
    place.dir,
    NAMES.map((name) => `data-${name}`),
    10,
  );
  const port = await freePort();
  const small = smallConfig(port, { rounds: 1, every: "manual", cohort: { min: 4 } });
  // The first step of adam is as long in every coordinate; after more, updates have a shape of their own.
  config = { ...small, training: { ...small.training, localSteps: 4 } };
  proxy = await recordingProxy(port);
  deployment = await Deployment.create(join(place.dir, "federation"), config, COMMAND);
  const coordinator = await deployment.startCoordinator([]);
  for (const [i, name] of NAMES.entries()) {
    const site = await deployment.addSite(name, datasets[i] as string);
    const file = sitePaths(site.folder).config;
    const yaml = parseDocument(await readFile(file, "utf8"));
    yaml.set("coordinator", `http://127.0.0.1:${proxy.port}`);
    // The same number as here: the order of sums, and so the last digits, depend on it.
    yaml.setIn(["policy", "cpu", "threads"], 1);
    await writeFile(file, yaml.toString());
    deployment.startClient(site);
  }
  await allReady({ deployment, sites: deployment.sites });
  await trigger(deployment);
  await roundOver(deployment, 0);
  await trigger(deployment);
  await keepWhatIsThere(coordinator, "collecting-masked-inputs");
  const { events } = await keepWhatIsThere(coordinator, "unmasking");
  await roundOver(deployment, 1);
  await deployment.stop();
  await proxy.close();

  const blobs = new FileBlobs(join(place.dir, "unmasking", "blobs"));
  for (const event of events) {
    if (event.type !== "step" || event.vector === null) continue;
    stored.set(event.client, { hash: event.vector.hash, bytes: await blobs.get(event.vector.hash) });
  }
  uploads = proxy.recordings().flatMap(({ upstream }) => uploadsIn(upstream));
  await trainAgain(datasets);
  const passed = proxy.recordings().flatMap(({ upstream, downstream }) => [upstream, downstream]);
  const kept = await Promise.all(
    ["collecting-masked-inputs", "unmasking", "federation/data"].map((dir) => filesBelow(join(place.dir, dir))),
  );
  haystack = Buffer.concat([...passed, ...kept.flat()]);
});
afterAll(async () => {
  await deployment?.stop();
  await place?.remove();
});

/** Copies the coordinator's data folder while its process is halted in a phase. */
async function keepWhatIsThere(coordinator: ChildProcess, phase: PhaseName) {
  const halt = await haltIn(coordinator, deployment.paths.database, phase);
  await cp(join(deployment.folder, "data"), join(place.dir, phase), { recursive: true });
  coordinator.kill("SIGCONT");
  return halt;
}

async function filesBelow(dir: string): Promise<Buffer[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return Promise.all(entries.filter((one) => one.isFile()).map((one) => readFile(join(one.parentPath, one.name))));
}

async function trainAgain(datasets: readonly string[]): Promise<void> {
  await loadEngine({ threads: 1 });
  const { model, labels, input, training, seed } = config;
  const begin = await initialModel({ model, labels, input, training }, seed, join(place.dir, "initial"));
  initial = await begin.params();
  const { wordBits, maxWeight, examplesPerWeight } = config.secureAggregation;
  const cohortMax = config.schedule.cohort.max;
  const layout = trainingLayout({ wordBits, cohortMax, coordinates: initial.length });
  const fixed = fixedPoint({ wordBits, cohortMax, maxWeight, coordinateBound: config.clip.coordinate });
  const rules = { layout, fixed, clipNorm: config.clip.norm, examplesPerWeight };
  for (const [i, clientName] of NAMES.entries()) {
    const dataset = await openDataset(datasets[i] as string, { labels });
    const trainer = await createTrainer({ config, dataset, clientName, seed });
    const { delta, examplesSeen, lossSum } = await trainer.train({
      params: initial,
      round: 1,
      rng: Rng.of(seed, "train", clientName, 1),
      signal: new AbortController().signal,
      onProgress: () => {},
    });
    const { examples } = trainer;
    const { words } = encodeUpdate(rules, trainer.layout, { delta, examples, examplesSeen, lossSum });
    truth.set(clientName, { delta, words });
    trainer.dispose();
  }
}

function uniform(bytes: Uint8Array): boolean {
  return [0, 1, 2, 3].every((at) => {
    const { value, limit } = chiSquare(bytes, 4, at);
    return value < limit;
  });
}

function series(bytes: Uint8Array): ArrayLike<number> {
  return signedView(new Uint32Array(new Uint8Array(bytes).buffer));
}

test("everything a client uploads was recorded: a vector for each sum, in the bytes that its hash says", () => {
  // Evaluation of round 0, training and evaluation of round 1.
  expect(uploads).toHaveLength(3 * NAMES.length);
  for (const { hash, body } of uploads) expect(createHash("sha256").update(body).digest("hex")).toBe(hash);
  expect([...stored.keys()].toSorted()).toEqual(NAMES);
  for (const { hash, bytes } of stored.values()) {
    const sent = uploads.find((upload) => upload.hash === hash);
    expect(Buffer.compare(sent?.body as Buffer, bytes)).toBe(0);
  }
});

test("the deltas trained here are those of the round: their mean is the step that the server took", async () => {
  const store = await openPrismaStore(deployment.paths.database);
  const { state } = storedState(await store.recover());
  await store.close();
  const blobs = new FileBlobs(deployment.paths.blobs);
  const { params } = decodeServerState(await blobs.get(state.serverStates[0] as Sha256), initial.length);
  const deltas = [...truth.values()].map(({ delta }) => delta);
  let worst = 0;
  for (let i = 0; i < initial.length; i++) {
    const mean = deltas.reduce((sum, delta) => sum + (delta[i] as number), 0) / deltas.length;
    worst = Math.max(worst, Math.abs((params[i] as number) - (initial[i] as number) - mean));
  }
  expect(worst).toBeLessThan(1e-5);
});

test("every vector is uniform, those of evaluations, too; what it hides is not", () => {
  for (const { body } of uploads) {
    expect(body.length / 4).toBeGreaterThan(5 * 256);
    expect(uniform(body)).toBe(true);
  }
  for (const { words } of truth.values()) expect(uniform(bytesOf(words))).toBe(false);
});

test("no vector says anything about any client's update, nor about another vector", () => {
  for (const [name, { bytes }] of stored) {
    const masked = series(bytes);
    for (const { words } of truth.values()) {
      const { value, limit } = correlation(masked, signedView(words));
      expect(Math.abs(value)).toBeLessThan(limit);
    }
    for (const [other, { bytes: theirs }] of stored) {
      const { value, limit } = correlation(masked, series(theirs));
      if (other === name) expect(value).toBeGreaterThan(limit);
      else expect(Math.abs(value)).toBeLessThan(limit);
    }
  }
  for (const { words } of truth.values()) {
    const { value, limit } = correlation(signedView(words), signedView(words));
    expect(value).toBeGreaterThan(limit);
  }
});

test("no piece of an update, as floats or as integers, is in anything else on disk, in the database or on the line", () => {
  for (const { delta, words } of truth.values()) {
    for (const values of [delta, words]) {
      const needles = needlesOf(values);
      expect(needles).toHaveLength(NEEDLES);
      for (const needle of needles) expect(haystack.includes(needle)).toBe(false);
    }
  }
  // The search finds what is there: the vectors, and the model everybody starts from.
  for (const { bytes } of stored.values()) expect(haystack.includes(Buffer.from(bytes.subarray(400, 416)))).toBe(true);
});

test("what goes up beside the vectors has no room for one", () => {
  const up = proxy.recordings().reduce((sum, { upstream }) => sum + upstream.length, 0);
  const vectors = uploads.reduce((sum, { body }) => sum + body.length, 0);
  const [one] = [...stored.values()];
  expect(up - vectors).toBeLessThan((one as { bytes: Uint8Array }).bytes.length / 2);
});

test("after the round no vector is left", async () => {
  const blobs = new FileBlobs(deployment.paths.blobs);
  for (const { hash } of stored.values()) expect(await blobs.has(hash as Sha256)).toBe(false);
});

/** Runs of values that are all far from zero, spread over the vector. */
function needlesOf(values: Float32Array | Words): Buffer[] {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const found: Buffer[] = [];
  const stride = Math.floor(values.length / NEEDLES);
  for (let part = 0; part < NEEDLES; part++) {
    for (let i = part * stride; i < (part + 1) * stride - 4; i++) {
      if ([0, 1, 2, 3].some((k) => values[i + k] === 0)) continue;
      found.push(bytes.subarray(i * 4, i * 4 + NEEDLE));
      break;
    }
  }
  return found;
}
