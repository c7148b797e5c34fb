// `npm test`: everything CI runs; installs what it needs on the way (packages: scripts/node24.mjs).
// Uses its own databases, folders and ports; a server started with `npm start` may run at the same
// time.
import { askedToEnd } from "./processes.ts";
import {
  announceSeed,
  builds,
  checks,
  clientTests,
  failureTests,
  journeys,
  programs,
  runSuites,
  scaleTests,
  serverTests,
  unitTests,
  withTestDatabase,
} from "./suites.ts";

announceSeed();
const { passed, failed } = await withTestDatabase(() =>
  runSuites([builds, ...checks, programs, unitTests, scaleTests, serverTests, clientTests, failureTests, journeys]),
);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed || askedToEnd() ? 1 : 0);
