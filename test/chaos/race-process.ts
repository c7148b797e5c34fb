// The owner of many turns, to be killed: its own log in its own process. Started and controlled by
// races.test.ts.
import { PostgresLog } from "@/lib/log/postgres-log";
import { beginTurn, type RacePlan, words } from "./race-turn";

type Order = { leaseMs: number; plans: RacePlan[] };

process.once("message", ({ leaseMs, plans }: Order) => {
  const log = new PostgresLog(leaseMs);
  // All clocks start together, once the first words are stored.
  const started = new Promise<void>((resolve) => process.once("message", () => resolve()));
  for (const plan of plans) void run(log, plan, started);
});
process.on("disconnect", () => process.exit());
process.send?.({ ready: true });

async function run(log: PostgresLog, plan: RacePlan, started: Promise<void>): Promise<void> {
  const { turnId, finishMs, wordMs, silentMs } = plan;
  const turn = beginTurn(log.open(turnId, 1), turnId);
  const [first, ...others] = silentMs > 0 ? ["", ...words] : words;
  if (first) turn.say(first);
  await started;
  const startMs = performance.now();
  await pause(silentMs, turn.signal);
  for (const word of others) {
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
