import { expect, test } from "@jest/globals";
import { TrainerPool } from "../../../client/training/pool.ts";

test("a worker that stops by itself breaks the pool, and fails what waits for it", async () => {
  // It stops at once: there is no compiled worker beside the sources.
  const pool = new TrainerPool(1);
  const waiting = expect(pool.engine()).rejects.toThrow("pool-worker");
  await expect(pool.broken).rejects.toThrow("pool-worker");
  await waiting;
  await expect(pool.engine()).rejects.toThrow("pool-worker");
  await pool.close();
});

test("a pool that is closed is not broken", async () => {
  const pool = new TrainerPool(1);
  await pool.close();
  const later = new Promise((resolve) => setTimeout(resolve, 50, "quiet"));
  expect(await Promise.race([pool.broken, later])).toBe("quiet");
});
