/** Keeps the client out of the way of the site's other work: priority and threads of this process. */
import { getPriority, setPriority } from "node:os";
import type { SitePolicy } from "../../shared/config/site.ts";

/** Before the engine is loaded: it reads its number of threads from the environment once. */
export function applyCpuPolicy(cpu: SitePolicy["cpu"]): void {
  // Threads inherit it from here on. Only the administrator may take niceness away again.
  if (getPriority() < cpu.nice) setPriority(cpu.nice);
  process.env["TF_NUM_INTRAOP_THREADS"] = String(cpu.threads);
  process.env["TF_NUM_INTEROP_THREADS"] = "1";
}
