// The log of this process: one instance across all bundles.
import { env } from "@/lib/env";
import { processSingleton } from "@/lib/process-singletons";
import type { TurnLog } from "./durable-log";
import { PostgresLog } from "./postgres-log";

export const turnLog = processSingleton<TurnLog>("log", () => new PostgresLog(env().LEASE_MS));
