// Stop, finish and the owner's death at the same moment: whichever wins, there is one terminal,
// every view of the turn agrees, and the caller of the stop learns the outcome. The owner is a real
// process that is killed, or suspended for longer than its lease and then resumed; the survivor is
// this process's log.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { pool } from "@/db/client";
import type { PostgresLog } from "@/lib/log/postgres-log";
import { turnLog } from "@/lib/log/turn-log";
import { stopTurn } from "@/lib/services/turns/stop";
import type { FinalState, LoggedChunk } from "@/lib/turn/chunks";
import { testDatabase } from "@/test/database";
import { drain, expectEnded, insertTurns, storedTurn, textIn, until } from "@/test/log/scripted-turn";
import { beginTurn, type RacePlan, words } from "./race-turn";
import { countCases, randomFrom, sized } from "./trial";

vi.hoisted(() => {
  // Otherwise each orphaned turn logs a line.
  process.env.LOG_LEVEL = "error";
});
const url = testDatabase();
const batches = sized(2, 10);
const batchSize = sized(50, 100);
const leaseMs = 900;
/** Spread around the moment of the kill: a few commits. */
const spreadMs = 120;

const random = randomFrom(5);
const chance = (share: number) => random() < share;
const around = (ms: number) => Math.max(0, ms + (random() - 0.5) * spreadMs);

type Race = RacePlan & { stopMs: number | null };
type Outcome = { turnId: string; outcome: "stored" | "lost" };

let log: PostgresLog;

beforeAll(() => {
  process.env.LEASE_MS = String(leaseMs);
  log = turnLog() as PostgresLog;
  // Answers unanswered turns here, slowly enough for the former owner to interfere.
  log.onOrphan(async ({ turnId, epoch, stored }) => {
    const chunks = stored.map(({ chunk }) => chunk);
    const turn = beginTurn(log.open(turnId, epoch, stored), turnId, chunks);
    for (const word of words) {
      if (turn.signal.aborted) break;
      turn.say(word);
      await after(15);
    }
    await turn.end("complete");
  });
});
afterAll(() => log.close(0));

async function startOwner(): Promise<ChildProcess> {
  const owner = fork(fileURLToPath(new URL("./race-process.ts", import.meta.url)), {
    execArgv: ["--import", new URL("../../scripts/imports.mjs", import.meta.url).href],
    env: { ...process.env, DATABASE_URL: url() },
  });
  const gone = once(owner, "exit").then(([code]) => Promise.reject(new Error(`The owner ended (${code}).`)));
  await Promise.race([once(owner, "message"), gone]);
  // From here on it ends because it is killed.
  gone.catch(() => {});
  return owner;
}

async function race(batch: number): Promise<FinalState[]> {
  const owner = await startOwner();
  const outcomes: Outcome[] = [];
  owner.on("message", (outcome: Outcome) => outcomes.push(outcome));
  const killMs = 50 + random() * 500;
  const frozen = batch % 2 === 1;
  const turnIds = await insertTurns(batchSize, leaseMs);
  const [row] = await pool().sql`select user_id as "userId" from turns where id = ${turnIds[0] as string}`;
  const races = turnIds.map((turnId): Race => {
    const finishMs = chance(0.85) ? around(killMs) : null;
    // Some stops come after the kill, when only the survivor can report the outcome.
    const stopMs = chance(0.5) ? around(killMs + (chance(0.2) ? leaseMs : 0)) : null;
    return { turnId, finishMs, stopMs, wordMs: 2 + random() * 30, silentMs: chance(0.3) ? killMs + 100 : 0 };
  });
  const logs = races.map((): LoggedChunk[] => []);
  const seen = races.map(({ turnId }, index) => drain(log.read(turnId, 0), logs[index]));
  owner.send({ leaseMs, plans: races });
  // However slow the machine, the kill meets answers that have begun.
  await until(() => races.every(({ silentMs }, index) => silentMs > 0 || textIn(logs[index] ?? []) !== ""));
  owner.send("start");

  const exited = once(owner, "exit");
  const kill = after(killMs).then(() => owner.kill(frozen ? "SIGSTOP" : "SIGKILL"));
  const killed = kill.then(async () => {
    if (!frozen) return;
    // Until another process runs its turns. Resumed, it still writes the rest, and learns of each
    // takeover that way.
    let taken: string[] = [];
    await until(async () => {
      taken = await takenOver(turnIds);
      return taken.length > 0;
    });
    owner.kill("SIGCONT");
    await until(() => taken.every((turnId) => outcomes.some((outcome) => outcome.turnId === turnId)));
    owner.kill("SIGKILL");
  });
  const answers = await Promise.all(
    races.map(async ({ turnId, stopMs }) => {
      if (stopMs === null) return undefined;
      await after(stopMs);
      return (await stopTurn(row?.userId, turnId)).status;
    }),
  );
  await killed;
  await exited;
  const read = await Promise.all(seen);

  const states: FinalState[] = [];
  for (const [index, { turnId, stopMs }] of races.entries()) {
    const { state, epoch } = await storedTurn(turnId);
    const stored = await expectEnded(turnId, state as FinalState);
    expect(read[index]).toEqual(stored);
    const text = textIn(stored);
    expect(words.join("").startsWith(text)).toBe(true);
    const { type } = stored.at(-1)?.chunk ?? {};
    expect([state, type]).toEqual([
      state,
      { complete: "finish", stopped: "abort", failed: "error", interrupted: "error" }[state],
    ]);
    if (stopMs === null) expect(state).not.toBe("stopped");
    else expect([turnId, answers[index]]).toEqual([turnId, state]);
    const outcome = outcomes.find((outcome) => outcome.turnId === turnId)?.outcome;
    // An owner that reports the end as stored was not taken over, and vice versa.
    if (outcome === "stored") expect(epoch).toBe(1);
    if (outcome === "lost") expect(epoch).toBeGreaterThan(1);
    states.push(state as FinalState);
  }
  return states;
}

/** Running turns owned by another process than the one that started them. */
async function takenOver(turnIds: string[]): Promise<string[]> {
  const rows = await pool().sql`
    select id from turns where id = any(${turnIds}) and epoch > 1 and state = 'running'`;
  return rows.map(({ id }) => id as string);
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

test(`I4 I11 I10: ${batches * batchSize} races of stop, finish and kill: one terminal each, and every client sees the same`, async (context) => {
  const counts: Record<string, number> = {};
  for (let batch = 0; batch < batches; batch++)
    for (const state of await race(batch)) counts[state] = (counts[state] ?? 0) + 1;
  console.log(`${batches * batchSize} races: ${JSON.stringify(counts)}`);
  // A race that one side always wins proves nothing.
  for (const state of ["complete", "stopped", "interrupted"])
    expect([state, counts[state] ?? 0]).not.toEqual([state, 0]);
  countCases(context, batches * batchSize);
}, 240_000);
