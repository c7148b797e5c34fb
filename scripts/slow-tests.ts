// Tests that `npm test` leaves to `npm run test:all`: slow ones whose subject rarely changes. Each
// promise of docs/reliability.md keeps a test outside of this list (test/docs.test.ts).

/** Files of Vitest and, in `e2e/`, of Playwright. */
export const slowTests = [
  "db/client.test.ts",
  "e2e/account.spec.ts",
  "e2e/buffering.spec.ts",
  "e2e/continue.spec.ts",
  "e2e/faults.spec.ts",
  "e2e/foreign-text.spec.ts",
  "e2e/hidden-tabs.spec.ts",
  "e2e/long-chat.spec.ts",
  "e2e/settings.spec.ts",
  "e2e/sse-test.spec.ts",
  "e2e/use-chat-stream.spec.ts",
  "lib/log/outage.test.ts",
  "packages/client/src/chat-client.test.ts",
  "packages/client/src/package.test.ts",
  "scripts/postgres.test.ts",
  "test/chaos/background.test.ts",
  "test/chaos/clocks.test.ts",
  "test/chaos/cuts.test.ts",
  "test/chaos/database.test.ts",
  "test/chaos/deploy.test.ts",
  "test/chaos/in-a-row.test.ts",
  "test/chaos/input.test.ts",
  "test/chaos/kill-points.test.ts",
  "test/chaos/kills.test.ts",
  "test/chaos/one-bad-neighbour.test.ts",
  "test/chaos/pgbouncer.test.ts",
  "test/chaos/provider.test.ts",
  "test/chaos/proxies.test.ts",
  "test/chaos/security.test.ts",
  "test/chaos/streams.test.ts",
  "test/chaos/takeover.test.ts",
  "test/linear.test.ts",
  "test/seeds/seeds.test.ts",
  "test/server/crash.test.ts",
  "test/server/dialect-clients.test.ts",
  "test/server/examples.test.ts",
  "test/server/headers.test.ts",
  "test/server/load.test.ts",
  "test/server/sign-in-storm.test.ts",
];

/** Folders of suites that only `npm run test:all` has. */
export const slowFolders = ["test/clients/", "test/scale/"];

/** For Playwright's `--grep-invert`: its titles begin with the file. */
export const slowJourneys = slowTests
  .filter((file) => file.startsWith("e2e/"))
  .map((file) => file.slice("e2e/".length))
  .join("|");
