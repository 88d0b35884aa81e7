/**
 * The operator's commands reach the running coordinator over its own port, from the same machine, with the token that
 * only the folder's owner can read. Where none runs, what concerns members is done on the folder itself.
 */
import { Agent, request } from "undici";
import { CodedError, ERRORS, type ErrorCode } from "../../shared/errors.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { lockFolder } from "../../shared/node/lock.ts";
import { readSecretFile } from "../../shared/node/identity.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { errorBody } from "../../shared/wire/http.ts";
import { memberActions } from "./actions.ts";
import { openFederation, readEndpoint, type FederationPaths } from "./folder.ts";

/** How long a coordinator may take from locking its folder to opening its port. */
const STARTING_MS = 20_000;
const STARTING_POLL_MS = 250;

export type MemberActionName = keyof ReturnType<typeof memberActions>;

/** Asks the running coordinator; null when none runs. Throws the coordinator's coded errors. */
export async function askCoordinator(
  paths: FederationPaths,
  action: string,
  input: unknown,
): Promise<{ result: unknown } | null> {
  const endpoint = await readEndpoint(paths);
  // A process that is gone left its address behind: whoever listens there now must not see the token.
  if (endpoint === null || !runs(endpoint.pid)) return null;
  const token = Buffer.from(await readSecretFile(paths.admin)).toString("hex");
  const url = new URL(endpoint.url);
  if (url.hostname === "0.0.0.0") url.hostname = "127.0.0.1";
  if (url.hostname === "[::]") url.hostname = "[::1]";
  // The same machine: the certificate is made out to the coordinator's public name, which is not asked for here.
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false, timeout: 5_000 } });
  try {
    const response = await request(new URL(`/v1/admin/${action}`, url), {
      method: "POST",
      dispatcher,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(input),
    });
    const body: unknown = await response.body.json();
    if (response.statusCode === 200) return { result: (body as { result?: unknown }).result ?? null };
    const failure = errorBody.safeParse(body);
    const { code, message } = failure.data?.error ?? { code: "", message: `status ${response.statusCode}` };
    throw new CodedError(Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : "COORDINATOR_FAILED", message);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ECONNREFUSED") return null;
    if (error instanceof CodedError) throw error;
    throw new CodedError(
      "COORDINATOR_UNREACHABLE",
      `the coordinator does not answer at ${url.origin}`,
      {},
      { cause: error },
    );
  } finally {
    await dispatcher.destroy();
  }
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** A member action at the running coordinator, or on the folder while it is stopped. */
export async function doMemberAction(
  paths: FederationPaths,
  config: FederationConfig,
  action: MemberActionName,
  input: unknown,
  crypto: CryptoPort,
  rng: SecureRng,
): Promise<unknown> {
  const { result, unlock } = await reach(paths, action, input);
  if (unlock === null) return result;
  try {
    const federation = await openFederation(paths.root, config, crypto, rng, Date.now);
    try {
      return await memberActions(federation, crypto, Date.now)[action](input);
    } finally {
      await federation.close();
    }
  } finally {
    await unlock();
  }
}

/** The coordinator's answer or, when none runs, the folder's lock; a coordinator that is just starting is waited for. */
async function reach(
  paths: FederationPaths,
  action: string,
  input: unknown,
): Promise<{ result: unknown; unlock: (() => Promise<void>) | null }> {
  for (let patience = STARTING_MS; ; patience -= STARTING_POLL_MS) {
    const answer = await askCoordinator(paths, action, input);
    if (answer !== null) return { result: answer.result, unlock: null };
    try {
      return { result: null, unlock: await lockFolder(paths.lock, "COORDINATOR_RUNNING") };
    } catch (error) {
      if (patience <= 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, STARTING_POLL_MS));
    }
  }
}
