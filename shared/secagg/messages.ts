/**
 * Payloads of the secure-aggregation steps, in the order in which they are sent (Bonawitz et al. 2017, figure 4).
 * Each travels as the JSON payload of a signed envelope (`signed.ts`).
 */
import { z } from "zod";
import { certificate } from "./certificate.ts";
import { clientName, sha256Hex, type Sha256 } from "../ids.ts";
import { base64Of, statement } from "./signed.ts";
import type { ErrorCode } from "../errors.ts";

/** One client more than the largest cohort the federation schema takes. */
const MAX_CLIENTS = 10_000;

/** 1. client -> coordinator */
export const advertiseKeys = z.strictObject({
  certificate,
  /** X25519 key c, to which shares are boxed. */
  boxKey: base64Of(32),
  /** X25519 key s, from which pairwise masks come. */
  maskKey: base64Of(32),
  /** Commitment to the self-mask seed b. */
  selfMask: base64Of(32),
});
export type AdvertiseKeys = z.infer<typeof advertiseKeys>;

/** 2. coordinator -> client: every advertisement, sorted by name. */
export const roster = z.strictObject({ entries: z.array(statement).min(1).max(MAX_CLIENTS) });
export type Roster = z.infer<typeof roster>;

/**
 * 3. client -> coordinator: one signed share for every holder, sorted by name, the client itself included. On a sparse
 * graph it says whom the client picked, and one signature stands under all shares (`share-tree.ts`).
 */
export const shareKeys = z.strictObject({
  shares: z
    .array(
      z.strictObject({
        to: clientName,
        /** `share-box.ts` says what is in it. */
        payload: z.string().max(1024),
        signature: base64Of(64).optional(),
      }),
    )
    .min(1)
    .max(MAX_CLIENTS),
  signature: base64Of(64).optional(),
});
export type ShareKeys = z.infer<typeof shareKeys>;

/**
 * 4. coordinator -> client: the shares that the others made for it, sorted by name. On a sparse graph not everybody made
 * one, and `sharers` names all who shared keys with anybody.
 */
export const shares = z.strictObject({
  shares: z.array(statement).max(MAX_CLIENTS),
  sharers: z.array(clientName).max(MAX_CLIENTS).optional(),
});
export type Shares = z.infer<typeof shares>;

/** 5. client -> coordinator, beside the upload of the masked vector itself. */
export const maskedInput = z.strictObject({
  /** SHA-256 of the masked words, little-endian. */
  hash: sha256Hex,
  words: z.int().min(1),
  /** On a sparse graph, and with groups: digest of the sharers that this client knows of (`sharersDigest` of `roster.ts`). */
  sharers: sha256Hex.optional(),
});
export type MaskedInput = z.infer<typeof maskedInput>;

/** 6. coordinator -> survivors: who is in the sum, each with its signed masked input; and who shared keys but is not. */
export const survivors = z.strictObject({
  survivors: z.array(statement).min(1).max(MAX_CLIENTS),
  dropouts: z.array(clientName).max(MAX_CLIENTS),
});
export type Survivors = z.infer<typeof survivors>;

/**
 * 7. survivor -> coordinator: "this is the list I saw". Never parsed: everyone knows the one right payload
 * (`consistencyPayload` of `roster.ts`) and compares text.
 */
export interface Consistency {
  readonly digest: Sha256;
}

/** 8. coordinator -> survivors: signatures under one and the same consistency payload. */
export const signatures = z.strictObject({
  signatures: z.array(z.strictObject({ sender: clientName, signature: base64Of(64) })).max(MAX_CLIENTS),
});
export type Signatures = z.infer<typeof signatures>;

const revealed = z.array(z.strictObject({ owner: clientName, share: base64Of(32) })).max(MAX_CLIENTS);

/** 9. survivor -> coordinator: its shares of every survivor's b and of every dropout's s. */
export const unmask = z.strictObject({ selfMask: revealed, maskKey: revealed });
export type Unmask = z.infer<typeof unmask>;

/** What one client can hold against another in a coordinator's message that is right in itself. */
export const ACCUSATIONS = ["SECAGG_SHARE_FALSE", "SECAGG_KEY_WEAK"] as const satisfies readonly ErrorCode[];

/** Signed by a client that leaves an attempt: whose shares or keys it refuses. */
export const accusation = z.strictObject({
  code: z.enum(ACCUSATIONS),
  about: z.array(clientName).min(1).max(MAX_CLIENTS),
});
export type Accusation = z.infer<typeof accusation>;
