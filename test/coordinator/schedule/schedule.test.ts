import { describe, expect, test } from "@jest/globals";
import { mayBegin, parseSchedule } from "../../../coordinator/schedule/schedule.ts";

const at = (iso: string): number => Date.parse(iso);

describe("when rounds may begin", () => {
  test("continuous: always; manual: when asked for", () => {
    expect(mayBegin(parseSchedule("continuous"), 0, 0, false)).toBe(true);
    expect(mayBegin(parseSchedule("manual"), 1e12, null, false)).toBe(false);
    expect(mayBegin(parseSchedule("manual"), 1e12, null, true)).toBe(true);
  });

  test("an interval counts from the start of the last round", () => {
    const schedule = parseSchedule("6h");
    expect(mayBegin(schedule, 5, null, false)).toBe(true);
    expect(mayBegin(schedule, 1000 + 6 * 3_600_000 - 1, 1000, false)).toBe(false);
    expect(mayBegin(schedule, 1000 + 6 * 3_600_000, 1000, false)).toBe(true);
    expect(mayBegin(schedule, 1001, 1000, true)).toBe(true);
  });

  test("a window over midnight belongs to the day on which it opens", () => {
    const schedule = parseSchedule("Mon-Fri 19:00-06:00 Europe/Berlin");
    // Friday 2026-01-16, winter time: UTC+1.
    expect(mayBegin(schedule, at("2026-01-16T17:59:59Z"), null, false)).toBe(false);
    expect(mayBegin(schedule, at("2026-01-16T18:00:00Z"), null, false)).toBe(true);
    expect(mayBegin(schedule, at("2026-01-17T04:59:00Z"), null, false)).toBe(true);
    expect(mayBegin(schedule, at("2026-01-17T05:00:00Z"), null, false)).toBe(false);
    // Saturday evening and Sunday night are closed.
    expect(mayBegin(schedule, at("2026-01-17T20:00:00Z"), null, false)).toBe(false);
    expect(mayBegin(schedule, at("2026-01-18T23:00:00Z"), null, false)).toBe(false);
  });

  test("daylight saving moves the window with the wall clock", () => {
    const schedule = parseSchedule("19:00-06:00 Europe/Berlin");
    // 2026-03-29, 02:00 becomes 03:00: 06:00 is 04:00 UTC that morning, 05:00 UTC the day before.
    expect(mayBegin(schedule, at("2026-03-28T04:59:00Z"), null, false)).toBe(true);
    expect(mayBegin(schedule, at("2026-03-28T05:00:00Z"), null, false)).toBe(false);
    expect(mayBegin(schedule, at("2026-03-29T03:59:00Z"), null, false)).toBe(true);
    expect(mayBegin(schedule, at("2026-03-29T04:00:00Z"), null, false)).toBe(false);
    expect(mayBegin(schedule, at("2026-03-29T17:00:00Z"), null, false)).toBe(true);
    // 2026-10-25, 03:00 becomes 02:00: 19:00 is 18:00 UTC again.
    expect(mayBegin(schedule, at("2026-10-24T17:00:00Z"), null, false)).toBe(true);
    expect(mayBegin(schedule, at("2026-10-25T17:00:00Z"), null, false)).toBe(false);
    expect(mayBegin(schedule, at("2026-10-25T18:00:00Z"), null, false)).toBe(true);
    // Both passes through 02:30 lie in a window that is open at 02:30.
    expect(mayBegin(schedule, at("2026-10-25T00:30:00Z"), null, false)).toBe(true);
    expect(mayBegin(schedule, at("2026-10-25T01:30:00Z"), null, false)).toBe(true);
  });

  test.each(["", "sometimes", "6 parsecs", "25:00-26:00", "Mon-Fri"])("refuses %j", (text) => {
    expect(() => parseSchedule(text)).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  });
});
