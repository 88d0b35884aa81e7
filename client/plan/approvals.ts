/** Who at this site approved which training plan, and when: durable, append-only, asked before every session. */
import { appendFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { configHashOf, readPlan, type TrainingPlan } from "../../shared/config/plan.ts";
import type { SitePolicy } from "../../shared/config/site.ts";
import { CodedError } from "../../shared/errors.ts";
import { sha256Hex, type Sha256 } from "../../shared/ids.ts";
import { readTextIfAny, syncPath, writeFileDurably } from "../../shared/node/files.ts";

const approval = z.strictObject({
  configHash: sha256Hex,
  /** ISO 8601, UTC. */
  at: z.string(),
  /** The person, as the operating system or --by names them. */
  by: z.string().min(1).max(256),
});
export type Approval = z.infer<typeof approval>;

/** What a session asks: may sessions of this plan run, and under whose approval? */
export interface Approvals {
  /** The approval that covers the plan, or null. */
  covering(configHash: Sha256): Promise<Approval | null>;
}

export class FileApprovals implements Approvals {
  readonly #path: string;
  readonly #rule: SitePolicy["approve"];

  constructor(path: string, rule: SitePolicy["approve"]) {
    this.#path = path;
    this.#rule = rule;
  }

  async covering(configHash: Sha256): Promise<Approval | null> {
    const all = await readApprovals(this.#path);
    if (this.#rule === "once") return all.at(-1) ?? null;
    return all.findLast((item) => item.configHash === configHash) ?? null;
  }
}

/** All approvals, oldest first. */
export async function readApprovals(path: string): Promise<Approval[]> {
  const text = await readTextIfAny(path);
  if (text === null) return [];
  const lines = text.split("\n");
  // A last line without its end was cut before the person was told that it stands.
  lines.pop();
  return lines.map((line, index) => {
    try {
      return approval.parse(JSON.parse(line));
    } catch {
      throw new CodedError("STORE_CORRUPT", `${path}: line ${index + 1} is not an approval`, { file: path });
    }
  });
}

/** Durable when resolved. */
export async function recordApproval(path: string, item: Approval): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const whole = (await readTextIfAny(path)) ?? "";
  if (whole !== "" && !whole.endsWith("\n")) {
    await writeFileDurably(path, whole.slice(0, whole.lastIndexOf("\n") + 1), 0o600);
  }
  await appendFile(path, `${JSON.stringify(approval.parse(item))}\n`, { mode: 0o600 });
  await syncPath(path);
  await syncPath(dirname(path));
}

const storedPlan = z.strictObject({ plan: z.string(), configHash: sha256Hex, receivedAt: z.string() });

/** Keeps the plan last received, so that it can be read while the coordinator is away. */
export async function storePlan(path: string, text: string, now: number): Promise<void> {
  const value = { plan: text, configHash: configHashOf(text), receivedAt: new Date(now).toISOString() };
  await writeFileDurably(path, `${JSON.stringify(value)}\n`, 0o600);
}

/** The plan last received, or null; throws STORE_CORRUPT or PLAN_INVALID. */
export async function loadPlan(
  path: string,
): Promise<{ plan: TrainingPlan; configHash: Sha256; receivedAt: string } | null> {
  const text = await readTextIfAny(path);
  if (text === null) return null;
  let stored: z.infer<typeof storedPlan>;
  try {
    stored = storedPlan.parse(JSON.parse(text));
  } catch {
    throw new CodedError("STORE_CORRUPT", `${path} is damaged; it is fetched again when removed`, { file: path });
  }
  const { configHash, receivedAt } = stored;
  return { plan: readPlan(stored.plan, configHash), configHash, receivedAt };
}
