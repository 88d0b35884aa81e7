import { afterEach, expect, test } from "@jest/globals";
import { loadEngine } from "../../../../models/engine/node/load.ts";
import * as tf from "../../../../models/engine/tf.ts";

afterEach(() => {
  delete process.env["ALLULOOK_ENGINE"];
});

test("says which backend it uses and why, and switches when asked", async () => {
  const wasm = await loadEngine({ prefer: "wasm" });
  expect(wasm).toMatchObject({ backend: "wasm", threads: 1, reason: "The command asks for wasm." });
  expect(wasm.version).toMatch(/^TensorFlow\.js WASM \d+\.\d+\.\d+$/);
  expect(tf.getBackend()).toBe("wasm");
  expect(tf.tensor([1, 2]).add(1).dataSync()).toEqual(Float32Array.of(2, 3));
  const cpu = await loadEngine({ prefer: "cpu" });
  expect(cpu.backend).toBe("cpu");
  expect(tf.getBackend()).toBe("cpu");
  const best = await loadEngine();
  expect(best).toEqual(await loadEngine());
  expect(tf.getBackend()).toBe(best.backend);
});

test("ALLULOOK_ENGINE overrides, and a backend that does not exist is named", async () => {
  process.env["ALLULOOK_ENGINE"] = "cpu";
  expect(await loadEngine({ prefer: "wasm" })).toMatchObject({
    backend: "cpu",
    reason: "ALLULOOK_ENGINE asks for cpu.",
  });
  process.env["ALLULOOK_ENGINE"] = "abacus";
  await expect(loadEngine()).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});

test("the WebAssembly loader leaves no handler that aborts the process", async () => {
  const before = process.listenerCount("uncaughtException") + process.listenerCount("unhandledRejection");
  await loadEngine({ prefer: "wasm" });
  expect(process.listenerCount("uncaughtException") + process.listenerCount("unhandledRejection")).toBe(before);
});
