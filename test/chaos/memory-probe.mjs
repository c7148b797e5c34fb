// Preloaded by a server under test (NODE_OPTIONS): on SIGUSR2 it collects its garbage and prints what is left. What a
// reader costs is some kilobytes, and what waits to be collected after an answer of megabytes is megabytes.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

process.on("SIGUSR2", async () => {
  // What finalizers let go of in the first round goes in the second.
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise(setImmediate);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  console.log(`memory-probe ${JSON.stringify({ rss, used: heapUsed + external })}`);
});
