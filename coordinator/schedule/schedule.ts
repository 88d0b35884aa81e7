/** When rounds may begin: at once, by hand, at an interval, or in weekly windows. Pure; times are ms since 1970. */
import { CodedError } from "../../shared/errors.ts";
import { duration } from "../../shared/config/units.ts";
import { isOpen, parseWindows, type Windows } from "../../shared/config/window.ts";

export type Schedule =
  | { readonly kind: "continuous" }
  /** Each round is asked for. */
  | { readonly kind: "manual" }
  /** From the start of one round to the start of the next; a longer round delays the next. */
  | { readonly kind: "interval"; readonly everyMs: number }
  /** Rounds begin one after the other while a window is open; one that has begun is finished outside it. */
  | { readonly kind: "window"; readonly windows: Windows };

/** Reads `schedule.every`; throws CONFIG_INVALID. */
export function parseSchedule(text: string): Schedule {
  if (text === "continuous" || text === "manual") return { kind: text };
  const interval = duration.safeParse(text);
  if (interval.success) return { kind: "interval", everyMs: interval.data };
  if (!/\d{2}:\d{2}-\d{2}:\d{2}/.test(text)) {
    throw new CodedError(
      "CONFIG_INVALID",
      `schedule.every: expected continuous, manual, an interval such as 6h or a window such as ` +
        `"Mon-Fri 19:00-06:00 Europe/Berlin", got "${text}"`,
      { field: "schedule.every", got: text },
    );
  }
  return { kind: "window", windows: parseWindows(text, "schedule.every") };
}

/** May a round begin at `now`? `lastStartedAt` is when the last one did, null before the first. */
export function mayBegin(schedule: Schedule, now: number, lastStartedAt: number | null, triggered: boolean): boolean {
  if (triggered) return true;
  switch (schedule.kind) {
    case "continuous":
      return true;
    case "manual":
      return false;
    case "interval":
      return lastStartedAt === null || now >= lastStartedAt + schedule.everyMs;
    case "window":
      return isOpen(schedule.windows, now);
  }
}
