/**
 * From the demo to real machines, by the commands that people type: coordinator, offline authority and five sites in
 * folders and network namespaces of their own, with TLS by a private certificate authority and one site behind a proxy.
 */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ChildProcess } from "node:child_process";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "yaml";
import { ROOM_LABELS } from "../../simulations/scenarios/labels.ts";
import { exitOf } from "../../simulations/deployment.ts";
import { Machine, machines, type Machines } from "./machines.ts";
import { freePort, scratch, SIZE, until, writeSites } from "./small-federation.ts";

const SITES = ["ash", "birch", "cedar", "elm", "fir"];
const REVOKED = "birch";
const PROXIED = "fir";

let place: Awaited<ReturnType<typeof scratch>>;
let net: Machines;
let port: number;
let datasets: string[];
const processes = new Map<string, ChildProcess>();

/** A path in the folder of one party; nothing else is shared than what the steps carry over. */
const at = (party: string, ...names: string[]) => join(place.dir, party, ...names);
const config = () => at("hub", "fed", "federation.yaml");
const log = (name: string) => at("logs", `${name}.log`);
const siteOf = (name: string) => at(name, "site");

function host(name: string): Machine {
  const machine = net.hosts[SITES.indexOf(name)] as Machine;
  const trusting = machine.with({ NODE_EXTRA_CA_CERTS: at(name, "ca.pem") });
  if (name !== PROXIED) return trusting;
  return trusting.with({ HTTPS_PROXY: `http://${machine.hub}:${port + 1}` });
}

/** The proxied site only knows an address that it has no way to. */
function urlFor(name: string): string {
  const [first = "127.0.0.1"] = net.addresses;
  return `https://${name === PROXIED ? first : (net.hosts[SITES.indexOf(name)] as Machine).hub}:${port}`;
}

function coordinate(): void {
  processes.set("coordinator", net.hub.start(log("coordinator"), "coordinator", "--config", config()));
}

function takePart(name: string): void {
  processes.set(name, host(name).start(log(name), "client", "--data", siteOf(name), "--json"));
}

interface Status {
  readonly running: boolean;
  readonly round: number;
  readonly paused: boolean;
  readonly phase: string;
  readonly clients: readonly { name: string; connected: boolean; ready: boolean }[];
}
const status = () => net.hub.json<Status>("status", "--config", config());
const rounds = () =>
  net.hub.json<{ round: number; status: string; cohort: number; survivors: number }[]>("rounds", "--config", config());

/** The rounds after `last`, once there are any. */
async function roundsAfter(last: number): Promise<Awaited<ReturnType<typeof rounds>>> {
  return until(`a round after ${last}`, async () => {
    const found = (await rounds()).filter(({ round }) => round > last);
    return found.length > 0 && found;
  });
}

beforeAll(async () => {
  place = await scratch();
  net = await machines(SITES.length);
  port = await freePort();
  for (const party of ["hub", "authority", "logs", ...SITES]) mkdirSync(at(party));
  datasets = await writeSites(
    place.dir,
    SITES.map((name) => join(name, "pictures")),
    5,
  );
});
afterAll(async () => {
  for (const child of processes.values()) child.kill("SIGKILL");
  await net?.remove();
  await place?.remove();
});

describe("a deployment", () => {
  test("the authority makes its key, the coordinator its folder", async () => {
    const authority = new Machine(null, "");
    await authority.json("authority", "init", at("authority", "key"), "--name", "trees");
    copyFileSync(at("authority", "key", "authority.json"), at("hub", "authority.json"));
    const { federation } = await net.hub.json<{ federation: string }>(
      "init",
      at("hub", "fed"),
      "--authority",
      at("hub", "authority.json"),
      "--host",
      "0.0.0.0",
      "--port",
      String(port),
    );
    expect(federation).toBe("trees");

    const names = net.addresses.map((address) => `IP:${address}`).join(",");
    const subject = `-subj /CN=coordinator -addext subjectAltName=${names}`;
    const files = `-keyout ${at("hub", "fed", "tls.key")} -out ${at("hub", "fed", "tls.pem")}`;
    const made = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 ${subject} ${files}`;
    execFileSync("openssl", made.split(" "), { stdio: "ignore" });
    for (const name of SITES) copyFileSync(at("hub", "fed", "tls.pem"), at(name, "ca.pem"));
    const yaml = parseDocument(readFileSync(config(), "utf8"));
    yaml.setIn(["listen", "tls"], { cert: "tls.pem", key: "tls.key" });
    yaml.set("labels", ROOM_LABELS);
    yaml.setIn(["input", "size"], [SIZE, SIZE]);
    yaml.setIn(["training"], { localSteps: 1, batchSize: 2 });
    yaml.setIn(["schedule", "rounds"], 500);
    writeFileSync(config(), yaml.toString());

    coordinate();
    await until("the coordinator", async () => (await status()).running);
    processes.set("proxy", net.hub.run(log("proxy"), process.execPath, [proxyFile(), String(port + 1)]));
    await until("the proxy", async () => readFileSync(log("proxy"), "utf8").includes("listening"));
  });

  test("sites are invited, join, and wait for the authority's signature", async () => {
    for (const [i, name] of SITES.entries()) {
      const invitation = ["invite", name, "--config", config(), "--url", urlFor(name), "--valid", "1h"];
      const { token } = await net.hub.json<{ token: string }>(...invitation);
      const words = ["--data", siteOf(name), "--dataset", datasets[i] as string, "--ca", at(name, "ca.pem")];
      const joined = await host(name).json<{ member: boolean }>("join", token, ...words);
      expect(joined.member).toBe(false);
    }
    // A client may be started before anybody has signed: it goes on by itself.
    takePart("ash");
    const list = await net.hub.json<{ name: string }[]>("clients", "--config", config());
    expect(list.map(({ name }) => name).toSorted()).toEqual(SITES);
  });

  test("the authority signs what is carried to it", async () => {
    const asked = ["authority", "requests", "--config", config(), "--out", at("hub", "requests.json")];
    const { requests } = await net.hub.json<{ requests: unknown[] }>(...asked);
    expect(requests).toHaveLength(SITES.length);
    copyFileSync(at("hub", "requests.json"), at("authority", "requests.json"));
    const sign = ["authority", "sign", at("authority", "requests.json"), "--key", at("authority", "key")];
    await new Machine(null, "").json(...sign, "--out", at("authority", "answers.json"));
    copyFileSync(at("authority", "answers.json"), at("hub", "answers.json"));
    const imported = ["authority", "import", at("hub", "answers.json"), "--config", config()];
    const { certificates } = await net.hub.json<{ certificates: string[] }>(...imported);
    expect(certificates.toSorted()).toEqual(SITES);
  });

  test("each site checks its data, reads the plan and approves it; nothing runs before", async () => {
    for (const [i, name] of SITES.entries()) {
      const checked = await host(name).allulook(
        "data",
        "check",
        datasets[i] as string,
        "--site",
        join(siteOf(name), "site.yaml"),
      );
      expect(checked.code).toBe(0);
      const shown = await until("the plan", async () => {
        const answer = await host(name).allulook("plan", "show", "--data", siteOf(name));
        return answer.code === 0 ? answer : null;
      });
      const [, hash = ""] = /Training plan ([0-9a-f]{64})/.exec(shown.stdout) ?? [];
      expect(shown.stdout).toContain("Not approved yet");
      expect(await rounds()).toEqual([]);
      const wrong = await host(name).allulook("plan", "approve", "0000", "--data", siteOf(name));
      expect(wrong.code).toBe(2);
      await host(name).json("plan", "approve", hash.slice(0, 8), "--data", siteOf(name), "--by", `someone at ${name}`);
    }
    for (const name of SITES.slice(1)) takePart(name);
  });

  test("rounds run between the machines", async () => {
    const [first] = await roundsAfter(0);
    expect(first).toMatchObject({ status: "completed" });
    expect(first?.survivors).toBeGreaterThanOrEqual(4);
    if (net.separate) expect(readFileSync(log("proxy"), "utf8")).toContain(`tunnel to ${urlFor(PROXIED).slice(8)}`);
    await until("all five", async () => (await rounds()).some(({ survivors, round }) => round > 0 && survivors === 5));
  });

  test("pause finishes the round under way, resume goes on", async () => {
    await net.hub.json("pause", "--config", config());
    await until("the round to end", async () => {
      const { paused, phase } = await status();
      return paused && phase === "idle";
    });
    const last = (await rounds()).at(-1)?.round ?? 0;
    expect((await status()).round).toBe(last);
    await net.hub.json("resume", "--config", config());
    await roundsAfter(last);
  });

  test("a revoked site is out at once; the others go on", async () => {
    const revoke = ["authority", "revoke", REVOKED, "--key", at("authority", "key")];
    await new Machine(null, "").json(...revoke, "--out", at("authority", "revoked.json"));
    copyFileSync(at("authority", "revoked.json"), at("hub", "revoked.json"));
    await net.hub.json("authority", "import", at("hub", "revoked.json"), "--config", config());
    const members = await net.hub.json<{ name: string; status: string }[]>("clients", "--config", config());
    expect(members.find(({ name }) => name === REVOKED)?.status).toContain("revoked");
    await until("it to be gone", async () =>
      (await status()).clients.every(({ name, connected }) => name !== REVOKED || !connected),
    );
    const last = (await rounds()).at(-1)?.round ?? 0;
    // The one under way may still have had it.
    for (const round of await roundsAfter(last + 1))
      expect(round).toMatchObject({ status: "completed", cohort: 4, survivors: 4 });
  });

  test("each site can list what left it", async () => {
    for (const name of SITES) {
      const list = await host(name).json<{ kind: string }[] | { entries: { kind: string }[] }>(
        "outbox",
        "--data",
        siteOf(name),
      );
      const kinds = new Set((Array.isArray(list) ? list : list.entries).map(({ kind }) => kind));
      expect(kinds).toContain("join");
      expect(kinds).toContain("masked vector");
    }
  });

  test("stop ends the coordinator and its clients in an orderly way", async () => {
    await net.hub.json("stop", "--config", config());
    for (const name of SITES.filter((one) => one !== REVOKED)) {
      expect([name, await exitOf(processes.get(name) as ChildProcess)]).toEqual([name, 0]);
    }
    expect(await exitOf(processes.get("coordinator") as ChildProcess)).toBe(0);
    expect((await net.hub.json<Status>("status", "--config", config())).running).toBe(false);
  });

  // Only now: while rounds run, both ends remove old releases.
  test("what came can be verified at the site, and what was published at the coordinator", async () => {
    const releases = join(siteOf("ash"), "state", "releases");
    const { active } = JSON.parse(readFileSync(join(releases, "active.json"), "utf8")) as { active: number };
    const verify = ["release", "verify"] as const;
    expect(await host("ash").allulook(...verify, join(releases, String(active)))).toMatchObject({
      code: 0,
      stderr: "",
    });
    const newest = (await rounds()).findLast(({ status: outcome }) => outcome === "completed");
    const published = at("hub", "fed", "releases", String(newest?.round));
    expect(await net.hub.allulook(...verify, published)).toMatchObject({ code: 0, stderr: "" });
  });
});

function proxyFile(): string {
  return new URL("connect-proxy.mjs", import.meta.url).pathname;
}
