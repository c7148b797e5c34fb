// Whatever is done, in whatever order, from two tabs and on two servers that may be killed: what a tab holds is the
// beginning of what is stored, what is stored is only ever added to, and in the end both are whole. The commands of a run
// follow from the seed; a failure prints them, and the path that repeats it alone (CHAOS_SEED and CHAOS_PATH).
import fc from "fast-check";
import { afterAll, test } from "vitest";
import { testCluster } from "@/test/server/cluster";
import { Conversation, commands, type Model, Servers } from "./conversation";
import { countCases, seed, sized } from "./trial";

const cluster = testCluster({ servers: 2, env: { LEASE_MS: "1000", DRAIN_MS: "1000" } });
let servers: Servers | undefined;
afterAll(() => servers?.end());

test("I1 I3 I4 I7 I18: send, stop, cut, kill, resume, regenerate, continue and delete in any order", async (context) => {
  const both = new Servers(cluster);
  servers = both;
  let steps = 0;
  const result = await fc.check(
    fc.asyncProperty(fc.commands(commands(), { maxCommands: 24, size: "max" }), async (list) => {
      const model: Model = { logs: new Map() };
      const real = new Conversation(cluster, both);
      await fc.asyncModelRun(() => ({ model, real }), list);
      await real.finish(model);
      steps += [...list].length;
    }),
    // A smaller example would take hours of restarts; the path repeats this one.
    { seed, path: process.env.CHAOS_PATH ?? "", numRuns: sized(8, 150), endOnFailure: true },
  );
  console.log(`${result.numRuns} runs, ${steps} commands`);
  // The report of a failure names its commands; the cause says what they broke.
  if (result.failed) throw new Error(fc.defaultReportMessage(result), { cause: result.errorInstance });
  countCases(context, steps);
}, 600_000);
