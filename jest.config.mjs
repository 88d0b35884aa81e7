export default {
  roots: ["<rootDir>/test"],
  testMatch: ["**/*.test.ts"],
  extensionsToTreatAsEsm: [".ts"],
  transform: { "\\.ts$": "<rootDir>/test/tools/strip-types.cjs" },
  testEnvironment: "<rootDir>/test/tools/environment.cjs",
  testTimeout: 60_000,
  maxWorkers: 2,
};
