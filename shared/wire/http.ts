/**
 * HTTP between client and coordinator, all under /v1. Errors are `{ error: { code, message } }`.
 *
 *   HEAD  /v1/uploads/SID/HASH    Upload-Length -> Upload-Offset: bytes held; Upload-Complete: ?1 when stored
 *   PATCH /v1/uploads/SID/HASH    Upload-Offset, Upload-Length; the body is everything from the offset on
 *   GET   /v1/blobs/HASH          with Range: bytes=N- to resume
 *   GET   /v1/chain?after=N       links from version N to the newest
 *   GET   /v1/manifest/N          exact bytes of a release's signed manifest
 *   POST  /v1/join                redeem an invitation
 *   GET   /v1/join/NAME?key=HEX   collect the certificate that an offline authority signed later
 *   GET   /v1/health              who answers here
 *
 * Uploads follow draft-ietf-httpbis-resumable-upload as far as needed here.
 */
import { z } from "zod";
import { failure } from "./handshake.ts";
import { chainLink } from "./release.ts";

export const UPLOAD_OFFSET = "upload-offset";
export const UPLOAD_LENGTH = "upload-length";
export const UPLOAD_COMPLETE = "upload-complete";

/** Path of socket.io's connections. */
export const CONTROL_PATH = "/v1/control";

export const errorBody = z.object({ error: failure });
export const chainAnswer = z.strictObject({ links: z.array(chainLink).max(100_000) });
