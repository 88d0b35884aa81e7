/** Weekly time windows as people write them: "19:00-06:00", "Mon-Fri 19:00-06:00 Europe/Berlin", several with commas. */
import { CodedError } from "../errors.ts";

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;
const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;

interface Window {
  /** 0 = Sunday; the day on which the window opens. */
  readonly days: ReadonlySet<number>;
  /** Minutes after midnight. `to` <= `from` means: until the next day; equal means the whole day. */
  readonly from: number;
  readonly to: number;
}

export interface Windows {
  readonly windows: readonly Window[];
  /** IANA name; null: the machine's own time zone. */
  readonly timeZone: string | null;
}

/** Throws CONFIG_INVALID; `field` is the name the person wrote it under. */
export function parseWindows(text: string, field: string): Windows {
  const invalid = (why: string): CodedError =>
    new CodedError("CONFIG_INVALID", `${field}: expected hours such as "Mon-Fri 19:00-06:00", got "${text}" (${why})`, {
      field,
      got: text,
    });
  const zone = /\s+([A-Za-z]+(?:\/[A-Za-z0-9_+-]+)+|UTC)$/.exec(text);
  const timeZone = zone?.[1] ?? null;
  if (timeZone !== null) {
    try {
      Intl.DateTimeFormat("en", { timeZone });
    } catch {
      throw invalid(`no time zone ${timeZone}`);
    }
  }
  const body = zone === null ? text : text.slice(0, zone.index);
  const windows = body.split(",").map((part) => {
    const match = /^\s*(?:([A-Z][a-z]{2})(?:-([A-Z][a-z]{2}))?\s+)?(\d{2}):(\d{2})-(\d{2}):(\d{2})\s*$/.exec(part);
    if (match === null) throw invalid("not days and hh:mm-hh:mm");
    const from = minutes(match[3], match[4]);
    const to = minutes(match[5], match[6]);
    if (from === null || to === null || from === DAY_MINUTES) throw invalid("no such time of day");
    const days = dayRange(match[1], match[2] ?? match[1]);
    if (days === null) throw invalid("days are Mon, Tue, Wed, Thu, Fri, Sat, Sun");
    return { days, from, to };
  });
  return { windows, timeZone };
}

/** True when `epochMs` lies in one of the windows. */
export function isOpen(windows: Windows, epochMs: number): boolean {
  const { day, minute } = wallClock(epochMs, windows.timeZone);
  const yesterday = (day + 6) % 7;
  return windows.windows.some(({ days, from, to }) => {
    if (to > from) return days.has(day) && minute >= from && minute < to;
    return (days.has(day) && minute >= from) || (days.has(yesterday) && minute < to);
  });
}

/** The first whole minute at or after `epochMs` that lies in a window. */
export function nextOpening(windows: Windows, epochMs: number): number {
  if (isOpen(windows, epochMs)) return epochMs;
  const start = Math.ceil(epochMs / MINUTE_MS) * MINUTE_MS;
  for (let step = 0; step <= 8 * DAY_MINUTES; step++) {
    const at = start + step * MINUTE_MS;
    if (isOpen(windows, at)) return at;
  }
  throw new Error("every window opens within a week");
}

function minutes(hour: string | undefined, minute: string | undefined): number | null {
  const total = Number(hour) * 60 + Number(minute);
  return Number(minute) < 60 && total <= DAY_MINUTES ? total : null;
}

function dayRange(first: string | undefined, last: string | undefined): Set<number> | null {
  if (first === undefined || last === undefined) return new Set([0, 1, 2, 3, 4, 5, 6]);
  const from = DAYS.findIndex((name) => name === first);
  const to = DAYS.findIndex((name) => name === last);
  if (from < 0 || to < 0) return null;
  const days = new Set<number>();
  for (let day = from; ; day = (day + 1) % 7) {
    days.add(day);
    if (day === to) return days;
  }
}

function wallClock(epochMs: number, timeZone: string | null): { day: number; minute: number } {
  if (timeZone === null) {
    const date = new Date(epochMs);
    return { day: date.getDay(), minute: date.getHours() * 60 + date.getMinutes() };
  }
  const parts = formatOf(timeZone).formatToParts(epochMs);
  const part = (type: string): string => parts.find((item) => item.type === type)?.value ?? "";
  const day = DAYS.findIndex((name) => name === part("weekday"));
  return { day, minute: Number(part("hour")) * 60 + Number(part("minute")) };
}

/** Made once for each zone: it takes longer than its use, and a search for the next opening asks for thousands of minutes. */
const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const clock = { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
  const format = new Intl.DateTimeFormat("en-US", { timeZone, ...clock });
  formats.set(timeZone, format);
  return format;
}
