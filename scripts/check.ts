// `npm run check`: to run before a commit. Format, lint, types, dead code, regular expressions,
// lock file, unit and contract tests.
import { checks, runSuites, unitTests, withTestDatabase } from "./suites.ts";

const { failed } = await withTestDatabase(() => runSuites([...checks, unitTests]));
process.exit(failed ? 1 : 0);
