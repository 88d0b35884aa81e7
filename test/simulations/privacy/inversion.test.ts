/** The attack works on a plain update, on a masked one it does not; through the command. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { register } from "../../../bin/commands/attack.ts";
import { expectToOpen } from "../../fakes/browser.ts";
import { runCommand } from "../../bin/commands/run-command.ts";

test.each(["7", "8", "9"])("seed %s", async (seed) => {
  const dir = await mkdtemp(join(tmpdir(), "inversion-"));
  try {
    const { out, code } = await runCommand(register, "attack", "inversion", "--seed", seed, "--out", dir, "--json");
    expect(code).toBe(0);
    const { correlations, page } = JSON.parse(out) as { correlations: Record<string, number>; page: string };
    expect(correlations["plain"]).toBeGreaterThan(0.99);
    expect(Math.abs(correlations["masked"] as number)).toBeLessThan(0.15);
    expect(correlations["sum"]).toBeLessThan(correlations["plain"] as number);
    await expectToOpen(page, { charts: 0, pictures: 4 });
  } finally {
    await rm(dir, { recursive: true });
  }
});
