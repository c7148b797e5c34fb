// Test helpers for the log: turns to write, scripts to write into them, and readers.
import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { pool } from "@/db/client";
import { commitChunks, readAllChunks } from "@/db/log";
import type { LogReader, LogWriter, TurnLog } from "@/lib/log/durable-log";
import { ChunkState } from "@/lib/turn/chunk-state";
import { type FinalState, isTerminal, type LoggedChunk, type TurnChunk } from "@/lib/turn/chunks";
import { type Ending, endTurn, interruptedError } from "@/lib/turn/ending";
import { foldChunks } from "@/lib/turn/fold";
import type { Halt } from "@/lib/turn/run-input";

export type StoredTurn = { state: string; epoch: number; lastSeq: number; error: unknown; message: StoredMessage };
type StoredMessage = { status: string; text: string; parts: unknown };

/** Inserts this many turns, each in its own chat, as `startTurn` leaves them. */
export async function insertTurns(count: number, leaseMs: number): Promise<string[]> {
  const turnIds = Array.from({ length: count }, () => randomUUID());
  const userId = randomUUID();
  await pool().sql.begin(async (sql) => {
    await sql`insert into users (id) values (${userId})`;
    await sql`
      insert into chats (user_id, id, number, title)
      select ${userId}::uuid, 'chat-' || id, ordinal, 'Test' from unnest(${turnIds}::text[]) with ordinality as t (id, ordinal)`;
    await sql`
      insert into turns (id, user_id, chat_id, user_message_id, message_id, client_key, request, lease_until)
      select id::uuid, ${userId}::uuid, 'chat-' || id, 'question-' || id, 'answer-' || id, id, '{"model":"test"}',
        now() + ${leaseMs}::int * interval '1 millisecond'
      from unnest(${turnIds}::text[]) as t (id)`;
    await sql`
      insert into messages (user_id, id, chat_id, turn_id, role, status, parts)
      select ${userId}::uuid, 'answer-' || id, 'chat-' || id, id::uuid, 'assistant', 'running', '[]'
      from unnest(${turnIds}::text[]) as t (id)`;
  });
  return turnIds;
}

export async function insertTurn(leaseMs: number): Promise<string> {
  return (await insertTurns(1, leaseMs))[0] as string;
}

/** The opening chunks of a turn, up to its first text. */
export function beginning(turnId: string): TurnChunk[] {
  const messageMetadata = { turnId, chatId: `chat-${turnId}`, model: "test", createdAt: "2026-01-01T00:00:00.000Z" };
  return [
    { type: "start", messageId: `answer-${turnId}`, messageMetadata },
    { type: "data-turn", data: { turnId, status: "running" }, transient: true },
    {
      type: "data-status",
      id: "generate",
      data: { stage: "generate", label: "Generating response…", state: "active" },
    },
    { type: "start-step" },
    { type: "text-start", id: "t" },
  ];
}

export class ScriptedTurn {
  readonly turnId: string;
  readonly writer: LogWriter;
  text = "";
  readonly #state: ChunkState;

  /** `stored`: what its log already holds. */
  constructor(log: TurnLog, turnId: string, epoch = 1, stored: LoggedChunk[] = []) {
    this.turnId = turnId;
    this.writer = log.open(turnId, epoch, stored);
    this.#state = new ChunkState(stored.map(({ chunk }) => chunk));
  }

  begin(): this {
    for (const chunk of beginning(this.turnId)) this.append(chunk);
    return this;
  }

  say(delta: string): Promise<void> | undefined {
    this.text += delta;
    return this.append({ type: "text-delta", id: "t", delta });
  }

  append(chunk: TurnChunk): Promise<void> | undefined {
    this.#state.apply(chunk);
    return this.writer.append(chunk);
  }

  async end(status: FinalState = "complete"): Promise<"stored" | "lost"> {
    const failure = status === "failed" || status === "interrupted" ? { error: interruptedError } : {};
    return this.#end({ status, ...failure });
  }

  /** Ends the way the log's halt says, as a run does. */
  async endAsHalted(): Promise<"stored" | "lost"> {
    if (!this.writer.signal.aborted)
      await new Promise((resolve) => this.writer.signal.addEventListener("abort", resolve, { once: true }));
    return this.#end(this.writer.signal.reason as Halt);
  }

  async #end(ending: Omit<Ending, "turnId">): Promise<"stored" | "lost"> {
    for (const chunk of endTurn(this.#state, { ...ending, turnId: this.turnId })) await this.writer.append(chunk);
    return this.writer.ended;
  }
}

/**
 * All chunks up to the terminal or until the reader is closed; `sink` receives them as they come.
 */
export async function drain(reader: LogReader, sink: LoggedChunk[] = []): Promise<LoggedChunk[]> {
  for (let batch = await reader.next(); batch; batch = await reader.next()) sink.push(...batch);
  return sink;
}

/** Reads until `found` returns true. */
export async function readUntil(reader: LogReader, found: (logged: LoggedChunk[]) => boolean): Promise<LoggedChunk[]> {
  const all: LoggedChunk[] = [];
  while (!found(all)) {
    const batch = await reader.next();
    if (!batch) throw new Error("The reader ended before it came.");
    all.push(...batch);
  }
  return all;
}

/** Stores chunks as a first owner would that then went silent: its lease expires at once. */
export async function store(turnId: string, chunks: TurnChunk[]): Promise<void> {
  const logged = chunks.map((chunk, index) => ({ seq: index + 1, json: JSON.stringify(chunk) }));
  await commitChunks(pool().sql, [{ turnId, epoch: 1, lastSeq: logged.length, chunks: logged }], 1);
}

export async function storedLog(turnId: string): Promise<LoggedChunk[]> {
  const rows = await readAllChunks(pool().sql, [turnId]);
  return rows.map(({ seq, json }) => ({ seq, json, chunk: JSON.parse(json) as TurnChunk }));
}

export async function storedTurn(turnId: string): Promise<StoredTurn> {
  const [row] = await pool().sql`
    select turns.state, epoch, last_seq as "lastSeq", error,
      json_build_object('status', messages.status, 'text', messages.text, 'parts', messages.parts) as message
    from turns join messages on messages.turn_id = turns.id where turns.id = ${turnId}`;
  return row as StoredTurn;
}

export function textIn(logged: LoggedChunk[]): string {
  return logged.map(({ chunk }) => (chunk.type === "text-delta" ? chunk.delta : "")).join("");
}

/** Expects seqs 1..n (or from the cursor) with exactly one terminal, at the end. */
export function expectComplete(logged: LoggedChunk[], afterSeq = 0): void {
  expect(logged.map(({ seq }) => seq)).toEqual(logged.map((_, index) => afterSeq + index + 1));
  expect(logged.map(({ chunk }) => isTerminal(chunk))).toEqual(logged.map((_, index) => index === logged.length - 1));
}

/** Expects a complete stored turn in this state whose message is the fold of its chunks. */
export async function expectEnded(turnId: string, state: FinalState): Promise<LoggedChunk[]> {
  const logged = await storedLog(turnId);
  expectComplete(logged);
  const turn = await storedTurn(turnId);
  const message = await foldChunks(logged.map(({ chunk }) => chunk));
  expect(turn).toMatchObject({ state, lastSeq: logged.length, message: { status: state, text: textIn(logged) } });
  expect(turn.message.parts).toEqual(JSON.parse(JSON.stringify(message.parts)));
  return logged;
}

/** Polls until the condition holds; the test's own timeout covers failure. */
export async function until(fact: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await fact())) await new Promise((resolve) => setTimeout(resolve, 5));
}
