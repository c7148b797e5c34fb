// `npm run check`: what to run before a commit. Format, lint, types, dead code, lock file, unit and contract tests.
import { checks, runSuites, unitTests } from "./suites.ts";

const { failed } = await runSuites([...checks, unitTests]);
process.exit(failed ? 1 : 0);
