import { expect, test } from "@jest/globals";
import { register } from "../../../bin/commands/model.ts";
import { runCommand } from "./run-command.ts";

test("the list of models names losses, optimizer and size of each", async () => {
  const { out, code } = await runCommand(register, "model", "list");
  expect(code).toBe(0);
  expect(out).toMatch(/^dpt .*relative depth.*by scaleAndShiftInvariant, adam 0.001$/m);
  expect(out).not.toMatch(/ \+ {2}| \+ ,/);
});

test("measuring refuses rows that are not there, and files that are something else", async () => {
  const words = ["model", "measure", "--labelled", "x", "--depth", "x"];
  const unknown = await runCommand(register, ...words, "--only", "allulook5-nano", "--out", "/nowhere/rows.json");
  expect(unknown).toMatchObject({ code: 2, err: expect.stringContaining("allulook5-nano") });
  const other = await runCommand(register, ...words, "--only", "dpt-nano", "--out", "package.json");
  expect(other).toMatchObject({ code: 2, err: expect.stringContaining("package.json") });
});
