import { afterEach, expect, test } from "@jest/globals";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { joinFederation } from "../../client/enrol/join.ts";
import { createClient } from "../../client/main.ts";
import { CodedError } from "../../shared/errors.ts";
import { crypto, Rig, rng, until } from "../fakes/transport-rig.ts";

let rig: Rig;
let folder: string;
afterEach(async () => {
  await rig.dispose();
  await rm(folder, { recursive: true, force: true });
});

test("a client that waits for an offline authority outlives a coordinator that has no time for it", async () => {
  folder = await mkdtemp(join(tmpdir(), "allulook-site-"));
  // Joining takes the one request of the minute.
  rig = await Rig.open({ authority: "offline", limits: { joinsPerMinute: 1, failuresPerMinute: 60 } });
  const { token } = await rig.federation.enrolment.invite("alice", rig.server.url, 60_000, false);
  await joinFederation(token, folder, crypto, rng);
  const quiet = () => undefined;
  const leaving = new AbortController();
  const client = createClient(folder, { info: quiet, warn: quiet, error: quiet }, leaving.signal);
  const ended = expect(client).rejects.toMatchObject({ code: "ATTEMPT_OVER" });
  await until(() => rig.log.some((line) => line.includes("WIRE_TOO_MANY")));
  await new Promise((resolve) => setTimeout(resolve, 100));
  leaving.abort(new CodedError("ATTEMPT_OVER", "stopped by a person"));
  await ended;
});
