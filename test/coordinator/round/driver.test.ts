/** What the driver does when the code around it, or its own state, is wrong. */
import { expect, test } from "@jest/globals";
import { RoundWorld } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

test("a loop that cannot go on ends the coordinator, says why, and answers whoever waits", async () => {
  const told: string[] = [];
  const world = new RoundWorld({
    trainers: ({ labels }) => Object.fromEntries([0, 1, 2].map((i) => [`site-${i}`, new FakeTrainer(labels)])),
    pause: () => Promise.reject(new Error("a contradiction")),
    observer: { trouble: (what) => void told.push(what) },
  });
  try {
    const coordinator = await world.boot();
    const finished = expect(coordinator.run()).rejects.toThrow("a contradiction");
    await expect(coordinator.pause()).rejects.toMatchObject({ code: "DISCONNECTED" });
    await finished;
    expect(told).toContain("the round's loop");
  } finally {
    await world.close();
  }
});
