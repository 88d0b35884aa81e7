/** The operator's, the authority's and a site's commands, from `init` to `revoke`, with the coordinator running and stopped. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { Command } from "commander";
import { register as audit } from "../../../bin/commands/audit.ts";
import { register as authority } from "../../../bin/commands/authority.ts";
import { register as joining } from "../../../bin/commands/join.ts";
import { register as operator } from "../../../bin/commands/operator.ts";
import { memberActions } from "../../../coordinator/enrol/actions.ts";
import { federationPaths, openFederation, writeEndpoint } from "../../../coordinator/enrol/folder.ts";
import { readFederationYaml } from "../../../coordinator/enrol/init.ts";
import { SocketCoordinatorTransport } from "../../../coordinator/transport/server.ts";
import { lockFolder } from "../../../shared/node/lock.ts";
import { crypto, rng } from "../../fakes/transport-rig.ts";

let dir: string;
let stops: (() => Promise<void>)[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "allulook-commands-"));
  stops = [];
});
afterEach(async () => {
  for (const stop of stops) await stop();
  await rm(dir, { recursive: true, force: true });
});

/** Runs a command with --json and gives its one document; what goes to stderr is for people. */
async function allulook(...words: string[]): Promise<Record<string, unknown>> {
  const program = new Command().exitOverride();
  for (const register of [audit, authority, joining, operator]) register(program);
  const out: string[] = [];
  const write = jest.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0);
  const complain = jest.spyOn(process.stderr, "write").mockImplementation(() => true);
  try {
    await program.parseAsync(["node", "allulook", ...words, "--json"]);
  } finally {
    write.mockRestore();
    complain.mockRestore();
  }
  expect(out).toHaveLength(1);
  return JSON.parse(out[0]!) as Record<string, unknown>;
}

/** What the audit log of a folder says was done, its chain checked. */
async function actsOf(folder: string): Promise<string[]> {
  expect(await allulook("audit", "verify", folder)).toMatchObject({ ok: true });
  const { entries } = (await allulook("audit", "show", folder)) as { entries: { act: string }[] };
  return entries.map(({ act }) => act);
}

/** The parts of a coordinator that the commands talk to, on the folder that `init` made. */
async function runCoordinator(config: string, asked: string[] = []): Promise<() => Promise<void>> {
  const { paths, config: parsed } = await readFederationYaml(config);
  const unlock = await lockFolder(paths.lock, "COORDINATOR_RUNNING");
  const federation = await openFederation(paths.root, parsed, crypto, rng, Date.now);
  const quiet = () => undefined;
  const server = new SocketCoordinatorTransport({
    listen: parsed.listen,
    federation: { name: parsed.federation, id: federation.identity.federationId },
    crypto,
    key: federation.key,
    rng,
    members: federation.members,
    enrolment: federation.enrolment,
    blobs: federation.blobs,
    uploads: federation.uploads,
    admin: {
      token: federation.adminToken,
      actions: {
        ...memberActions(federation, crypto, Date.now),
        status: async () => ({ phase: "recruiting" }),
        ...Object.fromEntries(
          ["pause", "resume", "trigger", "stop"].map((action) => [action, async () => void asked.push(action)]),
        ),
      },
    },
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  });
  await server.start({
    connected: quiet,
    disconnected: quiet,
    message: async () => undefined,
    uploadLimit: () => null,
    uploaded: async () => undefined,
    chain: async () => [],
    manifest: async () => null,
  });
  await writeEndpoint(paths, server.url);
  const stop = async () => {
    await server.stop();
    await federation.close();
    await unlock();
  };
  stops.push(stop);
  return async () => {
    stops = stops.filter((other) => other !== stop);
    await stop();
  };
}

describe("from init to revoke", () => {
  test("with an offline authority on a machine of its own", async () => {
    const key = join(dir, "authority");
    const made = await allulook("authority", "init", key, "--name", "lungs");
    const root = join(dir, "federation");
    const init = await allulook("init", root, "--port", "0", "--authority", String(made["file"]));
    expect(init["federationId"]).toBe(made["federationId"]);
    const config = ["--config", federationPaths(root).config];
    expect(await allulook("status", ...config)).toEqual({ running: false });
    await expect(allulook("pause", ...config)).rejects.toMatchObject({ code: "COORDINATOR_UNREACHABLE" });
    await expect(allulook("invite", "alice", ...config)).rejects.toMatchObject({ code: "USAGE" });

    const stop = await runCoordinator(String(init["config"]));
    expect(await allulook("status", ...config)).toEqual({ running: true, phase: "recruiting" });
    const { token } = await allulook("invite", "alice", "--valid", "1h", ...config);
    const site = join(dir, "alice");
    const joined = await allulook(
      "join",
      String(token),
      "--data",
      site,
      "--dataset",
      join(site, "pictures"),
      "--proxy",
      "",
    );
    expect(joined).toMatchObject({ name: "alice", federation: "lungs", member: false });
    expect(await readFile(join(site, "site.yaml"), "utf8")).toContain("\ndata: ./pictures\n");

    const [requests, answers] = [join(dir, "requests.json"), join(dir, "answers.json")];
    await allulook("authority", "requests", "--out", requests, ...config);
    await expect(
      allulook("authority", "sign", requests, "--key", key, "--out", answers, "--only", "bob"),
    ).rejects.toMatchObject({ code: "USAGE" });
    const signed = await allulook("authority", "sign", requests, "--key", key, "--out", answers, "--valid", "30d");
    expect(signed["signed"]).toEqual(["alice"]);
    await stop();
    // The coordinator is stopped: the same commands work on its folder.
    expect(await allulook("authority", "import", answers, ...config)).toMatchObject({ certificates: ["alice"] });
    expect(await allulook("clients", ...config)).toMatchObject([
      { name: "alice", status: "member", signingKey: joined["key"] },
    ]);
    expect(await allulook("rounds", ...config)).toEqual([]);

    await expect(allulook("authority", "revoke", "alice", ...config)).rejects.toMatchObject({ code: "USAGE" });
    await allulook("authority", "revoke", "alice", "--key", key, "--out", answers);
    await allulook("authority", "import", answers, ...config);
    expect(await allulook("clients", ...config)).toMatchObject([{ name: "alice", status: "revoked" }]);

    // Each machine has written down what was done there.
    expect(await actsOf(root)).toEqual([
      "federation made",
      "site invited",
      "site joined",
      "answers imported",
      "answers imported",
    ]);
    const acts = ["authority made", "memberships signed", "memberships revoked"].flatMap((act) => [act, "checkpoint"]);
    expect(await actsOf(key)).toEqual(acts);
    expect(await actsOf(site)).toEqual(["site joined"]);
  });

  test("with an embedded authority; keys that others can read are refused", async () => {
    const root = join(dir, "federation");
    await allulook("init", root, "--port", "0", "--name", "lungs");
    const config = ["--config", federationPaths(root).config];
    const stop = await runCoordinator(federationPaths(root).config);
    const { token } = await allulook("invite", "alice", ...config);
    expect(await allulook("join", String(token), "--data", join(dir, "a"), "--proxy", "")).toMatchObject({
      member: true,
    });
    await allulook("authority", "revoke", "alice", ...config);
    expect(await allulook("clients", ...config)).toMatchObject([{ status: "revoked" }]);
    const acts = ["federation made", "site invited", "site joined", "membership signed", "memberships revoked"];
    expect(await actsOf(root)).toEqual(acts);
    expect(await actsOf(join(dir, "a"))).toEqual(["site joined", "certificate received"]);
    await stop();
    const { chmod } = await import("node:fs/promises");
    await chmod(federationPaths(root).key, 0o644);
    await expect(allulook("clients", ...config)).rejects.toMatchObject({ code: "KEY_FILE" });
  });

  test("the running coordinator is paused, resumed, asked for a round and stopped", async () => {
    const root = join(dir, "federation");
    await allulook("init", root, "--port", "0", "--name", "lungs");
    const config = ["--config", federationPaths(root).config];
    await expect(allulook("resume", "--now", ...config)).rejects.toMatchObject({ code: "COORDINATOR_UNREACHABLE" });
    const asked: string[] = [];
    await runCoordinator(federationPaths(root).config, asked);
    for (const words of [["pause"], ["resume"], ["resume", "--now"], ["stop"]]) {
      expect(await allulook(...words, ...config)).toEqual({ running: true });
    }
    expect(asked).toEqual(["pause", "resume", "resume", "trigger", "stop"]);
  });

  test("wrong words are said so before anything is made", async () => {
    await expect(allulook("init", join(dir, "f"), "--port", "99999")).rejects.toMatchObject({ code: "USAGE" });
    await expect(allulook("init", join(dir, "f"), "--name", "No Spaces")).rejects.toMatchObject({
      code: "CONFIG_INVALID",
    });
    await expect(allulook("clients", "--config", join(dir, "none.yaml"))).rejects.toMatchObject({
      code: "CONFIG_INVALID",
    });
    await expect(allulook("join", "nonsense", "--data", join(dir, "a"))).rejects.toMatchObject({
      code: "TOKEN_INVALID",
    });
    const key = join(dir, "authority");
    await allulook("authority", "init", key, "--name", "lungs");
    for (const words of [
      ["authority", "sign", join(dir, "none.json"), "--key", key],
      [
        "authority",
        "import",
        join(dir, "none.json"),
        "--config",
        String((await allulook("init", join(dir, "g")))["config"]),
      ],
      ["join", "nonsense", "--data", join(dir, "a"), "--ca", join(dir, "none.pem")],
    ]) {
      await expect(allulook(...words)).rejects.toMatchObject({ code: "USAGE" });
    }
  });
});
