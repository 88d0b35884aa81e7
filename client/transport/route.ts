/**
 * How a site reaches its coordinator: directly or through an HTTP(S) proxy (the usual environment variables, or an
 * option), trusting the system's certificates and, if given, the hospital's own. Connections only ever go outward.
 */
import type { Agent as HttpAgent } from "node:http";
import type { Socket } from "node:net";
import { checkServerIdentity, rootCertificates, type PeerCertificate } from "node:tls";
import { HttpsProxyAgent } from "https-proxy-agent";
import { Agent, ProxyAgent, type Dispatcher } from "undici";
import { CodedError } from "../../shared/errors.ts";

export interface RouteOptions {
  /** Overrides the environment; "" for none. */
  readonly proxy?: string;
  /** PEM of a certificate authority to trust besides the usual ones; NODE_EXTRA_CA_CERTS works, too. */
  readonly ca?: string;
}

export interface Route {
  /** For HTTP requests. */
  readonly dispatcher: Dispatcher;
  /** For socket.io; undefined: its own. */
  readonly agent: HttpAgent | undefined;
  readonly ca: string[] | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The proxy for a coordinator's address, or null. Throws CONFIG_INVALID when it is not an address. */
export function proxyFor(url: URL, options: RouteOptions, environment: Environment): URL | null {
  const read = (name: string) => environment[name.toLowerCase()] ?? environment[name] ?? "";
  let text = options.proxy;
  if (text === undefined) {
    if (bypasses(url, read("NO_PROXY"))) return null;
    text = (url.protocol === "https:" ? read("HTTPS_PROXY") : read("HTTP_PROXY")) || read("ALL_PROXY");
  }
  if (text === "") return null;
  try {
    const proxy = new URL(text.includes("://") ? text : `http://${text}`);
    if (proxy.protocol === "http:" || proxy.protocol === "https:") return proxy;
  } catch {
    // falls through to the error below
  }
  throw new CodedError("CONFIG_INVALID", `proxy: expected http://HOST:PORT or https://HOST:PORT, got "${text}"`, {
    field: "proxy",
  });
}

/** NO_PROXY: names separated by commas; a name covers its subdomains, a port restricts it, `*` is everything. */
function bypasses(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return noProxy.split(/[\s,]+/).some((entry) => {
    if (entry === "") return false;
    if (entry === "*") return true;
    const match = /^\*?\.?(.*?)(?::(\d+))?$/.exec(entry.toLowerCase());
    const name = match?.[1] ?? "";
    if (match?.[2] !== undefined && match[2] !== port) return false;
    return host === name || host.endsWith(`.${name}`);
  });
}

/** The way to the coordinator, directly or through the proxy that options or environment name; throws CONFIG_INVALID. */
export function openRoute(url: URL, options: RouteOptions, environment: Environment = process.env): Route {
  const proxy = proxyFor(url, options, environment);
  const ca = options.ca === undefined ? undefined : [...rootCertificates, options.ca];
  const tls = ca === undefined ? {} : { ca };
  // Weights of minutes over slow lines are fine as long as bytes move.
  const timeouts = { bodyTimeout: 60_000, headersTimeout: 120_000 };
  if (proxy === null) {
    return { dispatcher: new Agent({ ...timeouts, connect: { ...tls, timeout: 15_000 } }), agent: undefined, ca };
  }
  const dispatcher = new ProxyAgent({
    ...timeouts,
    uri: proxy.href,
    proxyTunnel: true,
    requestTls: tls,
    proxyTls: tls,
  });
  return { dispatcher, agent: new Tunnels(proxy, tls), ca };
}

/** Inside a tunnel a coordinator known by its IP address proves that address; HttpsProxyAgent alone expects "localhost". */
class Tunnels extends HttpsProxyAgent<string> {
  override connect(...[request, options]: Parameters<HttpsProxyAgent<string>["connect"]>): Promise<Socket> {
    const checked = {
      ...options,
      checkServerIdentity: (_: string, certificate: PeerCertificate) =>
        checkServerIdentity(options.host ?? "", certificate),
    };
    return super.connect(request, checked as typeof options);
  }
}
