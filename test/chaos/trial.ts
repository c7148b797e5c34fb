// Shared by the failure tests: their size, random seed and case count. Their titles begin with the
// promises that they prove (docs/reliability.md): "I5 I2: …".
import type { TestContext } from "vitest";

/** `npm run chaos` runs everything; `npm run test:all` runs a part that takes minutes. */
const full = process.env.CHAOS === "full";

export function sized<T>(fast: T, all: T): T {
  return full ? all : fast;
}

/** Printed by every run, so that CHAOS_SEED can repeat it. */
export const seed = process.env.CHAOS_SEED ? Number(process.env.CHAOS_SEED) : Math.floor(Math.random() * 0x7fff_ffff);
console.log(`CHAOS_SEED=${seed}`);

declare module "vitest" {
  interface TaskMeta {
    /** Number of checked cases in this test; 1 by default. */
    cases?: number;
  }
}

/** Adds to this test's number of cases, for the table. */
export function countCases({ task }: Pick<TestContext, "task">, cases: number): void {
  task.meta.cases = (task.meta.cases ?? 0) + cases;
}

/**
 * Random numbers in 0..1 from the seed: mulberry32, public domain. `stream` separates several uses
 * of one seed.
 */
export function randomFrom(stream: number): () => number {
  let state = (seed + Math.imul(stream, 0x9e37_79b9)) | 0;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
