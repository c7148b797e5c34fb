// Startup warnings for the operator: what cannot work as configured, and what should be changed.
import type { Env } from "./env";

type Model = { id: string; ready: boolean; reason?: string };

/** One sentence per finding. */
export function configurationWarnings(env: Env, models: Model[]): string[] {
  const unusable = models.flatMap(({ id, ready, reason }) =>
    ready ? [] : [`The model ${JSON.stringify(id)} of MODELS cannot be used. ${reason}`],
  );
  const idle = (["FIRST_CHUNK_TIMEOUT_MS", "CHUNK_TIMEOUT_MS"] as const).flatMap((name) =>
    env[name] < env.TURN_DEADLINE_MS
      ? []
      : [`${name} has no effect: TURN_DEADLINE_MS (${env.TURN_DEADLINE_MS}) ends a turn before it.`],
  );
  return [...unusable, ...idle];
}

/** Null if some model is usable. */
export function noModelWarning(models: Model[]): string | null {
  if (models.some(({ ready }) => ready)) return null;
  const reasons = models.map(({ id, reason }) => `${JSON.stringify(id)}: ${reason}`);
  return `no model of MODELS can be used. ${reasons.join(" ")}`;
}
