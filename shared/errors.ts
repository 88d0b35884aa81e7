/**
 * Every error a person can meet has a code, and every code says what to do about it.
 * `docs/errors.md` is written from this table.
 */
export const ERRORS = {
  // configuration and usage (exit 2)
  CONFIG_INVALID: "Correct the named field; the message says what was expected and what came.",
  CONFIG_HEADROOM: "Sums could overflow: lower cohort.max or maxWeight, or use wordBits 32.",
  USAGE: "Run the command with --help.",
  // the work of a command (exit 1)
  COMPARISON_FAILED: "One of the compared runs failed; its message is above.",
  TUNING_FAILED: "Every trial failed; correct the search space or the federation as the message says.",
  INTERRUPTED: "The work was interrupted by a person; run the command again.",
  // data
  DATA_EMPTY: "The dataset holds no pictures; point to a folder with pictures or annotations.json.",
  DATA_INVALID: "annotations.json breaks the dataset format at the named place; correct it.",
  DATA_PICTURE: "A picture cannot be decoded (truncated or not a picture); replace or remove it.",
  DATA_DEPTH: "A depth map is unusable (not 16-bit PNG, or not finite); replace or remove it.",
  DATA_UNKNOWN_CLASS: "Map this class name onto one of the federation's labels in site.yaml (labels.map).",
  DATA_SEGMENTATION: "A mask is unusable (not 8-bit PNG, other size, or an undeclared class id); correct or remove it.",
  DATA_MISSING_FILE: "A file named by the dataset is not there or cannot be read; restore it or remove its entry.",
  DATA_PATH: "File names must stay inside the dataset's folder: no absolute path, no `..`, no link leading out.",
  // model and training
  ENGINE_UNAVAILABLE: "Run `allulook engine install`, or `allulook doctor` to see what is missing.",
  ENGINE_ARCHIVE: "A downloaded archive is damaged; run `allulook engine install` to fetch it again.",
  ENGINE_KERNEL: "This engine cannot compute the operation; install the native one with `allulook engine install`.",
  ENGINE_PROVISION:
    "The native TensorFlow library could not be installed; WebAssembly is used. The message has the cause.",
  MODEL_UNKNOWN: "Name a model of the table in docs/models.md, or the .yaml file of a model of your own.",
  MODEL_LAYER: "A model of your own may hold only the layers the message allows; replace the named one.",
  MODEL_TOPOLOGY: "TensorFlow.js cannot build a LayersModel from this model.json; the message has the cause.",
  MODEL_INTERFACE:
    "The model's inputs or outputs are not what its YAML and federation.yaml say; correct the one that is wrong.",
  MODEL_WEIGHTS:
    "The weights to begin with are not those of the plan; install the version that the plan was made with.",
  MODEL_LARGE: "The model is too large to be federated; make it smaller, or lower input.size.",
  MODEL_PART: "Name a backbone, fusion or loss that there is; the message lists them.",
  MODEL_NO_ATTENTION: "Attention rollout needs the transformer of allulook4; ask for integrated gradients instead.",
  MODEL_NO_GRADIENT:
    "An operation of the model has no gradient, so nothing can be attributed to its inputs; the message names it.",
  PARAMS_SHAPE: "The parameters do not fit this model; check model, preset and version.",
  UPDATE_NOT_FINITE: "Training produced NaN or infinity; lower the learning rate or check the data.",
  UPDATE_SHAPE: "The update has a missing or wrongly shaped tensor; the client's model differs from the plan.",
  TRAINING_FAILED: "Local training failed; the message has the cause.",
  SITE_TEACHER: "Get a copy of the release folder that the plan distils from, and name it in site.yaml (teacher).",
  // protocol
  WIRE_INVALID: "A message breaks the protocol's schema; the other end runs other or faulty software.",
  WIRE_VERSION: "Coordinator and client speak different protocol versions; update the older one.",
  WIRE_OVERSIZE: "A message or upload is larger than allowed.",
  WIRE_HASH: "Bytes do not match their hash; they are fetched or sent again.",
  WIRE_TOO_MANY: "Too many requests from this address; the client waits and tries again by itself.",
  DISCONNECTED: "The connection to the coordinator is down; the client reconnects by itself.",
  UPLOAD_REFUSED: "The coordinator does not expect this upload (any more); the client goes on with the next attempt.",
  UPLOAD_OFFSET: "An upload was continued at the wrong place; the client asks for the right one and goes on.",
  NOT_FOUND: "There is nothing under this address (any more); update the software if this goes on.",
  COORDINATOR_UNREACHABLE:
    "Check that the coordinator runs, and its address, port, proxy and firewall; where its certificate is of an authority of your own, give --ca (join) or set NODE_EXTRA_CA_CERTS.",
  COORDINATOR_FAILED: "The coordinator failed to do this; its log has the cause.",
  AUTH_UNKNOWN_CLIENT: "This client is not enrolled; join with an invitation first.",
  AUTH_REFUSED: "The other end could not prove that it holds the enrolled key.",
  AUTH_PENDING:
    "The federation's authority has not signed this membership yet; the client goes on by itself once it has.",
  AUTH_ADMIN: "Run the command on the coordinator's machine, by the user who may read admin.token.",
  KEY_FILE:
    "Correct the key file as the message says, or restore it from a backup; keys are never made again silently.",
  TOKEN_INVALID: "The invitation is not valid; ask the operator for a new one.",
  TOKEN_EXPIRED: "The invitation has expired; ask the operator for a new one.",
  TOKEN_USED: "The invitation was used already; ask the operator for a new one.",
  // site policy (exit 3)
  PLAN_INVALID: "The coordinator's training plan is damaged or from another version; ask the operator.",
  POLICY_NOT_APPROVED: "Read `allulook plan show`, then run `allulook plan approve`; nothing runs before.",
  POLICY_HOURS: "Outside the hours of site.yaml (policy.hours); the client takes part again when they begin.",
  POLICY_MODEL: "This site does not allow the model; add it to policy.models in site.yaml if it should.",
  POLICY_SECURE_AGGREGATION: "The plan protects less than policy.requireSecureAggregation in site.yaml demands.",
  POLICY_MIN_COHORT: "The cohort is smaller than policy.minCohort in site.yaml; wait for more sites or lower it.",
  POLICY_MIN_SURVIVORS: "Fewer sites would be summed than policy.minSurvivors in site.yaml demands.",
  POLICY_MIN_GROUP: "The plan sums smaller groups of clients than policy.minGroup in site.yaml demands.",
  POLICY_CORRUPTION_RATE: "The plan's corruptionRate is below policy.minCorruptionRate in site.yaml.",
  POLICY_PRIVACY:
    "The plan's privacy loss is unbounded, above policy.privacy of site.yaml, or not what its noise can keep; ask the coordinator's operator for a plan that keeps it.",
  PRIVACY_BUDGET:
    "The privacy budget is spent; nothing more is learned from this data unless a person raises privacy.budget or policy.privacy.maxEpsilon.",
  PRIVACY_EXAMPLES: "This site has too few training examples for the plan's noise; it cannot take part.",
  PRIVACY_MODEL: "The model mixes the examples of a batch, so that single ones cannot be protected; use another one.",
  SESSION_SIGNATURE: "An invitation is not signed by the coordinator this site has joined; the site refuses it.",
  SESSION_PLAN: "An invitation is for another federation or plan than the one approved here; the site refuses it.",
  SESSION_CLIP: "An invitation clips updates to another norm than the approved plan allows; the site refuses it.",
  SESSION_SPLIT_VIEW: "The coordinator tells two stories of the last session; compare transcripts with other sites.",
  ATTEMPT_OVER: "The attempt has ended; the client waits for the next.",
  SITE_LOCKED: "Another process uses this site folder; stop it first.",
  COORDINATOR_RUNNING: "Another process uses this folder; end that coordinator first (Ctrl-C or SIGTERM).",
  SITE_INCOMPLETE: "The site folder lacks what joining writes; run `allulook join TOKEN`.",
  // membership
  CERTIFICATE_INVALID: "A certificate is not signed by the federation's authority; that client does not take part.",
  CERTIFICATE_EXPIRED:
    "A membership has expired; an offline authority signs it anew (allulook authority requests, sign, import); then restart the site's client.",
  CERTIFICATE_STANDS:
    "Run `allulook authority revoke` for that name where the authority's key is, import its answer, then invite again.",
  CERTIFICATE_REVOKED: "The authority has revoked this membership; that client does not take part.",
  // secure aggregation: what a party refuses, and why
  SECAGG_SESSION: "A message belongs to another round, attempt, step or recipient; it is ignored.",
  SECAGG_SIGNATURE: "A signature is not valid; the attempt goes on without that message.",
  SECAGG_STEP: "A message came out of order; the client leaves this attempt.",
  SECAGG_ATTEMPT_REPLAYED:
    "The coordinator repeats an attempt this site already took part in; it must start a new one.",
  SECAGG_ROSTER_SELF: "The roster lacks this site's own keys or changes them; do not trust this coordinator.",
  SECAGG_ROSTER_SMALL: "The cohort is smaller than this site's policy.minCohort; lower it or wait for more clients.",
  SECAGG_ROSTER_LARGE: "The cohort is larger than the plan's cohort.max, so sums could overflow; the site refuses.",
  SECAGG_ROSTER_DUPLICATE: "A name or a key stands twice in the roster; do not trust this coordinator.",
  SECAGG_ROSTER_CHANGED: "The coordinator showed a second, different roster; do not trust it.",
  SECAGG_ROSTER_UNKNOWN: "A message names a client that is not in the roster; do not trust this coordinator.",
  SECAGG_SHARES_CHANGED: "The coordinator forwarded a second, different set of shares; do not trust it.",
  SECAGG_SHARE_FALSE: "A client's share is false; the message names its author, who is left out of the next attempt.",
  SECAGG_KEY_WEAK: "A client advertised a key of low order; the message names it.",
  SECAGG_ACCUSES: "A client accuses more others than can be at fault; it is left out of the rest of the round.",
  SECAGG_DISPUTE:
    "One of two clients lies about what passed between them; both sit out the rest of the round. If it recurs, look at both.",
  SECAGG_HOLDERS_FEW:
    "Too few of the clients that this site picked to hold its shares take part; it leaves this attempt.",
  SECAGG_SHARERS: "Clients were told different lists of who shared keys; do not trust this coordinator.",
  SECAGG_MASK_TWICE: "A vector was to be masked a second time with the same masks; the attempt is abandoned.",
  SECAGG_SURVIVORS_FEW:
    "Too few survivors for the threshold or for this site's policy.minSurvivors; the attempt fails.",
  SECAGG_GROUP_SMALL:
    "Too few survivors are left in one of the round's groups; the site reveals nothing, and the attempt fails.",
  SECAGG_SURVIVORS_UNKNOWN: "The survivor list names a client that did not share keys; do not trust this coordinator.",
  SECAGG_SURVIVORS_HASH: "A survivor's signed masked-input hash is missing or not valid; the site reveals nothing.",
  SECAGG_SURVIVORS_SELF: "The survivor list leaves this site out or shows another masked input; it reveals nothing.",
  SECAGG_SURVIVORS_CHANGED: "The coordinator showed a second, different survivor list; do not trust it.",
  SECAGG_BOTH_SECRETS: "The coordinator asked for both secrets of one client; do not trust it.",
  SECAGG_SIGNATURES_FEW: "Too few clients signed the same survivor list; the site reveals nothing.",
  SECAGG_RETRY_ISOLATES:
    "The round was revealed for other survivors; sums over both could isolate a site, so this one refuses.",
  SECAGG_PARENT_CHANGED: "The same round came again with another parent model; the site refuses.",
  SECAGG_PARENT_REUSED: "A revealed round's parent is to be trained on again, which policy.allowVoid forbids.",
  SECAGG_CONSISTENCY: "A client saw another survivor list than the coordinator sent; the attempt goes on without it.",
  SECAGG_SECRET_FALSE: "A reconstructed secret is not the one that was committed to; the message names who lied.",
  SECAGG_SHARES_FEW: "Too few shares to take a mask away; the attempt fails.",
  STATISTIC_INVALID: "A count or loss to be summed is no number that fits; the client leaves the round.",
  UPDATE_IMPOSSIBLE:
    "A client's update is none that an honest client can send; it is left out of the round. Look at it.",
  AGGREGATE_WEIGHT: "The sum's total weight is impossible for these survivors; the round is discarded.",
  AGGREGATE_RANGE: "The sum is outside of what honest clients can produce; the round is discarded.",
  AGGREGATE_NORM: "The mean update is longer than the clipping norm allows; the round is discarded.",
  // rounds
  ROUND_UNKNOWN: "No such session is open here (any more); the client waits for the next invitation.",
  ROUND_EARLY: "A step came before the coordinator asked for it; the client sends it again when asked.",
  ROUND_LATE: "A step came after its phase had closed; the client takes part again in the next attempt.",
  ROUND_CONFLICT: "A client sent two different answers to one question; the first one counts.",
  ROUND_NOT_ASKED: "This client is not part of this step; it waits for the next invitation.",
  ROUND_LEFT_OUT: "This client was left out of the attempt; the message says why.",
  ROUND_FORGOTTEN: "A client was restarted and lost an attempt's secrets; it takes part again in the next attempt.",
  ROUND_BLOB: "The masked vector was not uploaded before it was announced; the client uploads it and goes on.",
  ROUND_TOO_FEW: "Too few clients took part; start more clients, or lower schedule.cohort.min or minSurvivors.",
  ROUND_VOID:
    "Survivors of a round did not come back to reveal their shares; the next round starts from the same model.",
  ROUND_FAILED: "Rounds keep failing; the message has the last cause.",
  // releases
  RELEASE_MANIFEST: "manifest.json is missing, altered or of another format; get the release folder again.",
  RELEASE_SIGNATURE:
    "The release is not signed by the coordinator's key; do not use it, and compare the key by other means.",
  RELEASE_FILE: "A file of the release is missing, altered or does not belong to it; get the release folder again.",
  RELEASE_FORMAT: "An update, keyframe or model breaks the format; get it again, or update this software.",
  RELEASE_PARAMS: "The bytes do not lead to the params that were signed; do not use this release.",
  RELEASE_MODEL: "model/ is not what the signed params give; do not use this release.",
  RELEASE_CHAIN: "The chain of versions has a gap or contradicts itself; ask the operator of the coordinator.",
  // transcripts
  TRANSCRIPT_FORMAT: "A transcript is damaged, cut off or of another format; get the file again.",
  TRANSCRIPT_SIGNATURE:
    "A transcript is not what the coordinator's key has signed; get it again, and compare the key by other means.",
  TRANSCRIPT_CHAIN:
    "The transcripts do not follow one from the other: one is missing, changed or from elsewhere. Ask the operator.",
  TRANSCRIPT_CONTRADICTION: "A signed transcript contradicts itself or the protocol; do not trust this coordinator.",
  TRANSCRIPT_SPLIT_VIEW:
    "A site's own copy of a session differs from the coordinator's transcript; compare with other sites' copies.",
  TRANSCRIPT_EVIDENCE: "What was kept of a session does not give what its transcript says; do not trust this version.",
  TRANSCRIPT_RELEASE: "A release is not the one that the transcript's step leads to; do not use it.",
  // audit logs
  AUDIT_FORMAT: "A line is no entry of an audit log; the file was damaged or changed.",
  AUDIT_CHAIN: "Lines of an audit log were changed, removed, inserted or moved; compare with a backup.",
  AUDIT_SIGNATURE: "A checkpoint of an audit log is not signed by its owner's key; the log is not what it says.",
  AUDIT_BUSY: "Another process keeps the audit log busy; run the command again.",
  // storage
  STORE_FULL: "The disk is full; make room, the transfer resumes by itself.",
  STORE_MIGRATION: "The database was made by another version; run that version, or restore the folder from a backup.",
  STORE_CORRUPT: "Stored bytes do not match their hash; restore the folder from a backup.",
} as const satisfies Record<string, string>;

export type ErrorCode = keyof typeof ERRORS;

/** An error with a code from {@link ERRORS}; `details` are facts for logs and tests (field, expected, got, file, client). */
export class CodedError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "CodedError";
    this.code = code;
    this.details = details;
  }

  /** What the person should do. */
  get remedy(): string {
    return ERRORS[this.code];
  }
}

/** True when `error` is a {@link CodedError}, optionally with the given code. */
export function isCoded(error: unknown, code?: ErrorCode): error is CodedError {
  return error instanceof CodedError && (code === undefined || error.code === code);
}
