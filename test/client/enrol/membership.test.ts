import { afterEach, expect, test } from "@jest/globals";
import { openMembership, type Membership } from "../../../client/enrol/membership.ts";
import { CodedError } from "../../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import type { Certificate } from "../../../shared/secagg/certificate.ts";

const DAY_MS = 86_400_000;
const quiet = () => undefined;
const log = { info: quiet, warn: quiet, error: quiet };
const never = new AbortController().signal;

function certificate(serial: string, daysLeft: number): Certificate {
  const now = Date.now();
  const [issuedAt, expiresAt] = [now - 300 * DAY_MS, now + daysLeft * DAY_MS];
  const empty = { federation: "f".repeat(64) as Sha256, name: "alice" as ClientName, key: "", signature: "" };
  return { ...empty, serial, issuedAt, expiresAt };
}

let membership: Membership;
afterEach(() => membership.stop());

test("a client that runs as its certificate comes to an end asks until it has a new one, and then no more", async () => {
  const answers: (() => Promise<Certificate | null>)[] = [
    () => Promise.reject(new CodedError("COORDINATOR_UNREACHABLE", "restarts")),
    () => Promise.resolve(certificate("old", 20)),
    () => Promise.resolve(certificate("new", 365)),
  ];
  let asked = 0;
  const collect = () => (answers[asked++] as (typeof answers)[number])();
  membership = await openMembership(
    { name: "alice", held: certificate("old", 20), collect, log, lookEveryMs: 5 },
    never,
  );
  expect(membership.certificate.serial).toBe("old");
  while (membership.certificate.serial === "old") await new Promise((resolve) => setTimeout(resolve, 5));
  expect(membership.certificate.serial).toBe("new");
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(asked).toBe(3);
});

test("one that has long to go is not asked for", async () => {
  const collect = () => Promise.reject(new Error("asked"));
  membership = await openMembership({ name: "alice", held: certificate("own", 200), collect, log }, never);
  expect(membership.certificate.serial).toBe("own");
});

test("a site whose authority refuses it is told at once", async () => {
  const collect = () => Promise.reject(new CodedError("CERTIFICATE_INVALID", "another key"));
  await expect(openMembership({ name: "alice", held: null, collect, log }, never)).rejects.toMatchObject({
    code: "CERTIFICATE_INVALID",
  });
});
