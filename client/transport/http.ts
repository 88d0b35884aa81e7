/**
 * One HTTP request to the coordinator and what its answer means. Errors the coordinator names come back as coded errors
 * with `details.status`; a broken connection is COORDINATOR_UNREACHABLE.
 */
import { request, type Dispatcher } from "undici";
import { CodedError, ERRORS, type ErrorCode } from "../../shared/errors.ts";
import { errorBody } from "../../shared/wire/http.ts";

export interface Call {
  readonly method: "GET" | "HEAD" | "PATCH" | "POST";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
}

/** Answers of this size are read into memory at most; weights are streamed. */
export const MAX_ANSWER_BYTES = 16 << 20;

/** Resolves with a 2xx answer whose body is still to be read. */
export async function call(
  base: URL,
  dispatcher: Dispatcher,
  what: Call,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  let response: Dispatcher.ResponseData;
  try {
    response = await request(new URL(what.path, base), {
      method: what.method,
      dispatcher,
      signal,
      headers: what.headers ?? {},
      // undici takes async iterables; its type lacks them.
      body: (what.body ?? null) as string | Uint8Array | null,
      // A slow line may need minutes for the body; the caller watches that it moves.
      ...(what.method === "PATCH" ? { headersTimeout: 0 } : {}),
    });
  } catch (error) {
    throw unreachable(error, signal);
  }
  if (response.statusCode >= 200 && response.statusCode < 300) return response;
  throw await refusal(response, signal);
}

async function refusal(response: Dispatcher.ResponseData, signal: AbortSignal): Promise<unknown> {
  const status = response.statusCode;
  const named = response.headers["x-error-code"];
  let code = typeof named === "string" ? named : "";
  let message = `the coordinator answered with status ${status}`;
  try {
    const text = Buffer.from(await readBody(response, 64 << 10, signal)).toString("utf8");
    const parsed = text === "" ? null : errorBody.safeParse(JSON.parse(text));
    if (parsed?.success === true) ({ code, message } = parsed.data.error);
  } catch {
    // A proxy's error page, or a connection cut while it came: the status says enough.
  }
  return codedFromWire(code, message, { status });
}

/** An error named by the coordinator; codes of a newer version become COORDINATOR_FAILED. */
export function codedFromWire(code: string, message: string, details: Record<string, unknown> = {}): CodedError {
  const known = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : "COORDINATOR_FAILED";
  return new CodedError(known, message, { ...details, remote: true });
}

/** The signal's reason after an abort, otherwise COORDINATOR_UNREACHABLE. */
export function unreachable(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof CodedError) return error;
  const cause = error instanceof Error ? error.message : String(error);
  return new CodedError("COORDINATOR_UNREACHABLE", `no answer from the coordinator (${cause})`, {}, { cause: error });
}

/** The whole body; throws WIRE_OVERSIZE beyond `limit`. */
export async function readBody(
  response: Dispatcher.ResponseData,
  limit: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes > limit) throw new CodedError("WIRE_OVERSIZE", `an answer of more than ${limit} bytes`, { limit });
      chunks.push(chunk);
    }
  } catch (error) {
    throw unreachable(error, signal);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
