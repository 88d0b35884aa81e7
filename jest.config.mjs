export default {
  roots: ["<rootDir>/test"],
  testMatch: ["**/*.test.ts"],
  // Slow suites with processes of their own: jest.e2e.config.mjs.
  testPathIgnorePatterns: ["/node_modules/", "<rootDir>/test/e2e/"],
  extensionsToTreatAsEsm: [".ts"],
  transform: { "\\.ts$": "<rootDir>/test/tools/strip-types.cjs" },
  testEnvironment: "<rootDir>/test/tools/environment.cjs",
  testTimeout: 60_000,
  maxWorkers: 2,
};
