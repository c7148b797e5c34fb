// Where a failure test makes the process die: KILL_AT=point:n ends it by SIGKILL at the n-th passage of a point, and
// KILL_AT=point:n:stop puts it to sleep by SIGSTOP instead. Only the chaos build has any of this: a caller first asks
// `process.env.CHAOS_BUILD === "on"`, which next.config.ts makes a constant, so that nothing of it is in a production build.

/** In the order a chunk passes them. A commit is counted when it stores chunks, a final one when it ends a turn. */
export type KillPoint =
  | "before-insert"
  | "after-insert"
  | "after-commit"
  | "after-send"
  | "before-final-commit"
  | "after-final-commit";

// On globalThis because Next bundles each route apart.
const shared = globalThis as { killPointPassages?: number };

export function passKillPoint(point: KillPoint): void {
  if (process.env.CHAOS_BUILD !== "on") return;
  const [name, passage, how] = (process.env.KILL_AT ?? "").split(":");
  if (name !== point) return;
  shared.killPointPassages = (shared.killPointPassages ?? 0) + 1;
  if (shared.killPointPassages === Number(passage)) process.kill(process.pid, how === "stop" ? "SIGSTOP" : "SIGKILL");
}
