/** The slow suites: real processes, run on what set-up compiled. One at a time, they need the machine. */
import common from "./jest.config.mjs";

export default {
  ...common,
  roots: ["<rootDir>/test/e2e"],
  testPathIgnorePatterns: ["/node_modules/"],
  testTimeout: 300_000,
  maxWorkers: 1,
};
