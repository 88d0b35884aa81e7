/** The site's round log as a file: one JSON line per entry, synced before `append` resolves. */
import { openJsonLines } from "../../shared/node/json-lines.ts";
import { roundLogEntry, type RoundLog } from "./round-log.ts";

/** Opens or begins the log. STORE_CORRUPT when a whole line is no entry: then nothing is known and nothing is revealed. */
export async function openRoundLog(path: string): Promise<RoundLog> {
  return openJsonLines(path, roundLogEntry, "entry of the round log");
}
