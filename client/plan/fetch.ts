/** The training plan, asked of the coordinator once, for a site whose client has not run yet. */
import { readPlan } from "../../shared/config/plan.ts";
import { CodedError, ERRORS, type ErrorCode } from "../../shared/errors.ts";
import type { ClientTransport } from "../transport/port.ts";

/**
 * Connects, takes the plan's text and closes. Throws PLAN_INVALID or, after `patienceMs`, what the coordinator refused with
 * last, or COORDINATOR_UNREACHABLE with the reason.
 */
export async function fetchPlan(transport: ClientTransport, patienceMs: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  let why = "the coordinator does not answer";
  try {
    return await new Promise<string>((resolve, reject) => {
      timer = setTimeout(() => reject(asError(why)), patienceMs);
      transport.open({
        connected: () => {
          why = "the coordinator sends no plan";
        },
        disconnected: (reason) => {
          why = reason;
        },
        message: (message) => {
          if (message.type !== "plan") return;
          try {
            readPlan(message.plan, message.configHash);
            resolve(message.plan);
          } catch (error) {
            reject(error);
          }
        },
      });
    });
  } finally {
    clearTimeout(timer);
    await transport.close();
  }
}

/** A refusal's reason begins with its code. */
function asError(reason: string): CodedError {
  const [, code = "", words = ""] = /^([A-Z_]+): (.*)$/s.exec(reason) ?? [];
  return Object.hasOwn(ERRORS, code)
    ? new CodedError(code as ErrorCode, words)
    : new CodedError("COORDINATOR_UNREACHABLE", reason);
}
