import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "@jest/globals";
import { parse as parseYaml } from "yaml";
import { collectCertificate, joinFederation } from "../../../client/enrol/join.ts";
import { siteYaml } from "../../../client/enrol/site-yaml.ts";
import { readIdentity, readSiteConfig, sitePaths } from "../../../client/site-folder.ts";
import { Authority, createAuthority, readRevocations } from "../../../coordinator/enrol/authority.ts";
import { federationYaml } from "../../../coordinator/enrol/federation-yaml.ts";
import { federationPaths } from "../../../coordinator/enrol/folder.ts";
import { initFederation, readFederationYaml } from "../../../coordinator/enrol/init.ts";
import { canonicalJson } from "../../../shared/canonical.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { siteConfig } from "../../../shared/config/site.ts";
import { readSecretFile } from "../../../shared/node/identity.ts";
import { issueCertificate } from "../../../shared/secagg/certificate.ts";
import { decodeInvitation, encodeInvitation } from "../../../shared/wire/invitation.ts";
import { crypto, heartbeat, hex, Rig, rng, until } from "../../fakes/transport-rig.ts";

let rig: Rig | null = null;
const folders: string[] = [];
const folder = async () => {
  const path = await mkdtemp(join(tmpdir(), "allulook-enrol-"));
  folders.push(path);
  return path;
};
afterEach(async () => {
  await rig?.dispose();
  rig = null;
  for (const path of folders.splice(0)) await rm(path, { recursive: true, force: true });
});

async function invite(name: string, validMs = 60_000, replace = false): Promise<string> {
  return (await rig!.federation.enrolment.invite(name, rig!.server.url, validMs, replace)).token;
}

describe("joining with an embedded authority", () => {
  test("one invitation makes one member, whose keys and pins lie in its folder only", async () => {
    rig = await Rig.open();
    const site = await folder();
    const identity = await joinFederation(await invite("alice"), site, crypto, rng, { data: "/data/x" });
    expect(identity.certificate?.name).toBe("alice");
    expect(identity.coordinatorKey).toBe(hex(rig.federation.key.publicKey));
    const paths = sitePaths(site);
    expect((await stat(paths.signingKey)).mode & 0o777).toBe(0o600);
    expect((await stat(paths.identity)).mode & 0o777).toBe(0o600);
    expect(await readIdentity(paths)).toEqual(identity);
    expect(await readSiteConfig(paths)).toMatchObject({ coordinator: rig.server.url, data: "/data/x" });
    const seed = (await readFile(paths.signingKey, "utf8")).trim();
    expect(await readFile(federationPaths(rig.root).database, "latin1")).not.toContain(seed);

    const key = crypto.signingKey(Buffer.from(seed, "hex"));
    const alice = rig.client({ name: identity.name, key });
    alice.open();
    await until(() => alice.seen.includes("connected"));
    await alice.transport.send(heartbeat);
  });

  test("the same join again gives the same membership; another site's use of the token is refused", async () => {
    rig = await Rig.open();
    const token = await invite("alice");
    const [site, thief] = [await folder(), await folder()];
    const first = await joinFederation(token, site, crypto, rng);
    expect(await joinFederation(token, site, crypto, rng)).toEqual(first);
    await expect(joinFederation(token, thief, crypto, rng)).rejects.toMatchObject({ code: "TOKEN_USED" });
    await expect(readIdentity(sitePaths(thief))).rejects.toMatchObject({ code: "SITE_INCOMPLETE" });
  });

  test("expired, altered, cut and foreign invitations are refused with their own codes", async () => {
    rig = await Rig.open();
    const expired = await invite("alice", 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(joinFederation(expired, await folder(), crypto, rng)).rejects.toMatchObject({ code: "TOKEN_EXPIRED" });
    const token = await invite("alice");
    for (const broken of [token.slice(0, -5), token.slice(3), `${token}x`, "", "allulook1."]) {
      await expect(joinFederation(broken, await folder(), crypto, rng)).rejects.toMatchObject({
        code: "TOKEN_INVALID",
      });
    }
    const content = decodeInvitation(token);
    const forged = (change: Partial<typeof content>) => encodeInvitation({ ...content, ...change });
    const other = decodeInvitation(await invite("bob"));
    for (const change of [{ secret: "A".repeat(43) }, { secret: other.secret }, { client: other.client }]) {
      await expect(joinFederation(forged(change), await folder(), crypto, rng)).rejects.toMatchObject({
        code: "TOKEN_INVALID",
      });
    }
    await expect(
      joinFederation(forged({ coordinatorKey: content.authorityKey }), await folder(), crypto, rng),
    ).rejects.toMatchObject({ code: "AUTH_REFUSED" });
    await expect(
      joinFederation(forged({ url: "http://127.0.0.1:1" }), await folder(), crypto, rng),
    ).rejects.toMatchObject({ code: "COORDINATOR_UNREACHABLE" });
  });

  test("a member is invited again only with --replace; then the old key is out", async () => {
    rig = await Rig.open();
    const old = await folder();
    const before = await joinFederation(await invite("alice"), old, crypto, rng);
    await expect(invite("alice")).rejects.toMatchObject({ code: "USAGE" });
    const key = crypto.signingKey(Buffer.from((await readFile(sitePaths(old).signingKey, "utf8")).trim(), "hex"));
    const connected = rig.client({ name: before.name, key });
    connected.open();
    await until(() => connected.seen.includes("connected"));
    const after = await joinFederation(await invite("alice", 60_000, true), await folder(), crypto, rng);
    await until(() => connected.seen.some((line) => line.includes("AUTH_REFUSED")));
    const revoked = await readRevocations(federationPaths(rig.root).authority);
    expect(revoked?.serials).toEqual([before.certificate?.serial]);
    expect(after.certificate?.serial).not.toBe(before.certificate?.serial);
    expect(rig.federation.members.get("alice")?.revoked).toBe(false);
  });

  test("a revoked member is disconnected and stays out, also after a restart", async () => {
    rig = await Rig.open();
    const alice = await rig.connect("alice");
    const actions = (await import("../../../coordinator/enrol/actions.ts")).memberActions(
      rig.federation,
      crypto,
      Date.now,
    );
    await actions.revoke({ names: ["alice"] });
    await until(() => alice.seen.some((line) => line.includes("CERTIFICATE_REVOKED")));
    await rig.stop();
    await rig.start();
    expect(rig.federation.members.get("alice")?.revoked).toBe(true);
    await expect(actions.revoke({ names: ["nobody"] })).rejects.toMatchObject({ code: "USAGE" });
  });

  test("a crash between redeeming and signing is made good at the next start", async () => {
    rig = await Rig.open();
    const member = await rig.enrol("alice");
    const stored = rig.federation.members.get(member.name)!;
    await rig.federation.members.update({ ...stored, certificate: null });
    await rig.stop();
    await rig.start();
    expect(rig.federation.members.get("alice")?.certificate).not.toBeNull();
  });
});

describe("joining with an offline authority", () => {
  test("waits for the signature, collects it, and knows the federation only by its pinned authority", async () => {
    rig = await Rig.open({ authority: "offline" });
    const site = await folder();
    const waiting = await joinFederation(await invite("alice"), site, crypto, rng);
    expect(waiting.certificate).toBeNull();
    const key = crypto.signingKey(Buffer.from((await readFile(sitePaths(site).signingKey, "utf8")).trim(), "hex"));
    const early = rig.client({ name: waiting.name, key });
    early.open();
    await until(() => early.seen.some((line) => line.includes("AUTH_PENDING")));
    expect((await collectCertificate(site, rig.server.url, crypto)).certificate).toBeNull();

    const { memberActions, requestsFile } = await import("../../../coordinator/enrol/actions.ts");
    const actions = memberActions(rig.federation, crypto, Date.now);
    const requests = requestsFile.parse(await actions.requests({}));
    expect(requests.requests.map(({ name }) => name)).toEqual(["alice"]);
    await expect(actions.revoke({ names: ["alice"] })).rejects.toMatchObject({ code: "USAGE" });

    const impostorFolder = await folder();
    await createAuthority(impostorFolder, "test", crypto, rng);
    const impostor = await Authority.open(impostorFolder, crypto, rng, Date.now);
    const request = requests.requests[0]!;
    const forged: unknown = JSON.parse(await impostor.sign(request.name, request.signingKey));
    await expect(actions.import({ certificates: [forged], revocations: null })).rejects.toMatchObject({
      code: "CERTIFICATE_INVALID",
    });
    expect(rig.federation.members.get("alice")?.certificate).toBeNull();

    // The rig keeps the offline authority's key in the folder; the coordinator did not open it.
    expect(rig.federation.authority).toBeNull();
    const authority = await Authority.open(federationPaths(rig.root).authority, crypto, rng, Date.now);
    const signed: unknown = JSON.parse(await authority.sign(request.name, request.signingKey));
    await actions.import({ certificates: [signed], revocations: null });
    const member = await collectCertificate(site, rig.server.url, crypto);
    expect(member.certificate).toEqual(signed);
    expect((await readIdentity(sitePaths(site))).certificate).toEqual(signed);

    const late = rig.client({ name: member.name, key });
    late.open();
    await until(() => late.seen.includes("connected"));
    await authority.revoke(["alice"]);
    const list = await readRevocations(federationPaths(rig.root).authority);
    await actions.import({ certificates: [], revocations: list });
    await until(() => late.seen.some((line) => line.includes("CERTIFICATE_REVOKED")));
    await expect(actions.import({ certificates: [], revocations: { ...list, serials: [] } })).rejects.toMatchObject({
      code: "CERTIFICATE_INVALID",
    });
  });
});

describe("a membership that ends soon", () => {
  const DAY_MS = 86_400_000;

  test("is signed anew by an embedded authority when the site asks, and at the coordinator's start", async () => {
    rig = await Rig.open();
    const site = await folder();
    const identity = await joinFederation(await invite("alice"), site, crypto, rng);
    const again = async () => (await collectCertificate(site, rig!.server.url, crypto)).certificate;
    expect(await again()).toEqual(identity.certificate);
    const authority = await Authority.open(federationPaths(rig.root).authority, crypto, rng, Date.now);
    const shorten = async (): Promise<void> => {
      const member = rig!.federation.members.get("alice")!;
      const certificate = await authority.sign(member.name, member.signingKey, 20 * DAY_MS);
      // Signed 40 days ago.
      const { signature: _signature, ...fields } = JSON.parse(certificate);
      const key = crypto.signingKey(await readSecretFile(join(federationPaths(rig!.root).authority, "authority.key")));
      const old = issueCertificate(key, { ...fields, issuedAt: Date.now() - 40 * DAY_MS });
      await rig!.federation.members.update({ ...member, certificate: canonicalJson(old) });
    };
    await shorten();
    expect((await again())?.expiresAt).toBeGreaterThan(Date.now() + 300 * DAY_MS);
    await shorten();
    await rig.stop();
    await rig.start();
    const signed = JSON.parse(rig.federation.members.get("alice")?.certificate ?? "{}") as { expiresAt: number };
    expect(signed.expiresAt).toBeGreaterThan(Date.now() + 300 * DAY_MS);
  });

  test("is among the requests to an offline authority, which signs it anew", async () => {
    rig = await Rig.open({ authority: "offline" });
    const site = await folder();
    await joinFederation(await invite("alice"), site, crypto, rng);
    const { memberActions, requestsFile } = await import("../../../coordinator/enrol/actions.ts");
    const actions = memberActions(rig.federation, crypto, Date.now);
    const authority = await Authority.open(federationPaths(rig.root).authority, crypto, rng, Date.now);
    const asked = async () => requestsFile.parse(await actions.requests({})).requests;
    const sign = async (validMs: number) => {
      const [request] = await asked();
      const signed: unknown = JSON.parse(await authority.sign(request!.name, request!.signingKey, validMs));
      await actions.import({ certificates: [signed], revocations: null });
    };
    // So short that with the allowance for clocks a third of it is gone at once.
    await sign(60_000);
    expect(await actions.clients({})).toMatchObject([{ name: "alice", status: "member" }]);
    expect((await asked()).map(({ name }) => name)).toEqual(["alice"]);
    const first = (await collectCertificate(site, rig.server.url, crypto)).certificate;
    await sign(366 * DAY_MS);
    expect(await asked()).toEqual([]);
    const second = (await collectCertificate(site, rig.server.url, crypto)).certificate;
    expect(second?.expiresAt).toBeGreaterThan(first?.expiresAt ?? Number.POSITIVE_INFINITY);
  });
});

describe("replacing a member of an offline authority", () => {
  test("is refused while its certificate stands, by invitation and by joining; after a revocation it works", async () => {
    rig = await Rig.open({ authority: "offline" });
    const first = await folder();
    await joinFederation(await invite("alice"), first, crypto, rng);
    // Nothing is signed yet: nothing stands.
    const early = await invite("alice", 60_000, true);
    const { memberActions, requestsFile } = await import("../../../coordinator/enrol/actions.ts");
    const actions = memberActions(rig.federation, crypto, Date.now);
    const authority = await Authority.open(federationPaths(rig.root).authority, crypto, rng, Date.now);
    const signWaiting = async () => {
      const { requests } = requestsFile.parse(await actions.requests({}));
      const signed = requests.map(async ({ name, signingKey }) => JSON.parse(await authority.sign(name, signingKey)));
      await actions.import({ certificates: await Promise.all(signed), revocations: null });
    };
    await signWaiting();
    const old = rig.federation.members.get("alice");
    await expect(invite("alice", 60_000, true)).rejects.toMatchObject({ code: "CERTIFICATE_STANDS" });
    await expect(joinFederation(early, await folder(), crypto, rng)).rejects.toMatchObject({
      code: "CERTIFICATE_STANDS",
    });
    expect(rig.federation.members.get("alice")).toEqual(old);

    const list = await authority.revoke(["alice"]);
    await actions.import({ certificates: [], revocations: list });
    const second = await folder();
    await joinFederation(await invite("alice", 60_000, true), second, crypto, rng);
    await signWaiting();
    const after = rig.federation.members.get("alice");
    expect(after).toMatchObject({ revoked: false, certificate: expect.any(String) });
    expect(after?.signingKey).not.toBe(old?.signingKey);
  });
});

describe("init", () => {
  test("makes a folder with private keys and a file that is valid, once", async () => {
    const root = join(await folder(), "f");
    const options = { name: "lungs", host: "127.0.0.1", port: 7443, authorityFile: null };
    const { paths, authority } = await initFederation(root, options, crypto, rng);
    for (const path of [paths.key, paths.admin, join(paths.authority, "authority.key")]) {
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    }
    expect((await readFederationYaml(paths.config)).config.federation).toBe("lungs");
    expect(authority.federation).toBe("lungs");
    await expect(initFederation(root, options, crypto, rng)).rejects.toMatchObject({ code: "USAGE" });
    await expect(
      initFederation(join(await folder(), "f"), { ...options, name: "Lungs!" }, crypto, rng),
    ).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  test("with an offline authority holds its public part only", async () => {
    const machine = join(await folder(), "authority");
    const file = await createAuthority(machine, "lungs", crypto, rng);
    const root = join(await folder(), "f");
    const options = { name: null, host: "127.0.0.1", port: 0, authorityFile: join(machine, "authority.json") };
    const { paths, authority } = await initFederation(root, options, crypto, rng);
    expect(authority).toEqual(file);
    await expect(stat(join(paths.authority, "authority.key"))).rejects.toThrow("ENOENT");
    expect((await readFederationYaml(paths.config)).config.authority).toBe("offline");
  });

  test("the files it writes state the defaults", () => {
    const written = federationConfig.parse(
      parseYaml(federationYaml({ name: "f", authority: "embedded", host: "127.0.0.1", port: 7443 })),
    );
    const bare = federationConfig.parse({ federation: "f" });
    expect({ ...written, labels: null, training: null }).toEqual({ ...bare, labels: null, training: null });
    const site = siteConfig.parse(parseYaml(siteYaml("https://fl.example.org", "./data")));
    expect(site).toEqual(siteConfig.parse({ coordinator: "https://fl.example.org" }));
  });
});
