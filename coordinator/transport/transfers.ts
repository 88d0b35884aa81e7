/**
 * Large bytes over HTTP, resumable in both directions (`shared/wire/http.ts` has the addresses). Bodies are streamed:
 * memory per transfer is a few megabytes whatever its size, and a slow disk or reader slows the sender down.
 */
// oxlint-disable oxc/no-async-endpoint-handlers -- Express 5 forwards rejections to the error handler
import { pipeline } from "node:stream/promises";
import type { Request, Response, Router } from "express";
import { CodedError } from "../../shared/errors.ts";
import { sha256Hex, type ClientName, type Sha256 } from "../../shared/ids.ts";
import { UPLOAD_COMPLETE, UPLOAD_LENGTH, UPLOAD_OFFSET } from "../../shared/wire/http.ts";
import type { ChainLink } from "../../shared/wire/release.ts";
import type { FileBlobs } from "../store/blobs.ts";
import type { UploadKey, Uploads } from "../store/uploads.ts";
import type { CoordinatorTransportEvents } from "./port.ts";

export interface TransferOptions {
  readonly blobs: FileBlobs;
  readonly uploads: Uploads;
  readonly events: Pick<CoordinatorTransportEvents, "uploadLimit" | "uploaded" | "chain" | "manifest">;
  /** The authenticated client of a request; throws AUTH_REFUSED. */
  readonly authenticate: (request: Request) => ClientName;
}

/** Hashes that clients have been told to fetch. What other clients uploaded is none of their business. */
export class Offered {
  readonly #hashes = new Set<string>();
  readonly #chain: (after: number) => Promise<ChainLink[]>;

  constructor(chain: (after: number) => Promise<ChainLink[]>, always: readonly Sha256[] = []) {
    this.#chain = chain;
    for (const hash of always) this.#hashes.add(hash);
  }

  add(links: readonly ChainLink[]): void {
    for (const { update, keyframe } of links) {
      if (update !== null) this.#hashes.add(update.sha256);
      if (keyframe !== null) this.#hashes.add(keyframe.sha256);
    }
  }

  /** Asks for the chain once more before it says no: this process may have started after the client was told. */
  async has(hash: Sha256): Promise<boolean> {
    if (!this.#hashes.has(hash)) this.add(await this.#chain(-1));
    return this.#hashes.has(hash);
  }
}

/** Adds the routes of uploads, blobs, chain and manifests; every request is authenticated. */
export function registerTransfers(router: Router, options: TransferOptions, offered: Offered): void {
  const { blobs, uploads, events, authenticate } = options;

  router.head("/uploads/:sid/:hash", async (request, response) => {
    const key = uploadKey(request, authenticate(request));
    checkLength(wholeNumber(request, UPLOAD_LENGTH), events.uploadLimit(key.client, key.sid, key.hash));
    const { offset, complete } = await uploads.offset(key);
    answerOffset(response, offset, complete).status(204).end();
  });

  router.patch("/uploads/:sid/:hash", async (request, response) => {
    const key = uploadKey(request, authenticate(request));
    const length = wholeNumber(request, UPLOAD_LENGTH);
    const offset = wholeNumber(request, UPLOAD_OFFSET);
    checkLength(length, events.uploadLimit(key.client, key.sid, key.hash));
    const held = await uploads.receive(key, length, offset, request.iterator({ destroyOnReturn: false }));
    // Recorded before it is acknowledged; recording the same upload twice is harmless.
    if (held.complete) await events.uploaded(key.client, key.sid, key.hash, length);
    answerOffset(response, held.offset, held.complete).status(204).end();
  });

  router.get("/blobs/:hash", async (request, response) => {
    authenticate(request);
    const hash = parsedHash(request.params["hash"]);
    if (!(await offered.has(hash)) || !(await blobs.has(hash))) {
      throw new CodedError("NOT_FOUND", `no blob ${hash} is on offer`, { hash });
    }
    const file = await blobs.open(hash);
    const { size } = await file.stat();
    const start = rangeStart(request, size);
    if (start === null) {
      await file.close();
      response.status(416).set("content-range", `bytes */${size}`);
      response.json({ error: { code: "UPLOAD_OFFSET", message: `expected an offset below ${size}` } });
      return;
    }
    response.status(start === 0 ? 200 : 206).set({
      "content-type": "application/octet-stream",
      "content-length": String(size - start),
      "accept-ranges": "bytes",
      "cache-control": "private, immutable, max-age=31536000",
      etag: `"${hash}"`,
      ...(start === 0 ? {} : { "content-range": `bytes ${start}-${size - 1}/${size}` }),
    });
    // Closes the file in every case; a reader that went away is no failure of ours.
    await pipeline(file.createReadStream({ start, highWaterMark: 1 << 18 }), response).catch(() => response.destroy());
  });

  router.get("/chain", async (request, response) => {
    authenticate(request);
    const after = Number(request.query["after"] ?? -1);
    if (!Number.isInteger(after) || after < -1) {
      throw new CodedError("WIRE_INVALID", `after: expected a version or -1, got ${String(request.query["after"])}`);
    }
    const links = await events.chain(after);
    offered.add(links);
    response.json({ links });
  });

  router.get("/manifest/:version", async (request, response) => {
    authenticate(request);
    const version = Number(request.params["version"]);
    const bytes = Number.isInteger(version) && version >= 0 ? await events.manifest(version) : null;
    if (bytes === null) throw new CodedError("NOT_FOUND", `version ${request.params["version"]} is not released`);
    response.set("content-type", "application/json").send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  });
}

function checkLength(length: number, limit: number | null): void {
  if (limit === null) throw new CodedError("UPLOAD_REFUSED", "this upload is not expected now");
  if (length > limit) {
    throw new CodedError("WIRE_OVERSIZE", `upload of ${length} bytes exceeds the ${limit} allowed`, { length, limit });
  }
}

function answerOffset(response: Response, offset: number, complete: boolean): Response {
  return response.set(UPLOAD_OFFSET, String(offset)).set(UPLOAD_COMPLETE, complete ? "?1" : "?0");
}

function uploadKey(request: Request, client: ClientName): UploadKey {
  return { client, sid: parsedHash(request.params["sid"]), hash: parsedHash(request.params["hash"]) };
}

function parsedHash(value: unknown): Sha256 {
  const parsed = sha256Hex.safeParse(value);
  if (!parsed.success) throw new CodedError("WIRE_INVALID", "address: expected 64 hexadecimal digits");
  return parsed.data;
}

function wholeNumber(request: Request, header: string): number {
  const text = request.get(header);
  const value = Number(text);
  if (text === undefined || !/^\d{1,15}$/.test(text)) {
    throw new CodedError("WIRE_INVALID", `${header}: expected a number of bytes, got ${text ?? "nothing"}`);
  }
  return value;
}

/** First byte asked for by "bytes=N-"; null when it lies behind the end. Other forms get everything, as RFC 9110 allows. */
function rangeStart(request: Request, size: number): number | null {
  const match = /^bytes=(\d{1,15})-$/.exec(request.get("range") ?? "");
  const start = match === null ? 0 : Number(match[1]);
  return start < size || start === 0 ? start : null;
}
