// `npm test`: everything CI runs, with everything it needs installed on the way (packages: scripts/node24.mjs).
// It uses databases, folders and ports of its own; a server started with `npm start` may run meanwhile.
import { askedToEnd, runNode } from "./processes.ts";
import { ensureBuild } from "./production-build.ts";
import { browser, checks, journeys, runSuites, serverTests, unitTests, withTestDatabase } from "./suites.ts";

const build = {
  name: "production build",
  async run() {
    await ensureBuild(runNode);
    return { passed: 1, failed: 0 };
  },
};

const { passed, failed } = await withTestDatabase(() =>
  runSuites([build, ...checks, browser, unitTests, serverTests, journeys]),
);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed || askedToEnd() ? 1 : 0);
