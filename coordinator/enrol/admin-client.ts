/**
 * The operator's commands reach the running coordinator over its own port, from the same machine, with the token that
 * only the folder's owner can read. Where none runs, what concerns members is done on the folder itself.
 */
import { Agent, request } from "undici";
import { CodedError, ERRORS, type ErrorCode } from "../../shared/errors.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { readSecretFile } from "../../shared/node/identity.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { errorBody } from "../../shared/wire/http.ts";
import { memberActions } from "./actions.ts";
import { openFederation, readEndpoint, type FederationPaths } from "./folder.ts";

export type MemberActionName = keyof ReturnType<typeof memberActions>;

/** Asks the running coordinator; null when none runs. Throws the coordinator's coded errors. */
export async function askCoordinator(
  paths: FederationPaths,
  action: string,
  input: unknown,
): Promise<{ result: unknown } | null> {
  const endpoint = await readEndpoint(paths);
  if (endpoint === null) return null;
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

/** A member action at the running coordinator, or on the folder while it is stopped. */
export async function doMemberAction(
  paths: FederationPaths,
  config: FederationConfig,
  action: MemberActionName,
  input: unknown,
  crypto: CryptoPort,
  rng: SecureRng,
): Promise<unknown> {
  const answer = await askCoordinator(paths, action, input);
  if (answer !== null) return answer.result;
  const federation = await openFederation(paths.root, config, crypto, rng, Date.now);
  try {
    return await memberActions(federation, crypto, Date.now)[action](input);
  } finally {
    await federation.close();
  }
}
