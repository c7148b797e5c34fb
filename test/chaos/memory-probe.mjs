// Preloaded into a server under test (NODE_OPTIONS): on SIGUSR2 it collects garbage and prints what
// is left. A reader costs kilobytes, while uncollected garbage of a large answer is megabytes.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

process.on("SIGUSR2", async () => {
  // What finalizers release in one round is collected in the next.
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise(setImmediate);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  console.log(`memory-probe ${JSON.stringify({ rss, used: heapUsed + external })}`);
});
