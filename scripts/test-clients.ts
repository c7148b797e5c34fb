// `npm run test:clients`: popular clients against the production server (test/clients/).
import { askedToEnd } from "./processes.ts";
import { clientTests, productionBuild, runSuites, withTestDatabase } from "./suites.ts";

const { failed } = await withTestDatabase(() => runSuites([productionBuild, clientTests]));
process.exit(failed || askedToEnd() ? 1 : 0);
