// Vitest's setup file: `npm test` and `npm run chaos` give one seed, CHAOS_SEED, to all that is random; fast-check too.
import process from "node:process";

if (process.env.CHAOS_SEED) {
  const { default: fc } = await import("fast-check");
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(process.env.CHAOS_SEED) });
}
