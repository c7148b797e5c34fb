// `npm test`, and with `--all`, as CI runs it, `npm run test:all`. Installs what it needs on the way
// (packages: scripts/node24.mjs). Uses its own databases, folders and ports; a server started with
// `npm start` may run at the same time.
import { askedToEnd } from "./processes.ts";
import { allSuites, announceSeed, runSuites, withTestDatabase } from "./suites.ts";

announceSeed();
const slow = process.argv.includes("--all");
const { passed, failed } = await withTestDatabase(() => runSuites(allSuites({ slow })));
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed || askedToEnd() ? 1 : 0);
