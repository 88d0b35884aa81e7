import { describe, expect, test } from "@jest/globals";
import { integer, number, positive } from "../../bin/numbers.ts";

describe("numbers on the command line", () => {
  test.each(["", " ", "x", "1.5", "-1", "1e99"])("%j is no whole number", (text) => {
    expect(() => integer(text)).toThrow(/whole number/);
    expect(() => positive(text)).toThrow(/whole number/);
  });

  test("counts begin at 1, seeds at 0", () => {
    expect(() => positive("0")).toThrow("at least 1");
    expect([positive("1"), integer("0"), number("-0.5")]).toEqual([1, 0, -0.5]);
  });

  test.each(["", "x", "Infinity", "NaN"])("%j is no number", (text) => {
    expect(() => number(text)).toThrow("expected a number");
  });
});
