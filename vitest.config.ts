import { availableParallelism } from "node:os";
import path from "node:path";
import { defineConfig } from "vitest/config";
import { slowTests } from "./scripts/slow-tests.ts";

const root = import.meta.dirname;
/** Run alone: tests that measure times, memory or transactions, or drive a browser. */
const measuring = {
  server: [
    "crash",
    "dialects",
    "disconnects",
    "drain",
    "examples",
    "failure",
    "feed",
    "health-stream",
    "input",
    "load",
    "sign-in-storm",
    "stopping",
    "stream",
  ],
  chaos: ["one-bad-neighbour", "streams"],
};
const filesOf = (folder: keyof typeof measuring) => measuring[folder].map((name) => `test/${folder}/${name}.test.ts`);
const exclude = [
  "**/node_modules/**",
  ".next/**",
  ".next-chaos/**",
  ".data/**",
  ".cache/**",
  "e2e/**",
  "bench/**",
  // Set by `npm test`.
  ...(process.env.QUICK_TESTS === "on" ? slowTests : []),
];

const chaosTimeout = process.env.CHAOS === "full" ? 900_000 : 120_000;

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@\//, replacement: `${root}/` },
      { find: "server-only", replacement: path.join(root, "test/server-only.ts") },
    ],
  },
  test: {
    environment: "node",
    exclude,
    globalSetup: ["test/postgres.ts"],
    setupFiles: ["test/seed.ts"],
    // On a shared machine a test may take ten times as long; a hung one should still fail soon.
    testTimeout: 60_000,
    hookTimeout: 90_000,
    // postgres.js queries a new connection for array types without awaiting the result. If the connection is
    // destroyed meanwhile, nobody can catch that rejection; the caller's own query rejects as well.
    onUnhandledError: (error) => {
      const { code, query } = error as { code?: string; query?: string };
      return !(code === "CONNECTION_DESTROYED" && query?.includes("pg_catalog.pg_type"));
    },
    // The default of one second may pass before the database driver's first retry.
    expect: { poll: { timeout: 20_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["**/*.test.ts", "**/*.test.tsx"],
          exclude: [
            ...exclude,
            "test/server/**",
            "test/chaos/**",
            "test/scale/**",
            "test/real-server/**",
            "test/clients/**",
            "test/seeds/**",
          ],
          // The default leaves one core idle: of two cores, half the time would be spent waiting
          // for the database.
          maxWorkers: Math.max(2, availableParallelism() - 1),
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        // Against the production server, which must be built.
        test: {
          name: "server",
          include: ["test/server/**/*.test.ts", "test/seeds/**/*.test.ts"],
          exclude: [...exclude, ...filesOf("server")],
          setupFiles: ["test/leak-check.ts"],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "server-measuring",
          include: filesOf("server"),
          setupFiles: ["test/leak-check.ts"],
          maxWorkers: 1,
          sequence: { groupOrder: 6 },
        },
      },
      {
        extends: true,
        // Popular clients, unmodified, against the production server, which must be built.
        test: {
          name: "clients",
          include: ["test/clients/**/*.test.ts"],
          globalSetup: ["test/clients/install.ts"],
          setupFiles: ["test/leak-check.ts"],
          // They mostly wait: for heartbeats, retries and shutdowns.
          maxWorkers: 2,
          testTimeout: 60_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 5 },
        },
      },
      {
        extends: true,
        // Against a model server from npm, installed on first use. Not part of `npm test`.
        test: {
          name: "real-server",
          include: ["test/real-server/**/*.test.ts"],
          maxWorkers: 1,
          testTimeout: 60_000,
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        // Statements on large tables. Alone, because it measures; inserting a million messages
        // takes most of a minute.
        test: {
          name: "scale",
          include: ["test/scale/**/*.test.ts"],
          maxWorkers: 1,
          testTimeout: 60_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        // The failure bench: kills, cuts, stalls. Mostly waits for leases, so two files run at a
        // time.
        test: {
          name: "chaos",
          include: ["test/chaos/**/*.test.ts"],
          exclude: [...exclude, ...filesOf("chaos")],
          setupFiles: ["test/leak-check.ts"],
          maxWorkers: 2,
          testTimeout: chaosTimeout,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: "chaos-measuring",
          include: filesOf("chaos"),
          setupFiles: ["test/leak-check.ts"],
          maxWorkers: 1,
          testTimeout: chaosTimeout,
          sequence: { groupOrder: 5 },
        },
      },
    ],
  },
});
