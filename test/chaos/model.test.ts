// Arbitrary commands in arbitrary order, from two tabs on two servers that may be killed: what a
// tab holds is a prefix of what is stored, stored data is append-only, and in the end both are
// complete. A run's commands follow from the seed; a failure prints them, and the path that repeats
// only it (CHAOS_SEED and CHAOS_PATH).
import fc from "fast-check";
import { afterAll, test } from "vitest";
import { testCluster } from "@/test/server/cluster";
import { Conversation, commands, type Model, Servers } from "./conversation";
import { countCases, seed, sized } from "./trial";

const cluster = testCluster({ servers: 2, env: { LEASE_MS: "1000", DRAIN_MS: "1000" } });
let servers: Servers | undefined;
afterAll(() => servers?.end());

test("I1 I3 I4 I7 I18: invariants hold for send, stop, cut, kill, resume, regenerate, continue and delete in any order", async (context) => {
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
    // Shrinking would take hours of restarts; the path repeats this one.
    { seed, path: process.env.CHAOS_PATH ?? "", numRuns: sized(8, 150), endOnFailure: true },
  );
  console.log(`${result.numRuns} runs, ${steps} commands`);
  // The report names the commands of a failure; the cause says what they broke.
  if (result.failed) throw new Error(fc.defaultReportMessage(result), { cause: result.errorInstance });
  countCases(context, steps);
}, 600_000);
