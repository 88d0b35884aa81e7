import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileApprovals, loadPlan, readApprovals, recordApproval, storePlan } from "../../../client/plan/approvals.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { configHashOf, planOf, planText } from "../../../shared/config/plan.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "approvals-"));
  path = join(folder, "state", "approvals.jsonl");
});
afterEach(() => rm(folder, { recursive: true }));

const [one, two] = [configHashOf("one"), configHashOf("two")];
const by = (configHash: typeof one, person: string) => ({ configHash, at: "2026-01-01T00:00:00.000Z", by: person });

describe("approvals", () => {
  test("every-change: only the plan that was approved, by whoever did last", async () => {
    const approvals = new FileApprovals(path, "every-change");
    expect(await approvals.covering(one)).toBe(null);
    await recordApproval(path, by(one, "Ada"));
    await recordApproval(path, by(one, "Grace"));
    expect(await approvals.covering(one)).toEqual(by(one, "Grace"));
    expect(await approvals.covering(two)).toBe(null);
  });

  test("once: the first approval holds for every plan after it", async () => {
    const approvals = new FileApprovals(path, "once");
    expect(await approvals.covering(one)).toBe(null);
    await recordApproval(path, by(one, "Ada"));
    expect((await approvals.covering(two))?.by).toBe("Ada");
  });

  test("a line cut by a power failure approves nothing and harms nothing", async () => {
    await recordApproval(path, by(one, "Ada"));
    await appendFile(path, JSON.stringify(by(two, "Eve")));
    expect(await new FileApprovals(path, "every-change").covering(two)).toBe(null);
    await recordApproval(path, by(two, "Grace"));
    expect((await readApprovals(path)).map(({ by: person }) => person)).toEqual(["Ada", "Grace"]);
  });

  test("a damaged record approves nothing and says so", async () => {
    await recordApproval(path, by(one, "Ada"));
    await writeFile(path, (await readFile(path, "utf8")).replace(one, one.slice(1)));
    await expect(readApprovals(path)).rejects.toMatchObject({ code: "STORE_CORRUPT" });
  });

  test("only the site's own user can read or change it", async () => {
    await recordApproval(path, by(one, "Ada"));
    expect((await stat(path)).mode & 0o077).toBe(0);
  });
});

describe("the plan last received", () => {
  const text = planText(planOf(federationConfig.parse({ federation: "test" })));
  const file = () => join(folder, "plan.json");

  test("comes back as it was", async () => {
    expect(await loadPlan(file())).toBe(null);
    await storePlan(file(), text, Date.UTC(2026, 0, 1));
    expect(await loadPlan(file())).toMatchObject({
      configHash: configHashOf(text),
      receivedAt: "2026-01-01T00:00:00.000Z",
      plan: { federation: "test" },
    });
  });

  test.each([
    [
      "another plan under the same hash",
      (saved: string) => saved.replace('\\"seed\\":7', '\\"seed\\":8'),
      "PLAN_INVALID",
    ],
    ["half a file", (saved: string) => saved.slice(0, 100), "STORE_CORRUPT"],
  ])("%s is not believed", async (_what, damage, code) => {
    await storePlan(file(), text, 0);
    const damaged = damage(await readFile(file(), "utf8"));
    await writeFile(file(), damaged);
    await expect(loadPlan(file())).rejects.toMatchObject({ code });
  });
});
