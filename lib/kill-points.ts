// Kill points for failure tests: KILL_AT=point:n kills the process by SIGKILL at the n-th passage
// of a point, and KILL_AT=point:n:stop suspends it by SIGSTOP. Only in the chaos build: callers
// check `process.env.CHAOS_BUILD === "on"`, which next.config.ts makes a constant, so a production
// build contains none of this.
import { processSingleton } from "./process-singletons";

/**
 * In the order a chunk passes them. A commit counts if it stores chunks, a final one if it ends a
 * turn.
 */
export type KillPoint =
  | "before-insert"
  | "after-insert"
  | "after-commit"
  | "after-send"
  | "before-final-commit"
  | "after-final-commit";

export function passKillPoint(point: KillPoint): void {
  if (process.env.CHAOS_BUILD !== "on") return;
  const [name, passage, how] = (process.env.KILL_AT ?? "").split(":");
  if (name !== point) return;
  const passages = processSingleton("kill-point-passages", () => ({ count: 0 }))();
  passages.count += 1;
  if (passages.count === Number(passage)) process.kill(process.pid, how === "stop" ? "SIGSTOP" : "SIGKILL");
}
