// The log of this process: one instance across all bundles.
import { env } from "@/lib/env";
import type { TurnLog } from "./durable-log";
import { PostgresLog } from "./postgres-log";

const key = Symbol.for("rivulet.log");
const shared = globalThis as { [key]?: TurnLog };

export function turnLog(): TurnLog {
  shared[key] ??= new PostgresLog(env().LEASE_MS);
  return shared[key];
}
