// `npm run build`: forces a production build.
import { runNode } from "./processes.ts";
import { ensureBuild } from "./production-build.ts";

try {
  await ensureBuild(runNode, { force: true });
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
