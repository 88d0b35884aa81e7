import { describe, expect, test } from "@jest/globals";
import { isOpen, nextOpening, parseWindows } from "../../../shared/config/window.ts";

/** 2026-03-02 is a Monday. */
const utc = (day: number, hour: number, minute = 0): number => Date.UTC(2026, 2, day, hour, minute);

describe("weekly windows", () => {
  test.each([
    ["19:00-06:00 UTC", utc(2, 18, 59), false],
    ["19:00-06:00 UTC", utc(2, 19), true],
    ["19:00-06:00 UTC", utc(3, 5, 59), true],
    ["19:00-06:00 UTC", utc(3, 6), false],
    ["Mon-Fri 08:00-17:00 UTC", utc(7, 12), false],
    ["Mon-Fri 08:00-17:00 UTC", utc(6, 12), true],
    ["Fri 22:00-04:00 UTC", utc(7, 3), true],
    ["Fri 22:00-04:00 UTC", utc(6, 3), false],
    ["Fri-Mon 10:00-11:00 UTC", utc(2, 10), true],
    ["Fri-Mon 10:00-11:00 UTC", utc(3, 10), false],
    ["Sat 00:00-24:00, Sun 12:00-13:00 UTC", utc(7, 23, 59), true],
    ["Sat 00:00-24:00, Sun 12:00-13:00 UTC", utc(8, 12, 30), true],
    ["Sat 00:00-24:00, Sun 12:00-13:00 UTC", utc(8, 0), false],
    ["19:00-06:00 Europe/Berlin", utc(2, 18), true],
    ["19:00-06:00 Europe/Berlin", utc(2, 17, 59), false],
  ])("%s at %d is %s", (text, at, open) => {
    expect(isOpen(parseWindows(text, "hours"), at)).toBe(open);
  });

  test("the next opening is the first open minute", () => {
    const windows = parseWindows("Sun 03:30-04:00 UTC", "hours");
    expect(nextOpening(windows, utc(2, 0))).toBe(utc(8, 3, 30));
    expect(nextOpening(windows, utc(8, 3, 45))).toBe(utc(8, 3, 45));
  });

  test.each([
    "",
    "19-06",
    "19:00",
    "19:60-20:00",
    "24:00-06:00",
    "Mo 10:00-11:00",
    "10:00-11:00 Mars/Base",
    "10:00-11:00;12:00-13:00",
  ])("refuses %j", (text) => {
    expect(() => parseWindows(text, "schedule.every")).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  });
});
