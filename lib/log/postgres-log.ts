// The durable log on Postgres: one appender, one LISTEN connection, one reaper a process. NOTIFY is only a hint; a slow
// poll finds what a lost notification hid, and costs one query a second however many readers there are.

import type { Sql } from "postgres";
import { pool } from "@/db/client";
import { readPages, stopsChannel, turnsChannel } from "@/db/log";
import { requestStop } from "@/db/turns";
import { isDatabaseAway } from "@/lib/database-away";
import { logger } from "@/lib/logger";
import { interruptedError } from "@/lib/turn/ending";
import { Appender } from "./appender";
import type { LogReader, LogTiming, LogWriter, TurnLog } from "./contract";
import { startReaper } from "./reaper";
import { maxBatchBytes, Tail, TailReader } from "./tail";
import { Writer } from "./writer";

const pollEveryMs = 1_000;
/** Turns in one read: bounds what its answer holds. */
const maxTurnsPerRead = 100;
/** What a halted run gets at shutdown to store its terminal: some commits. */
const haltMs = 2_000;
/** Well above a slow commit; six tries fit into the time a turn waits for its storage. */
const defaultTiming = { storageAwayMs: 30_000, answerMs: 5_000 };

export class PostgresLog implements TurnLog {
  readonly #appender: Appender;
  readonly #tails = new Map<string, Tail>();
  readonly #stopReaper: () => void;
  readonly #poll: NodeJS.Timeout;
  readonly #listening: Promise<{ unlisten: () => Promise<void> }[]>;
  readonly #wanted = new Set<Tail>();
  #reading = false;

  constructor(leaseMs: number, timing: Partial<Omit<LogTiming, "leaseMs">> = {}) {
    const { sql } = pool();
    this.#appender = new Appender(
      { leaseMs, ...defaultTiming, ...timing },
      (turnId, logged) => this.#tails.get(turnId)?.push(logged),
      (writer) => this.#release(writer),
    );
    this.#stopReaper = startReaper(leaseMs, (turnId) => this.#appender.writers.has(turnId));
    this.#poll = setInterval(() => this.#hintAll(), pollEveryMs);
    this.#poll.unref();
    this.#listening = this.#listen(sql);
  }

  get liveCount(): number {
    return this.#appender.writers.size;
  }

  open(turnId: string, epoch: number): LogWriter {
    const writer = new Writer(turnId, epoch, (self, urgent) => this.#appender.schedule(self, urgent));
    this.#appender.add(writer);
    // A reader may be here before the run starts; it has read what there was, which is nothing.
    this.#tailOf(turnId, 0).local = true;
    return writer;
  }

  read(turnId: string, afterSeq: number): LogReader {
    const tail = this.#tailOf(turnId, afterSeq);
    return new TailReader(tail, afterSeq, () => this.#forget(tail));
  }

  async requestStop(turnId: string): Promise<boolean> {
    const running = await requestStop(turnId, stopsChannel);
    if (running) this.#halt(turnId);
    return running;
  }

  releaseReaders(): void {
    for (const tail of [...this.#tails.values()]) for (const reader of [...tail.readers]) reader.close();
  }

  async close(timeoutMs: number): Promise<void> {
    if (!(await this.#allEnded(timeoutMs))) {
      for (const writer of this.#appender.writers.values())
        writer.halt({ status: "interrupted", error: interruptedError });
      await this.#allEnded(haltMs);
    }
    this.#stopReaper();
    clearInterval(this.#poll);
    await this.#appender.close();
    await Promise.all((await this.#listening).map((listener) => listener.unlisten()));
    this.releaseReaders();
  }

  /** False when some still run after the time. */
  async #allEnded(timeoutMs: number): Promise<boolean> {
    const ended = Promise.all([...this.#appender.writers.values()].map((writer) => writer.ended)).then(() => true);
    const timeout = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), timeoutMs).unref());
    return Promise.race([ended, timeout]);
  }

  #tailOf(turnId: string, lastSeq: number): Tail {
    let tail = this.#tails.get(turnId);
    if (!tail) {
      tail = new Tail(turnId, lastSeq, false, (self) => this.#pull(self));
      this.#tails.set(turnId, tail);
    }
    return tail;
  }

  #forget(tail: Tail): void {
    if (tail.readers.size === 0 && !tail.local) this.#tails.delete(tail.turnId);
  }

  #release(writer: Writer): void {
    const tail = this.#tails.get(writer.turnId);
    if (!tail) return;
    tail.local = false;
    tail.hint();
    this.#forget(tail);
  }

  #halt(turnId: string): void {
    this.#appender.writers.get(turnId)?.halt({ status: "stopped" });
  }

  #hintAll(): void {
    for (const tail of this.#tails.values()) tail.hint();
  }

  #pull(tail: Tail): void {
    this.#wanted.add(tail);
    if (!this.#reading) void this.#readWanted();
  }

  /** One read at a time, each for all turns that were asked for meanwhile: like the group commit. */
  async #readWanted(): Promise<void> {
    this.#reading = true;
    // What is asked for in this tick shares the query.
    await null;
    while (this.#wanted.size > 0) {
      const tails = [...this.#wanted].slice(0, maxTurnsPerRead);
      for (const tail of tails) this.#wanted.delete(tail);
      await this.#read(tails.filter((tail) => tail.readers.size > 0));
    }
    this.#reading = false;
  }

  /** A failed read is repeated by the poll. */
  async #read(tails: Tail[]): Promise<void> {
    if (tails.length === 0) return;
    try {
      for (const tail of tails) tail.beginRead();
      const after = tails.map(({ turnId, lastSeq }) => ({ turnId, seq: lastSeq }));
      const pages = await readPages(after, maxBatchBytes);
      for (const tail of tails) {
        const page = pages.get(tail.turnId);
        if (page) tail.endRead(page);
      }
    } catch (error) {
      if (!isDatabaseAway(error)) logger.error({ err: error }, "reading chunks failed, will be repeated");
    }
  }

  /** postgres.js keeps a connection of its own for this and listens again after it was lost. */
  async #listen(sql: Sql): Promise<{ unlisten: () => Promise<void> }[]> {
    const onTurns = (payload: string) => {
      for (const turnId of payload.split(",")) this.#tails.get(turnId)?.hint();
    };
    try {
      // Whatever was said before it listened is made up for.
      return await Promise.all([
        sql.listen(turnsChannel, onTurns, () => this.#hintAll()),
        sql.listen(
          stopsChannel,
          (turnId) => this.#halt(turnId),
          () => this.#appender.renew(),
        ),
      ]);
    } catch (error) {
      // Everything still works by polling, only later; and the driver goes on trying.
      logger.error({ err: error }, "LISTEN failed, falling back to polling");
      return [];
    }
  }
}
