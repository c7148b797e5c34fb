/** `npm run mutation` (scripts/mutation.ts) runs it. */
export default {
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner", "./test/mutation/sample.ts"],
  vitest: { configFile: "test/mutation/vitest.config.ts", related: false, pool: "forks" },
  mutate: ["lib/{log,turn,dialects}/**/*.ts", "!**/*.test.ts"],
  ignorers: ["log-text"],
  checkers: ["sample"],
  reporters: ["results"],
  // A constant of a module is not mutated: Stryker would have to reload all modules and run all tests.
  ignoreStatic: true,
  // Once the sample is drawn, its process becomes a second test runner.
  concurrency: 1,
  timeoutMS: 10_000,
  timeoutFactor: 2,
  dryRunTimeoutMinutes: 15,
  tempDirName: ".cache/mutation",
  cleanTempDir: "always",
  // The copies are inside the repository, so they find its node_modules.
  symlinkNodeModules: false,
  ignorePatterns: ["/.cache", "/.data", "/.next*", "/bench", "/docs", "/e2e", "/examples", "/public"],
};
