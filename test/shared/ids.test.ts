import { describe, expect, test } from "@jest/globals";
import { clientName } from "../../shared/ids.ts";

describe("client names", () => {
  test.each(["a", "site-1", "0", "a".repeat(63)])("%s is one", (name) => {
    expect(clientName.parse(name)).toBe(name);
  });

  test.each(["", "-a", "A", "a_b", "a.b", "../a", "a/b", "a b", "a".repeat(64), "a\n", "@coordinator"])(
    "%j is none",
    (name) => expect(clientName.safeParse(name).success).toBe(false),
  );

  test("no record that is kept by client seems to hold one that is not in it", () => {
    const inherited = Object.getOwnPropertyNames(Object.prototype);
    expect(inherited).toContain("constructor");
    for (const name of inherited) expect(clientName.safeParse(name).success).toBe(false);
  });
});
