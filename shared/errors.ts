/**
 * Every error a person can meet has a code, and every code says what to do about it.
 * `docs/errors.md` is written from this table.
 */
export const ERRORS = {
  // configuration and usage (exit 2)
  CONFIG_INVALID: "Correct the named field; the message says what was expected and what came.",
  CONFIG_HEADROOM: "Sums could overflow: lower cohort.max or maxWeight, or use wordBits 32.",
  USAGE: "Run the command with --help.",
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
  MODEL_UNKNOWN: "Run `allulook model list` for the models and presets there are.",
  PARAMS_SHAPE: "The parameters do not fit this model; check model, preset and version.",
  UPDATE_NOT_FINITE: "Training produced NaN or infinity; lower the learning rate or check the data.",
  UPDATE_SHAPE: "The update has a missing or wrongly shaped tensor; the client's model differs from the plan.",
  TRAINING_FAILED: "Local training failed; the message has the cause.",
  // protocol
  WIRE_INVALID: "A message breaks the protocol's schema; the peer runs other or faulty software.",
  WIRE_VERSION: "Coordinator and client speak different protocol versions; update the older one.",
  WIRE_OVERSIZE: "A message or upload is larger than allowed.",
  WIRE_HASH: "Bytes do not match their hash; they are fetched or sent again.",
  AUTH_UNKNOWN_CLIENT: "This client is not enrolled; join with an invitation first.",
  AUTH_REFUSED: "The peer could not prove that it holds the enrolled key.",
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
  POLICY_VOID: "A round from this parent was signed void; policy.allowVoid in site.yaml forbids to train on it again.",
  POLICY_PRIVACY: "The plan's privacy loss is unbounded or above policy.privacy.maxEpsilon in site.yaml.",
  SITE_LOCKED: "Another process uses this site folder; stop it first.",
  SITE_INCOMPLETE: "The site folder lacks what joining writes; run `allulook join TOKEN`.",
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
