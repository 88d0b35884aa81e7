/** Every decoder of bytes or text that comes from elsewhere, with well-formed examples to begin from. */
import { brotliCompressSync } from "node:zlib";
import sharp from "sharp";
import { parseAnnotations } from "../../client/data/annotations.ts";
import { decodeDepth } from "../../client/data/depth.ts";
import { decodeRuns } from "../../client/data/masks.ts";
import { decodePicture } from "../../client/data/picture.ts";
import { decodePersonal } from "../../client/model-cache/personal.ts";
import { parseFederationConfig } from "../../coordinator/config.ts";
import { decodeServerState, encodeServerState } from "../../coordinator/optimizer/server-state-codec.ts";
import { initialServerState } from "../../coordinator/optimizer/server-optimizer.ts";
import { parseSchedule } from "../../coordinator/schedule/schedule.ts";
import { announcement } from "../../coordinator/aggregate/announce.ts";
import { checkpoint, hashOfLine, lineOf, NOTHING_BEFORE } from "../../shared/audit/entry.ts";
import { verifyAudit } from "../../shared/audit/verify.ts";
import { configHashOf, planOf, planText, readPlan } from "../../shared/config/plan.ts";
import { siteConfig } from "../../shared/config/site.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import { parseWindows } from "../../shared/config/window.ts";
import { CodedError } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import { brotli } from "../../shared/node/brotli.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { layoutOf } from "../../shared/params/layout.ts";
import { decodeKeyframe, encodeKeyframe } from "../../shared/quantize/keyframe.ts";
import { decodeModel, encodeModel } from "../../shared/quantize/model.ts";
import { applyUpdate, encodeUpdate } from "../../shared/quantize/update.ts";
import { decodeBase, encodeBase } from "../../shared/release/base.ts";
import { readManifest, signManifest } from "../../shared/release/manifest.ts";
import { MODEL_CARD_PATH, modelFiles, readModelCard, readOwnModelFile } from "../../shared/release/model-card.ts";
import { issueRevocationList, revocationList, verifyRevocationList } from "../../shared/secagg/certificate.ts";
import { fromBase64, toBase64 } from "../../shared/secagg/encoding.ts";
import {
  accusation,
  advertiseKeys,
  maskedInput,
  roster,
  shareKeys,
  shares,
  signatures,
  survivors,
  unmask,
} from "../../shared/secagg/messages.ts";
import { newWords } from "../../shared/secagg/mask.ts";
import { openVector, sealVector } from "../../shared/secagg/sealed.ts";
import { shareBytes } from "../../shared/secagg/share-box.ts";
import { signTranscript, type Transcript } from "../../shared/secagg/transcript.ts";
import { parsePayload, statementOf, type SignedStep } from "../../shared/secagg/signed.ts";
import { readTranscript } from "../../shared/transcript/session.ts";
import { challenge, hello } from "../../shared/wire/handshake.ts";
import { decodeInvitation, encodeInvitation } from "../../shared/wire/invitation.ts";
import { clientMessage, coordinatorMessage } from "../../shared/wire/messages.ts";
import { fakeFederation, fakeRound, fakeSession, fixedSecureRng, NOW, SETTINGS } from "../fakes/secagg.ts";

export interface Target {
  readonly examples: readonly Uint8Array[];
  /** Gives something, or throws a coded error. */
  read(bytes: Uint8Array): unknown;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");
const utf8 = (value: string): Uint8Array => Buffer.from(value, "utf8");
const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value));
/** What the transports do with a body. */
const parsed = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(text(bytes));
  } catch {
    throw new CodedError("WIRE_INVALID", "not JSON");
  }
};

const crypto = new NodeCrypto();

/** Every step of one honest attempt of three. */
async function honestSteps(): Promise<Record<string, SignedStep | object>> {
  const fed = fakeFederation(3, crypto);
  const session = fakeSession(fed);
  const rounds = fed.clients.map((client) => fakeRound(fed, client, session, SETTINGS));
  const given = await Promise.all(rounds.map((round) => round.advertise()));
  const list = announcement.roster(given.map(statementOf));
  const shared = rounds.map((round) => round.shareKeys(list));
  const addressed = (i: number) =>
    announcement.shares(
      shared.flatMap((step, from) => {
        if (from === i) return [];
        const parsedShares = JSON.parse(step.payload) as {
          shares: { to: string; payload: string; signature: string }[];
        };
        const own = parsedShares.shares.find(({ to }) => to === fed.clients[i]?.name);
        return own === undefined ? [] : [{ ...statementOf(step), payload: own.payload, signature: own.signature }];
      }),
    );
  const inputs = [];
  for (const [i, round] of rounds.entries()) {
    round.acceptShares(addressed(i));
    inputs.push(await round.mask(newWords(32, SETTINGS.words)));
  }
  const alive = announcement.survivors(
    inputs.map(statementOf),
    fed.clients.map(({ name }) => name),
  );
  const signed = rounds.map((round) => round.confirmSurvivors(alive));
  const confirmed = announcement.signatures(signed.map(statementOf));
  const revealed = await (rounds[0] as (typeof rounds)[number]).reveal(confirmed);
  return {
    advertised: given[0] as SignedStep,
    roster: list,
    shareKeys: shared[0] as SignedStep,
    shares: addressed(0),
    maskedInput: inputs[0] as SignedStep,
    survivors: alive,
    signatures: confirmed,
    revealed,
  };
}

const PLAN =
  "federation: wards\nlabels: { scene: [a, b], depth: { kind: none } }\nmodel: { name: allulook4, preset: nano }\n";

export async function targets(): Promise<Record<string, Target>> {
  const steps = await honestSteps();
  const payloadOf = (name: string) => utf8((steps[name] as SignedStep).payload);
  const payload = (schema: Parameters<typeof parsePayload>[0], ...examples: Uint8Array[]): Target => ({
    examples,
    read: (bytes) => parsePayload(schema, { step: "roster", sender: "fuzz" }, text(bytes)),
  });
  const wire = (schema: { safeParse(value: unknown): unknown }, ...examples: object[]): Target => ({
    examples: examples.map(json),
    read: (bytes) => schema.safeParse(parsed(bytes)),
  });
  const layout = layoutOf([
    { name: "conv/kernel", shape: [3, 3, 2, 4] },
    { name: "conv/bias", shape: [4] },
  ]);
  const params = Float32Array.from({ length: layout.length }, (_, i) => Math.sin(i));
  const next = params.map((value) => value * 1.01);
  const { bytes: model } = encodeModel(layout, params, "int8", []);
  const { bytes: update } = encodeUpdate(layout, next, params, "int8");
  const state = initialServerState(params);
  const fed = fakeFederation(1, crypto);
  const revoked = issueRevocationList(fed.authority, {
    federation: fed.trust.federation as never,
    version: 3,
    serials: ["0123456789abcdef"],
  });
  const boxSecret = crypto.agreementKey(new Uint8Array(32).fill(7));
  const sid = "1".repeat(64);
  const sealed = sealVector(
    crypto,
    fixedSecureRng(crypto, "fuzz"),
    sid,
    "site",
    boxSecret.publicKey,
    new Uint8Array(99),
  );
  const { config } = parseFederationConfig(PLAN);
  const png = (channels: 3 | 4) =>
    sharp({ create: { width: 9, height: 7, channels, background: { r: 9, g: 90, b: 200, alpha: 1 } } });
  const depth = await sharp(new Uint16Array(63).fill(900), { raw: { width: 9, height: 7, channels: 1 } })
    .toColourspace("grey16")
    .png()
    .toBuffer();
  const annotations = {
    images: [{ id: 1, file_name: "a.png", width: 9, height: 7 }],
    categories: [{ id: 1, name: "pipe" }],
    annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: [1, 1, 3, 3], area: 9, iscrowd: 0 }],
  };
  const fail = (why: string) => new CodedError("DATA_INVALID", why);
  const invitation = encodeInvitation({
    url: "https://fl.example.org",
    federation: "wards",
    client: "alice" as ClientName,
    coordinatorKey: "2".repeat(64) as Sha256,
    authorityKey: "3".repeat(64) as Sha256,
    secret: toBase64(new Uint8Array(32)),
  });

  const card = modelFiles(config, layout).get(MODEL_CARD_PATH) as Uint8Array;
  const { sid: own, ...session } = fakeSession(fed);
  const transcript: Transcript = {
    schema: 1,
    session,
    sid: own,
    version: 3,
    startedAt: NOW,
    mode: "malicious",
    minRoster: 3,
    minSurvivors: 3,
    thresholds: { selfMask: 3, maskKey: 2 },
    graph: { dropoutRate: 0.1, corruptionRate: 0.1 },
    revoked,
    invited: ["alice" as ClientName],
    advertised: [statementOf(steps["advertised"] as SignedStep)],
    shared: [],
    maskedInputs: [statementOf(steps["maskedInput"] as SignedStep)],
    consistency: [],
    revealed: [],
    excluded: [{ client: "alice" as ClientName, code: "ROUND_LATE" }],
    accusations: [],
    outcome: "failed",
    reason: { code: "ROUND_TOO_FEW", message: "too few" },
    result: null,
  };
  const auditLine = lineOf(1, "2026-01-01T00:00:00.000Z", { act: "x", facts: { y: [1] } }, NOTHING_BEFORE);
  const before = hashOfLine(auditLine);
  const signedLine = lineOf(2, "2026-01-01T00:00:00.000Z", checkpoint(fed.coordinator, 2, before), before);
  const hash = "4".repeat(64) as Sha256;
  const { bytes: manifest } = signManifest(fed.coordinator, {
    format: 1,
    federation: hash,
    name: "wards",
    version: 3,
    round: 3,
    parentHash: hash,
    paramsHash: hash,
    params: layout.length,
    layoutHash: hash,
    configHash: hash,
    counts: { cohort: 4, survivors: 4, evaluated: 4, examples: 32 },
    metrics: { scene: { accuracy: 0.5 } },
    evaluation: "measured",
    drops: { segmentation: null, detection: null, depth: null, scene: 0.01 },
    model: null,
    updateBytes: 10,
    files: [{ path: "update/params.bin", sha256: hash, bytes: 10 }],
  });

  return {
    "client-message": wire(
      clientMessage,
      { type: "step", signed: steps["advertised"] },
      { type: "heartbeat", sid, progress: { step: 1, steps: 2 } },
      { type: "decline", sid, reason: { code: "X", message: "x" } },
    ),
    "coordinator-message": wire(
      coordinatorMessage,
      { type: "begin", session, version: 0, revoked, history: { before: sid, links: [] }, signature: "s" },
      { type: "stopped", reason: "x" },
      { type: "plan", plan: planText(planOf(config)), configHash: sid },
    ),
    handshake: wire(hello, { protocol: 1, federation: sid, client: "alice", nonce: toBase64(new Uint8Array(32)) }),
    challenge: wire(challenge, { nonce: "n".repeat(43), proof: "p".repeat(86) }),
    "payload-advertise-keys": payload(advertiseKeys, payloadOf("advertised")),
    "payload-roster": payload(roster, json(steps["roster"])),
    "payload-share-keys": payload(shareKeys, payloadOf("shareKeys")),
    "payload-shares": payload(shares, json(steps["shares"])),
    "payload-masked-input": payload(maskedInput, payloadOf("maskedInput")),
    "payload-survivors": payload(survivors, json(steps["survivors"])),
    "payload-signatures": payload(signatures, json(steps["signatures"])),
    "payload-unmask": payload(unmask, payloadOf("revealed")),
    "payload-accuse": payload(accusation, json({ code: "SECAGG_SHARE_FALSE", about: ["alice"] })),
    share: {
      examples: [utf8((steps["shares"] as { shares: { payload: string }[] }).shares[0]?.payload ?? "")],
      read: (bytes) => shareBytes("a", "b", text(bytes)),
    },
    base64url: { examples: [utf8(toBase64(params.subarray(0, 8) as never))], read: (bytes) => fromBase64(text(bytes)) },
    invitation: { examples: [utf8(invitation)], read: (bytes) => decodeInvitation(text(bytes)) },
    "revocation-list": {
      examples: [json(revoked)],
      read: (bytes) => {
        const list = revocationList.safeParse(parsed(bytes));
        if (!list.success) return null;
        return verifyRevocationList(crypto, fed.trust.federation, fed.trust.authorityKey, list.data);
      },
    },
    "sealed-vector": { examples: [sealed], read: (bytes) => openVector(crypto, sid, "site", boxSecret, bytes) },
    plan: {
      examples: [utf8(planText(planOf(config)))],
      read: (bytes) => readPlan(text(bytes), configHashOf(text(bytes))),
    },
    "federation-yaml": { examples: [utf8(PLAN)], read: (bytes) => parseFederationConfig(text(bytes)) },
    "site-config": {
      examples: [json({ coordinator: "https://fl.example.org", data: "./data", policy: { hours: "19:00-06:00" } })],
      read: (bytes) => parseConfig(siteConfig, parsed(bytes), "site.yaml"),
    },
    schedule: {
      examples: [utf8("Mon-Fri 19:00-06:00 Europe/Berlin"), utf8("6h")],
      read: (b) => parseSchedule(text(b)),
    },
    windows: { examples: [utf8("Mon-Fri 19:00-06:00 UTC")], read: (bytes) => parseWindows(text(bytes), "hours") },
    transcript: {
      examples: [utf8(signTranscript(fed.coordinator, transcript))],
      read: (bytes) => readTranscript(text(bytes)),
    },
    "audit-log": {
      examples: [utf8(`${auditLine}\n${signedLine}\n`)],
      read: (bytes) => verifyAudit(crypto, text(bytes), null),
    },
    manifest: { examples: [manifest], read: (bytes) => readManifest(crypto, bytes, null) },
    "model-card": { examples: [card], read: (bytes) => readModelCard(bytes) },
    "own-model": { examples: [json({ inputs: {}, outputs: {} })], read: (bytes) => readOwnModelFile(bytes) },
    keyframe: { examples: [encodeKeyframe(layout, params)], read: (bytes) => decodeKeyframe(bytes, null) },
    "model-weights": { examples: [model], read: (bytes) => decodeModel(layout, bytes) },
    "base-weights": { examples: [encodeBase(layout, model)], read: (bytes) => decodeBase(bytes) },
    "release-update": { examples: [update], read: (bytes) => applyUpdate(layout, params, bytes) },
    personal: { examples: [encodeKeyframe(layout, params)], read: (bytes) => decodePersonal(bytes) },
    "server-state": {
      examples: [encodeServerState(state)],
      read: (bytes) => decodeServerState(bytes, layout.length),
    },
    compressed: {
      examples: [brotliCompressSync(model)],
      read: (bytes) => brotli.decompress(bytes, 100_000),
    },
    annotations: { examples: [json(annotations)], read: (bytes) => parseAnnotations(text(bytes), "annotations.json") },
    "run-lengths": { examples: [utf8("0d1T2")], read: (bytes) => decodeRuns(text(bytes), fail) },
    picture: {
      examples: [
        await png(3).png().toBuffer(),
        await png(4).png().toBuffer(),
        await png(3).jpeg().toBuffer(),
        await png(3).webp().toBuffer(),
      ],
      read: (bytes) => decodePicture(Buffer.from(bytes), "a"),
    },
    depth: { examples: [depth], read: (bytes) => decodeDepth(Buffer.from(bytes), "a") },
  };
}
