/** The training plan, asked of the coordinator once, for a site whose client has not run yet. */
import { readPlan } from "../../shared/config/plan.ts";
import { CodedError } from "../../shared/errors.ts";
import type { ClientTransport } from "../transport/port.ts";

/** Connects, takes the plan's text and closes. Throws PLAN_INVALID, or DISCONNECTED with the last reason after `patienceMs`. */
export async function fetchPlan(transport: ClientTransport, patienceMs: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  let why = "the coordinator does not answer";
  try {
    return await new Promise<string>((resolve, reject) => {
      timer = setTimeout(() => reject(new CodedError("DISCONNECTED", why)), patienceMs);
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
