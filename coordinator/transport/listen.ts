/** The server socket: TLS by files, or plain text where nobody else can listen. */
import { readFile } from "node:fs/promises";
import { createServer as createPlainServer, type Server as PlainServer } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";

export type Listen = FederationConfig["listen"];

/** A silent connection is closed after this time; transfers and control connections are never silent so long. */
const SILENCE_MS = 120_000;

/** Throws CONFIG_INVALID for plain text beyond loopback, or when the TLS files cannot be read or used. */
export async function createServer(listen: Listen): Promise<PlainServer | TlsServer> {
  // An upload of an hour is fine as long as bytes arrive; silence is what ends a connection.
  const options = { requestTimeout: 0, headersTimeout: 30_000, keepAliveTimeout: 30_000 };
  const server = listen.tls === null ? plain(listen, options) : await withTls(listen.tls, options);
  server.setTimeout(SILENCE_MS);
  return server;
}

function plain(listen: Listen, options: object): PlainServer {
  if (!isLoopback(listen.host) && !listen.behindProxy && !listen.insecurePlainText) {
    throw new CodedError(
      "CONFIG_INVALID",
      `listen.tls: expected cert and key, because ${listen.host} can be reached from other machines; got null ` +
        "(listen.behindProxy: true where a proxy in front ends TLS)",
      { field: "listen.tls", host: listen.host },
    );
  }
  return createPlainServer(options);
}

async function withTls(files: { cert: string; key: string }, options: object): Promise<TlsServer> {
  const read = (field: string, path: string) =>
    readFile(path).catch((error: unknown) => {
      throw new CodedError("CONFIG_INVALID", `listen.tls.${field}: cannot read ${path}`, { field }, { cause: error });
    });
  const [cert, key] = [await read("cert", files.cert), await read("key", files.key)];
  try {
    return createTlsServer({ ...options, cert, key, minVersion: "TLSv1.2" });
  } catch (error) {
    throw new CodedError("CONFIG_INVALID", `listen.tls: ${String(error)}`, { field: "listen.tls" }, { cause: error });
  }
}

/** Does this address never leave the machine? */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(host);
}
