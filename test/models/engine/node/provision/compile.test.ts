import { expect, test } from "@jest/globals";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { withNamesPerThread, withoutSignals } from "../../../../../models/engine/node/provision/compile.ts";

const folder = dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-node/package.json"));

test("threads of one process share no set of names in the addon that is compiled", async () => {
  const source = await readFile(join(folder, "binding", "tfjs_backend.cc"), "utf8");
  const patched = withNamesPerThread(source);
  expect(patched).toContain("static thread_local std::set<std::string> ATTR_NAME_SET;");
  // Whatever else is static and changes would be shared, too.
  expect(patched.match(/^static (?!thread_local|const|inline)[\w:<>]+ \w+( =|;)/gm) ?? []).toEqual([]);
});

test("threads that compute leave signals to others, from the moment they load the addon", async () => {
  const source = await readFile(join(folder, "binding", "tfjs_binding.cc"), "utf8");
  expect(withoutSignals(source)).toMatch(/InitTFNodeJSBinding\(napi_env env, napi_value exports\) \{\s+LeaveSignals/);
});

test("an addon with another source is refused and not compiled as it is", () => {
  for (const mend of [withNamesPerThread, withoutSignals])
    expect(() => mend("int main() {}")).toThrow(expect.objectContaining({ code: "ENGINE_PROVISION" }));
});
