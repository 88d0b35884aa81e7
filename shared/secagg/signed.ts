/**
 * The signed envelope of every protocol step. The signature (Ed25519) covers session, step, sender, recipient
 * and the SHA-256 of the payload text; the payload is parsed, by the step's schema, only after it verified.
 * Lists that the coordinator forwards carry {@link Statement}s: the reader fills in the session it expects, so a
 * statement made in another session, step or for another recipient does not verify.
 */
import { hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { CodedError } from "../errors.ts";
import { clientName, purpose, sha256Hex, type ClientName } from "../ids.ts";
import type { CryptoPort, SigningKey } from "./crypto-port.ts";
import { encodeTuple, fromBase64, toBase64 } from "./encoding.ts";
import type { Session } from "./session.ts";

/** As sender or recipient; no client can have these names. */
export const COORDINATOR = "@coordinator";
export const EVERYONE = "@everyone";

const party = z.union([clientName, z.literal(COORDINATOR), z.literal(EVERYONE)]);
export type Party = z.infer<typeof party>;

/** Base64url without padding of exactly `length` bytes. */
export function base64Of(length: number) {
  const characters = Math.ceil((length * 4) / 3);
  return z.string().regex(new RegExp(`^[A-Za-z0-9_-]{${characters}}$`), `base64url of ${length} bytes`);
}

const step = z.enum([
  // client -> coordinator
  "advertise-keys",
  "share-keys",
  "masked-input",
  "consistency",
  "unmask",
  // client -> coordinator, with a refusal: whose fault it is
  "accuse",
  // client -> client, carried by share-keys and shares
  "share",
  // coordinator -> client
  "roster",
  "shares",
  "survivors",
  "signatures",
]);
export type Step = z.infer<typeof step>;

/** Largest payload in characters: 1,000 clients' advertisements fit. */
export const MAX_PAYLOAD = 2 ** 21;

export const signedStep = z.strictObject({
  federation: sha256Hex,
  sid: sha256Hex,
  purpose,
  round: z.int().min(0),
  attempt: z.int().min(0),
  step,
  sender: party,
  recipient: party,
  payload: z.string().max(MAX_PAYLOAD),
  signature: base64Of(64),
});
export type SignedStep = z.infer<typeof signedStep>;

/** A signed message without what its reader knows anyway. */
export const statement = z.strictObject({
  sender: clientName,
  payload: z.string().max(4096),
  signature: base64Of(64),
});
export type Statement = z.infer<typeof statement>;

export interface Heading {
  readonly step: Step;
  readonly sender: Party;
  readonly recipient: Party;
}

function signedBytes(crypto: CryptoPort, session: Session, heading: Heading, payload: string): Uint8Array {
  return signedBytesOf(session, heading, crypto.sha256(utf8ToBytes(payload)));
}

function signedBytesOf(session: Session, heading: Heading, payloadHash: Uint8Array): Uint8Array {
  const first = sessionBytes(session);
  const { step: name, sender, recipient } = heading;
  const rest = encodeTuple(name, sender, recipient, payloadHash);
  const out = new Uint8Array(first.length + rest.length);
  out.set(first);
  out.set(rest, first.length);
  return out;
}

/** The beginning that all messages of a session share; a tuple's encoding is that of its parts one after the other. */
function sessionBytes(session: Session): Uint8Array {
  const known = SESSION_BYTES.get(session);
  if (known !== undefined) return known;
  const { federation, purpose: why, round, attempt, sid } = session;
  const bytes = encodeTuple("allulook/signed/v1", hexToBytes(federation), why, round, attempt, hexToBytes(sid));
  SESSION_BYTES.set(session, bytes);
  return bytes;
}

const SESSION_BYTES = new WeakMap<Session, Uint8Array>();

/** Signs a payload. */
export function sign(
  crypto: CryptoPort,
  key: SigningKey,
  session: Session,
  heading: Heading,
  payload: string,
): SignedStep {
  return {
    federation: session.federation,
    sid: session.sid,
    purpose: session.purpose,
    round: session.round,
    attempt: session.attempt,
    ...heading,
    payload,
    signature: toBase64(key.sign(signedBytes(crypto, session, heading, payload))),
  };
}

/** The part of a client's message that is forwarded. */
export function statementOf(message: SignedStep): Statement {
  return { sender: message.sender as ClientName, payload: message.payload, signature: message.signature };
}

/**
 * Checks a message against the session, step, sender and recipient expected here and returns its payload text.
 * SECAGG_SESSION names the field that differs; SECAGG_SIGNATURE names the sender.
 */
export function openSigned(
  crypto: CryptoPort,
  senderKey: Uint8Array,
  session: Session,
  heading: Heading,
  message: SignedStep,
): string {
  const expected: Record<string, string | number> = {
    federation: session.federation,
    purpose: session.purpose,
    round: session.round,
    attempt: session.attempt,
    sid: session.sid,
    ...heading,
  };
  for (const [field, value] of Object.entries(expected)) {
    const got = message[field as keyof SignedStep];
    if (got !== value) {
      throw new CodedError(
        "SECAGG_SESSION",
        `${heading.step} from ${message.sender}: ${field} is ${got}, expected ${value}`,
        {
          field,
          expected: value,
          got,
          client: message.sender,
        },
      );
    }
  }
  verifyStatement(crypto, senderKey, session, heading, message);
  return message.payload;
}

/** Verifies a forwarded statement in the session and with the heading expected; throws SECAGG_SIGNATURE. */
export function verifyStatement(
  crypto: CryptoPort,
  senderKey: Uint8Array,
  session: Session,
  heading: Heading,
  given: { readonly payload: string; readonly signature: string },
): void {
  verifyBytes(crypto, senderKey, heading, signedBytes(crypto, session, heading, given.payload), given.signature);
}

/** As {@link verifyStatement}, where only the payload's SHA-256 is at hand. */
export function verifyPayloadHash(
  crypto: CryptoPort,
  senderKey: Uint8Array,
  session: Session,
  heading: Heading,
  given: { readonly payloadHash: string; readonly signature: string },
): void {
  const bytes = signedBytesOf(session, heading, hexToBytes(given.payloadHash));
  verifyBytes(crypto, senderKey, heading, bytes, given.signature);
}

function verifyBytes(crypto: CryptoPort, key: Uint8Array, heading: Heading, bytes: Uint8Array, text: string): void {
  const signature = fromBase64(text);
  if (signature !== null && crypto.verify(key, bytes, signature)) return;
  throw new CodedError("SECAGG_SIGNATURE", `${heading.step}: the signature of ${heading.sender} is not valid`, {
    client: heading.sender,
    step: heading.step,
  });
}

/** Parses a verified payload; throws WIRE_INVALID with the field. */
export function parsePayload<T>(schema: z.ZodType<T>, heading: { step: string; sender: string }, payload: string): T {
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch (error) {
    throw new CodedError(
      "WIRE_INVALID",
      `${heading.step} from ${heading.sender}: the payload is not JSON`,
      {
        client: heading.sender,
        step: heading.step,
      },
      { cause: error },
    );
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  throw new CodedError("WIRE_INVALID", `${heading.step} from ${heading.sender}: ${field}: ${issue?.message}`, {
    client: heading.sender,
    step: heading.step,
    field,
  });
}
