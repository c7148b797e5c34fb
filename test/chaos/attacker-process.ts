// One bad neighbour in a separate process, so that its client-side cost does not count against the
// test. Started by one-bad-neighbour.test.ts; receives an attack's name and returns how often each
// status occurred.
import { attacks, type Target } from "./attacks.ts";

export type Order = { attack: string; target: Target; forMs: number };
/** Requests by status; 0: no response, or aborted. */
export type Toll = Record<string, number>;

process.on("message", async ({ attack, target, forMs }: Order) => {
  const run = attacks[attack];
  if (!run) throw new Error(`There is no attack named ${attack}.`);
  const tally: Toll = {};
  const untilMs = performance.now() + forMs;
  do for (const status of await run(target)) tally[status] = (tally[status] ?? 0) + 1;
  while (performance.now() < untilMs);
  process.send?.(tally);
});
process.on("disconnect", () => process.exit());
