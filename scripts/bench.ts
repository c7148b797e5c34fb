// `npm run bench [-- --quick]`: builds the product and the quickstart it is compared with, then
// measures (bench/bench.ts).
import { runNode } from "./processes.ts";
import { ensureBuild, nextBin } from "./production-build.ts";

await ensureBuild(runNode);
const env = { ...process.env, NODE_ENV: "production" as const, NEXT_TELEMETRY_DISABLED: "1" };
const code = await runNode([nextBin, "build", "bench/quickstart"], env, { stdio: ["ignore", "ignore", "inherit"] });
process.exit(code || (await runNode(["bench/bench.ts", ...process.argv.slice(2)], process.env)));
