// One bad neighbour in a process of its own, so that what its attacks cost the client is not the test's. Started by
// one-bad-neighbour.test.ts; takes the name of an attack, sends back how often each status came.
import { attacks, type Target } from "./attacks.ts";

export type Order = { attack: string; target: Target; forMs: number };
/** Requests by status; 0: no answer, or given up. */
export type Toll = Record<string, number>;

process.on("message", async ({ attack, target, forMs }: Order) => {
  const run = attacks[attack];
  if (!run) throw new Error(`There is no attack named ${attack}.`);
  const toll: Toll = {};
  const untilMs = performance.now() + forMs;
  do for (const status of await run(target)) toll[status] = (toll[status] ?? 0) + 1;
  while (performance.now() < untilMs);
  process.send?.(toll);
});
process.on("disconnect", () => process.exit());
