// The unit tests of the mutated folders, for Stryker.
import path from "node:path";
import { defineConfig } from "vitest/config";

const root = path.resolve(import.meta.dirname, "../..");

export default defineConfig({
  root,
  resolve: {
    alias: [
      { find: /^@\//, replacement: `${root}/` },
      { find: "server-only", replacement: path.join(root, "test/server-only.ts") },
    ],
  },
  test: {
    environment: "node",
    include: [
      "lib/{log,turn,dialects}/**/*.test.ts",
      "lib/services/turns/*.test.ts",
      "components/chat/answer/endings.test.ts",
      "test/{chat-completions,dialect-recipe}.test.ts",
    ],
    globalSetup: ["test/postgres.ts"],
    setupFiles: ["test/seed.ts", "test/mutation/skip-slow.ts"],
    // A mutant must fail soon.
    testTimeout: 20_000,
    hookTimeout: 30_000,
    expect: { poll: { timeout: 6_000 } },
    // Some tests end their own connections: see the root's vitest.config.ts.
    onUnhandledError: (error) => {
      const { code, query } = error as { code?: string; query?: string };
      return !(code === "CONNECTION_DESTROYED" && query?.includes("pg_catalog.pg_type"));
    },
  },
});
