/** The HTTP side of the coordinator: security headers, rate limits, who may call what, and errors as coded JSON. */
// oxlint-disable oxc/no-async-endpoint-handlers -- Express 5 forwards rejections to the error handler
import { timingSafeEqual } from "node:crypto";
import type { Socket } from "node:net";
import express, { type NextFunction, type Request, type Response } from "express";
import { rateLimit, type RateLimitRequestHandler } from "express-rate-limit";
import helmet from "helmet";
import { CodedError } from "../../shared/errors.ts";
import { clientName, sha256Hex, type ClientName } from "../../shared/ids.ts";
import { joinRequest, PROTOCOL_VERSION } from "../../shared/wire/messages.ts";
import type { Enrolment } from "../enrol/enrolment.ts";
import type { Bearers } from "./bearers.ts";
import { statusOf, toWire, type TransportLog } from "./errors.ts";
import { isLoopback } from "./listen.ts";
import { registerTransfers, type Offered, type TransferOptions } from "./transfers.ts";

/** What an operator's command can ask of the running coordinator, by name (`POST /v1/admin/NAME`). */
export type AdminActions = Readonly<Record<string, (input: unknown) => Promise<unknown>>>;

export interface RateLimits {
  /** Enrolment requests a minute and address. */
  readonly joinsPerMinute: number;
  /** Requests refused for want of a valid token, and failed handshakes, a minute and address. */
  readonly failuresPerMinute: number;
}

/** Of a refused request's body. Clients ask before they send more than that. */
const DRAINED_BYTES = 2 << 20;

export interface HttpOptions {
  readonly federation: { readonly name: string; readonly id: string };
  readonly behindProxy: boolean;
  readonly bearers: Bearers;
  readonly enrolment: Enrolment;
  readonly admin: { readonly token: string; readonly actions: AdminActions };
  /** This connection is the operator's own. */
  readonly leaveOut: (socket: Socket) => void;
  readonly transfers: Omit<TransferOptions, "authenticate">;
  readonly offered: Offered;
  readonly limits: RateLimits;
  readonly log: TransportLog;
}

/** The coordinator's HTTP side: health, enrolment, operator's actions and, for enrolled clients, transfers. */
export function createApp(options: HttpOptions): express.Express {
  const { bearers, enrolment, admin, limits, log } = options;
  const app = express();
  app.disable("x-powered-by");
  // One proxy in front: its own entry in X-Forwarded-For is the last one.
  if (options.behindProxy) app.set("trust proxy", 1);
  app.use(helmet());

  app.get("/v1/health", (_request, response) => {
    response.json({ federation: options.federation.name, id: options.federation.id, protocol: PROTOCOL_VERSION });
  });

  const join = express.Router();
  join.use(limiter(limits.joinsPerMinute, false));
  join.post("/", express.json({ limit: "16kb" }), async (request, response) => {
    const body: unknown = request.body;
    const protocol = (body as { protocol?: unknown } | undefined)?.protocol;
    if (typeof protocol === "number" && protocol !== PROTOCOL_VERSION) {
      throw new CodedError("WIRE_VERSION", `coordinator speaks version ${PROTOCOL_VERSION}, site ${protocol}`);
    }
    const parsed = joinRequest.safeParse(body);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new CodedError("WIRE_INVALID", `${issue?.path.join(".")}: ${issue?.message}`);
    }
    response.json(await enrolment.join(parsed.data));
  });
  join.get("/:name", async (request, response) => {
    const name = clientName.safeParse(request.params["name"]);
    const key = sha256Hex.safeParse(request.query["key"]);
    if (!name.success || !key.success) throw new CodedError("WIRE_INVALID", "expected /v1/join/NAME?key=HEX");
    response.json(await enrolment.answer(name.data, key.data));
  });
  app.use("/v1/join", join);

  const administration = express.Router();
  administration.use(limiter(limits.failuresPerMinute, true), (request, _response, next) => {
    const { remoteAddress = "", localAddress } = request.socket;
    const here = isLoopback(remoteAddress) || remoteAddress === localAddress;
    const local = here && request.get("x-forwarded-for") === undefined;
    if (!local || !sameText(bearerOf(request), admin.token)) {
      throw new CodedError("AUTH_ADMIN", "only with the token in admin.token, from the coordinator's own machine");
    }
    options.leaveOut(request.socket);
    next();
  });
  administration.post("/:action", express.json({ limit: "4mb" }), async (request, response) => {
    const name = String(request.params["action"]);
    const action = Object.hasOwn(admin.actions, name) ? admin.actions[name] : undefined;
    if (action === undefined) throw new CodedError("NOT_FOUND", `no such action: ${name}`);
    log.info({ action: name }, `operator: ${name}`);
    response.json({ result: (await action(request.body ?? {})) ?? null });
  });
  app.use("/v1/admin", administration);

  const members = express.Router();
  members.use(limiter(limits.failuresPerMinute, true));
  const authenticate = (request: Request): ClientName => {
    const client = bearers.client(bearerOf(request));
    if (client === null) throw new CodedError("AUTH_REFUSED", "no valid token; connect again");
    return client;
  };
  registerTransfers(members, { ...options.transfers, authenticate }, options.offered);
  app.use("/v1", members);

  app.use((request: Request) => {
    throw new CodedError("NOT_FOUND", `nothing is at ${request.path}`);
  });
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    answerError(asCoded(error), request, response, log);
  });
  return app;
}

function limiter(perMinute: number, failuresOnly: boolean): RateLimitRequestHandler {
  return rateLimit({
    windowMs: 60_000,
    limit: perMinute,
    standardHeaders: "draft-8",
    legacyHeaders: false,
    skipSuccessfulRequests: failuresOnly,
    // Only what smells of guessing counts: a wrong offset or a full disk does not.
    requestWasSuccessful: (_request, response) => response.statusCode !== 401 && response.statusCode !== 403,
    handler: (_request, _response, next) => {
      next(new CodedError("WIRE_TOO_MANY", "too many requests from this address; try again in a minute"));
    },
  });
}

function bearerOf(request: Request): string {
  return /^Bearer ([A-Za-z0-9_-]{1,256})$/.exec(request.get("authorization") ?? "")?.[1] ?? "";
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** body-parser's own errors in our words. */
function asCoded(error: unknown): unknown {
  const type = (error as { type?: unknown } | null)?.type;
  if (type === "entity.too.large") return new CodedError("WIRE_OVERSIZE", "the request body is too large");
  if (typeof type === "string" && /^(entity|encoding|charset|request)\./.test(type)) {
    return new CodedError("WIRE_INVALID", "the request body is not JSON");
  }
  if (error instanceof URIError) return new CodedError("WIRE_INVALID", "the address is not valid");
  return error;
}

function answerError(error: unknown, request: Request, response: Response, log: TransportLog): void {
  const status = statusOf(error);
  const facts = { method: request.method, path: request.path, code: toWire(error).code };
  const cutOff = request.socket.destroyed || (error as NodeJS.ErrnoException | null)?.code === "ECONNRESET";
  if (cutOff) log.debug(facts, "a connection was cut");
  else if (status === 500) log.error({ ...facts, err: error }, "a request failed");
  // The client waits and tries again; it is the operator who can do something about a full disk.
  else if (status === 507) log.error(facts, toWire(error).message);
  else log.debug(facts, toWire(error).message);
  if (response.headersSent || cutOff) {
    response.destroy();
    return;
  }
  response.status(status).set("x-error-code", toWire(error).code);
  // The rest of a short refused body is read, so that the answer arrives; a long one ends with the connection.
  if (!request.complete && !(Number(request.get("content-length")) <= DRAINED_BYTES))
    response.set("connection", "close");
  response.json({ error: toWire(error) });
}
