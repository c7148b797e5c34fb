// Vitest's setup file: `npm test` and `npm run chaos` use one seed, CHAOS_SEED, for all randomness,
// fast-check included.
import process from "node:process";

if (process.env.CHAOS_SEED) {
  const { default: fc } = await import("fast-check");
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(process.env.CHAOS_SEED) });
}
