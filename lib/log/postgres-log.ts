// The durable log on Postgres: one appender, one LISTEN connection, one reaper a process. NOTIFY is only a hint; a slow
// poll finds what a lost notification hid, and costs one query a second however many readers there are.

import { pool } from "@/db/client";
import { readChunks, stopsChannel, turnsChannel } from "@/db/log";
import { requestStop } from "@/db/turns";
import { isDatabaseAway } from "@/lib/database-away";
import { logger } from "@/lib/logger";
import { interruptedError } from "@/lib/turn/ending";
import { Appender } from "./appender";
import type { LogReader, LogWriter, TurnLog } from "./contract";
import { startReaper } from "./reaper";
import { maxBatchBytes, parseLogged, Tail, TailReader } from "./tail";
import { Writer } from "./writer";

const pollEveryMs = 1_000;
/** What a halted run gets at shutdown to store its terminal: some commits. */
const haltMs = 2_000;

export class PostgresLog implements TurnLog {
  readonly #appender: Appender;
  readonly #tails = new Map<string, Tail>();
  readonly #stopReaper: () => void;
  readonly #poll: NodeJS.Timeout;
  #listening: Promise<{ unlisten: () => Promise<void> }[]> | null = null;
  #refreshing = new Map<string, boolean>();

  constructor(leaseMs: number) {
    this.#appender = new Appender(
      leaseMs,
      (turnId, logged) => this.#tails.get(turnId)?.push(logged),
      (writer) => this.#release(writer),
    );
    this.#stopReaper = startReaper(leaseMs, (turnId) => this.#appender.writers.has(turnId));
    this.#poll = setInterval(() => this.#refresh(this.#remoteTails()), pollEveryMs);
    this.#poll.unref();
    this.#listen();
  }

  get liveCount(): number {
    return this.#appender.writers.size;
  }

  open(turnId: string, epoch: number): LogWriter {
    const writer = new Writer(turnId, epoch, (self, urgent) => this.#appender.schedule(self, urgent));
    this.#appender.add(writer);
    const known = this.#tails.get(turnId);
    // A reader may be here before the run starts; it has read what there was, which is nothing.
    if (known) known.local = true;
    else this.#tails.set(turnId, new Tail(turnId, 0, true));
    return writer;
  }

  read(turnId: string, afterSeq: number): LogReader {
    let tail = this.#tails.get(turnId);
    if (!tail) {
      tail = new Tail(turnId, afterSeq, false);
      this.#tails.set(turnId, tail);
    }
    const shared = tail;
    const reader = new TailReader(shared, afterSeq, () => {
      if (shared.readers.size === 0 && !shared.local) this.#tails.delete(turnId);
    });
    if (!shared.local) this.#refresh([shared]);
    return reader;
  }

  async requestStop(turnId: string): Promise<boolean> {
    return requestStop(turnId, stopsChannel);
  }

  releaseReaders(): void {
    for (const tail of [...this.#tails.values()]) for (const reader of [...tail.readers]) reader.close();
  }

  async close(timeoutMs: number): Promise<void> {
    if (!(await this.#allEnded(timeoutMs))) {
      for (const writer of this.#appender.writers.values()) writer.halt({ status: "interrupted", error: interruptedError });
      await this.#allEnded(haltMs);
    }
    this.#stopReaper();
    clearInterval(this.#poll);
    this.#appender.close();
    const listeners = await this.#listening;
    await Promise.all((listeners ?? []).map((listener) => listener.unlisten()));
    this.releaseReaders();
  }

  /** False when some still run after the time. */
  async #allEnded(timeoutMs: number): Promise<boolean> {
    const ended = Promise.all([...this.#appender.writers.values()].map((writer) => writer.ended)).then(() => true);
    const timeout = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), timeoutMs).unref());
    return Promise.race([ended, timeout]);
  }

  #release(writer: Writer): void {
    const tail = this.#tails.get(writer.turnId);
    if (!tail) return;
    tail.local = false;
    if (tail.readers.size === 0) this.#tails.delete(writer.turnId);
    else this.#refresh([tail]);
  }

  #remoteTails(): Tail[] {
    return [...this.#tails.values()].filter((tail) => !tail.local);
  }

  /** Reads what is new of these turns, in one query, and hands it to their readers. One refresh a turn at a time. */
  #refresh(tails: Tail[]): void {
    const idle = tails.filter((tail) => {
      const busy = this.#refreshing.has(tail.turnId);
      // A hint that arrives during the read may be about chunks behind it: read once more.
      if (busy) this.#refreshing.set(tail.turnId, true);
      return !busy;
    });
    if (idle.length === 0) return;
    for (const tail of idle) this.#refreshing.set(tail.turnId, false);
    void this.#read(idle).then((again) => {
      const repeat = idle.filter((tail) => {
        const hinted = this.#refreshing.get(tail.turnId);
        this.#refreshing.delete(tail.turnId);
        return this.#tails.get(tail.turnId) === tail && !tail.local && (hinted || again.has(tail.turnId));
      });
      this.#refresh(repeat);
    });
  }

  /** Returns the turns of which there may be more. A failed read is repeated by the poll. */
  async #read(tails: Tail[]): Promise<Set<string>> {
    const grown = new Set<string>();
    try {
      const rows = await readChunks(
        tails.map((tail) => ({ turnId: tail.turnId, seq: tail.lastSeq })),
        maxBatchBytes,
      );
      const byTurn = Map.groupBy(rows, (row) => row.turnId);
      for (const tail of tails) {
        const found = byTurn.get(tail.turnId);
        if (!found) continue;
        tail.push(found.map(({ seq, json }) => parseLogged(seq, json)));
        grown.add(tail.turnId);
      }
    } catch (error) {
      if (!isDatabaseAway(error)) logger.error({ err: error }, "reading chunks failed, will be repeated");
    }
    return grown;
  }

  /** postgres.js keeps a connection of its own for this and listens again after it was lost. */
  #listen(): void {
    const { sql } = pool();
    const onTurns = (payload: string) => {
      const tails = payload.split(",").flatMap((id) => this.#tails.get(id) ?? []);
      this.#refresh(tails.filter((tail) => !tail.local));
    };
    const onStop = (turnId: string) => this.#appender.writers.get(turnId)?.halt({ status: "stopped" });
    const onListening = () => this.#refresh(this.#remoteTails());
    this.#listening = Promise.all([
      sql.listen(turnsChannel, onTurns, onListening),
      sql.listen(stopsChannel, onStop),
    ]).catch((error) => {
      // Everything still works by polling, only later.
      logger.error({ err: error }, "LISTEN failed, falling back to polling");
      return [];
    });
  }
}
