/**
 * Control messages between coordinator and client: one schema each, one union per direction. Secure-aggregation
 * steps travel inside as signed envelopes (`shared/secagg/signed.ts`, payloads in `shared/secagg/messages.ts`);
 * large bytes go over HTTP by their hash.
 * Every message is safe to repeat: the receiver recognises it by sid and step and answers the same again.
 */
import { z } from "zod";
import { clientName, sha256Hex } from "../ids.ts";
import { base64Of, MAX_PAYLOAD, signedStep } from "../secagg/signed.ts";
import { certificate, revocationList } from "../secagg/certificate.ts";
import { sessionContext } from "../secagg/session.ts";
import { history } from "../secagg/transcript.ts";
import { chainLink } from "./release.ts";

/** Raised with every change that an older peer would not understand. */
export const PROTOCOL_VERSION = 1;
/** One control message, serialised; larger ones are refused before they are parsed. */
export const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
/** Characters of a training plan; most of them are the topology of a model of the operator's own. */
const MAX_PLAN = 2 * 1024 * 1024;
/** Clients send a heartbeat this often; after three missed ones a client counts as gone. */
export const HEARTBEAT_MS = 1_000;

const reason = z.strictObject({ code: z.string().max(64), message: z.string().max(2_000) });

export const clientMessage = z.discriminatedUnion("type", [
  /** Ready for rounds of this plan: the site's people have approved it. */
  z.strictObject({ type: z.literal("ready"), configHash: sha256Hex, version: z.int().min(-1) }),
  z.strictObject({
    type: z.literal("heartbeat"),
    sid: sha256Hex.nullable(),
    progress: z.strictObject({ step: z.int().min(0), steps: z.int().min(0) }).nullable(),
  }),
  z.strictObject({ type: z.literal("step"), signed: signedStep }),
  /** This client takes no (further) part in the attempt, and why. A plan that the site refuses is declined by its config hash. */
  z.strictObject({
    type: z.literal("decline"),
    sid: sha256Hex,
    reason,
    /** Where other clients are at fault: a signed `accuse` step without its heading. */
    accusation: z.strictObject({ payload: z.string().max(MAX_PAYLOAD), signature: base64Of(64) }).optional(),
  }),
  z.strictObject({ type: z.literal("installed"), version: z.int().min(0), paramsHash: sha256Hex }),
]);
export type ClientMessage = z.infer<typeof clientMessage>;

export const coordinatorMessage = z.discriminatedUnion("type", [
  /** The training plan: federation.yaml without what concerns the coordinator alone, as canonical JSON. */
  z.strictObject({ type: z.literal("plan"), plan: z.string().max(MAX_PLAN), configHash: sha256Hex }),
  /** Invitation to one attempt of one round (or evaluation), signed by the coordinator. */
  z.strictObject({
    type: z.literal("begin"),
    session: sessionContext,
    /** The version to train from or to score; its params hash is `session.parentHash`. */
    version: z.int().min(0),
    /** The authority's newest list, so that the roster can be judged by it; null: nobody was ever revoked. */
    revoked: revocationList.nullable(),
    /** The newest sessions before this one, for a client that was told of one of them to find it again. */
    history,
    /** By the coordinator over the canonical JSON of the other fields. */
    signature: z.string().max(128),
  }),
  /** roster, shares, survivors or signatures of secure aggregation, signed by the coordinator. */
  z.strictObject({ type: z.literal("step"), signed: signedStep }),
  z.strictObject({
    type: z.literal("ended"),
    sid: sha256Hex,
    outcome: z.enum(["completed", "failed", "void"]),
    reason: reason.nullable(),
    transcriptDigest: sha256Hex.nullable(),
    /** By the coordinator over the canonical JSON of the other fields. */
    signature: z.string().max(128),
  }),
  /** A version was committed (chain link) and, later, released (manifest). */
  z.strictObject({ type: z.literal("committed"), link: chainLink }),
  z.strictObject({ type: z.literal("released"), version: z.int().min(0), manifestHash: sha256Hex }),
  z.strictObject({ type: z.literal("stopped"), reason: z.string().max(2_000) }),
]);
export type CoordinatorMessage = z.infer<typeof coordinatorMessage>;

/** What a receiver answers to every message once it is durable, or why it is refused. */
export const ack = z.union([z.strictObject({ ok: z.literal(true) }), z.strictObject({ error: reason })]);

/** HTTP: enrolment. */
export const joinRequest = z.strictObject({
  protocol: z.literal(PROTOCOL_VERSION),
  token: z.string().max(512),
  name: clientName,
  /** ed25519 public key, hex. */
  signingKey: sha256Hex,
  /** Signature over (token, name, signingKey): proof of possession, hex. */
  proof: z.string().regex(/^[0-9a-f]{128}$/),
});
export const joinAnswer = z.strictObject({
  federation: z.string().max(64),
  coordinatorKey: sha256Hex,
  authorityKey: sha256Hex,
  /** null until the offline authority has signed. */
  certificate: certificate.nullable(),
});
