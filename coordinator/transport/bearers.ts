/** Short-lived tokens that let an authenticated client use HTTP. In memory only: after a restart clients get new ones. */
import { createHash } from "node:crypto";
import type { ClientName } from "../../shared/ids.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import { toBase64 } from "../../shared/secagg/encoding.ts";
import type { Bearer } from "../../shared/wire/handshake.ts";

const LIFETIME_MS = 15 * 60 * 1000;
/** Older tokens of one client are dropped beyond this number. */
const TOKENS_A_CLIENT = 4;

export class Bearers {
  readonly #rng: SecureRng;
  readonly #now: () => number;
  /** By the token's SHA-256, so that a lookup's timing says nothing about a token. */
  readonly #tokens = new Map<string, { client: ClientName; expiresAt: number }>();

  constructor(rng: SecureRng, now: () => number) {
    this.#rng = rng;
    this.#now = now;
  }

  issue(client: ClientName): Bearer {
    const now = this.#now();
    const mine: string[] = [];
    for (const [hash, held] of this.#tokens) {
      if (held.expiresAt <= now) this.#tokens.delete(hash);
      else if (held.client === client) mine.push(hash);
    }
    for (const hash of mine.slice(0, Math.max(0, mine.length - TOKENS_A_CLIENT + 1))) this.#tokens.delete(hash);
    const token = toBase64(this.#rng.bytes(32));
    this.#tokens.set(hashOf(token), { client, expiresAt: now + LIFETIME_MS });
    return { token, expiresInMs: LIFETIME_MS };
  }

  /** The client a valid token belongs to, or null. */
  client(token: string): ClientName | null {
    const held = this.#tokens.get(hashOf(token));
    return held !== undefined && held.expiresAt > this.#now() ? held.client : null;
  }

  revoke(client: ClientName): void {
    for (const [hash, held] of this.#tokens) if (held.client === client) this.#tokens.delete(hash);
  }
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
