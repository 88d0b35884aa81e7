/** How an error goes over the wire: its code and message for coded ones, nothing about the inside for others. */
import { isCoded, type ErrorCode } from "../../shared/errors.ts";

const STATUS: Partial<Record<ErrorCode, number>> = {
  WIRE_INVALID: 400,
  CONFIG_INVALID: 400,
  USAGE: 400,
  WIRE_HASH: 422,
  WIRE_VERSION: 426,
  WIRE_OVERSIZE: 413,
  WIRE_TOO_MANY: 429,
  AUTH_UNKNOWN_CLIENT: 403,
  AUTH_REFUSED: 401,
  AUTH_ADMIN: 401,
  AUTH_PENDING: 403,
  CERTIFICATE_REVOKED: 403,
  TOKEN_INVALID: 403,
  TOKEN_EXPIRED: 403,
  TOKEN_USED: 403,
  UPLOAD_REFUSED: 403,
  UPLOAD_OFFSET: 409,
  NOT_FOUND: 404,
  STORE_FULL: 507,
  DISCONNECTED: 503,
};

export interface WireError {
  readonly code: string;
  readonly message: string;
}

/** What a client is told: code and message of coded errors, nothing about failures of the coordinator's own. */
export function toWire(error: unknown): WireError {
  if (isCoded(error)) return { code: error.code, message: error.message.slice(0, 2_000) };
  return { code: "COORDINATOR_FAILED", message: "the coordinator failed to do this" };
}

/** HTTP status for an error; 500 for what nobody foresaw. */
export function statusOf(error: unknown): number {
  return isCoded(error) ? (STATUS[error.code] ?? 500) : 500;
}

/** What the transport reports to the operator's log; structured, one line each (pino's signature). */
export interface TransportLog {
  debug(facts: object, text: string): void;
  info(facts: object, text: string): void;
  warn(facts: object, text: string): void;
  error(facts: object, text: string): void;
}
