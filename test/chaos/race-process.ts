// The owner of many turns, to be killed: its own log in its own process. Started and controlled by
// races.test.ts.
import { PostgresLog } from "@/lib/log/postgres-log";
import { beginTurn, type RacePlan, words } from "./race-turn";

type Order = { leaseMs: number; plans: RacePlan[] };

process.on("message", ({ leaseMs, plans }: Order) => {
  const log = new PostgresLog(leaseMs);
  for (const plan of plans) void run(log, plan);
});
process.on("disconnect", () => process.exit());
process.send?.({ ready: true });

async function run(log: PostgresLog, { turnId, finishMs, wordMs, silentMs }: RacePlan): Promise<void> {
  const turn = beginTurn(log.open(turnId, 1), turnId);
  const startMs = performance.now();
  await pause(silentMs, turn.signal);
  for (const word of words) {
    if (turn.signal.aborted) break;
    turn.say(word);
    await pause(wordMs, turn.signal);
    const over = finishMs !== null && performance.now() - startMs >= finishMs;
    if (turn.signal.aborted || over) break;
  }
  // Without a finish time it runs until it is aborted or killed.
  if (finishMs === null) await new Promise<void>((resolve) => onAbort(turn.signal, resolve));
  const outcome = await turn.end(turn.signal.aborted ? "stopped" : "complete");
  process.send?.({ turnId, outcome });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    onAbort(signal, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function onAbort(signal: AbortSignal, listener: () => void): void {
  if (signal.aborted) listener();
  else signal.addEventListener("abort", listener, { once: true });
}
