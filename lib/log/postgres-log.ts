// The durable log on Postgres: per process one appender, one LISTEN connection and one reaper. A
// chunk passes Writer.append (queued, numbered), Appender (when to commit, with whom, how often to
// retry), Writer.committed, Tail.push (the window) and TailReader.next (a cursor). This class
// decides which tails exist, batches the reads of turns written elsewhere, and passes on
// notifications. NOTIFY is only a hint: a poll finds what a lost notification hid, at one query per
// second however many readers there are, and four per second if no notifications arrive at all.

import { chatsChannel, listStopRequests, readPages, stopsChannel, turnsChannel } from "@/db/log";
import { requestStop } from "@/db/turns";
import { orTimeout, timedOut } from "@/lib/bounded-wait";
import { isDatabaseUnavailable } from "@/lib/database-unavailable";
import { logger } from "@/lib/logger";
import type { HoldUntilCommit } from "@/lib/next-commit";
import type { LoggedChunk } from "@/lib/turn/chunks";
import { interruptedError } from "@/lib/turn/ending";
import { commitIntervalMs, holdMs, maxBatchBytes } from "@/lib/turn/pacing";
import { Appender } from "./appender";
import { ChatSubscriptions } from "./chat-subscriptions";
import type { LogReader, LogTiming, LogWriter, Orphan, TurnLog } from "./durable-log";
import { Listener } from "./listener";
import { startReaper } from "./reaper";
import { Tail, type TailOwner, TailReader } from "./tail";
import type { Writer } from "./writer";

/** Maximum reader delay without notifications; with them, only every fourth poll queries. */
const pollEveryMs = 250;
const slowPolls = 4;
/** Turns per read: bounds the size of the result. */
const maxTurnsPerRead = 100;
/** Time a halted run gets at shutdown to store its terminal: a few commits. */
const haltMs = 2_000;
/**
 * `commitTimeoutMs`: well above a slow commit, and six attempts fit into `maxOutageMs`. `listenCheckMs`:
 * a check is two queries of negligible cost.
 */
const defaultTiming = {
  maxOutageMs: 30_000,
  commitTimeoutMs: 5_000,
  commitIntervalMs,
  listenCheckMs: 15_000,
  holdMs,
};

export class PostgresLog implements TurnLog, TailOwner {
  readonly hold: HoldUntilCommit = (waiting) => this.#appender.hold(waiting);
  readonly #appender: Appender;
  readonly #tails = new Map<string, Tail>();
  readonly #stopReaper: () => void;
  readonly #poll: NodeJS.Timeout;
  readonly #listener: Listener;
  readonly #chatSubscriptions = new ChatSubscriptions();
  readonly #pendingReads = new Set<Tail>();
  #runOrphan: ((orphan: Orphan) => void) | null = null;
  #reading = false;
  #polls = 0;
  #polling = false;

  constructor(leaseMs: number, timing: Partial<Omit<LogTiming, "leaseMs">> = {}) {
    const settings = { leaseMs, ...defaultTiming, ...timing };
    this.#appender = new Appender(settings);
    this.#stopReaper = startReaper(
      leaseMs,
      (turnId) => this.#appender.writers.has(turnId),
      () => this.#runOrphan,
    );
    this.#listener = new Listener(
      {
        [turnsChannel]: {
          onNotify: (turnIds) => {
            for (const turnId of turnIds.split(",")) this.#tails.get(turnId)?.hint();
          },
          onResubscribe: () => this.#hintAll(),
        },
        [stopsChannel]: { onNotify: (turnId) => this.#halt(turnId), onResubscribe: () => this.#appender.renew() },
        [chatsChannel]: {
          onNotify: (chat) => this.#chatSubscriptions.notify(chat),
          onResubscribe: () => this.#chatSubscriptions.notifyAll(),
        },
      },
      settings.listenCheckMs,
    );
    this.#poll = setInterval(() => this.#pollOnce(), pollEveryMs);
    this.#poll.unref();
  }

  /** Whether notifications reach this process; if not, it polls. */
  get receivesNotifications(): boolean {
    return this.#listener.isDelivering;
  }

  get liveCount(): number {
    return this.#appender.writers.size;
  }

  get openCounts(): { readers: number; tails: number } {
    let readers = 0;
    for (const tail of this.#tails.values()) readers += tail.readers.size;
    return { readers, tails: this.#tails.size };
  }

  open(turnId: string, epoch: number, stored: LoggedChunk[] = []): LogWriter {
    // A reader may exist before the run starts, and may not have read the whole prefix.
    return this.#appender.open(epoch, this.#tailOf(turnId, 0), stored);
  }

  read(turnId: string, afterSeq: number): LogReader {
    return new TailReader(this.#tailOf(turnId, afterSeq), afterSeq);
  }

  async requestStop(turnId: string): Promise<boolean> {
    const running = await requestStop(turnId, stopsChannel);
    if (running) this.#halt(turnId);
    return running;
  }

  watchChat(userId: string, chatId: string, onChange: () => void): () => void {
    return this.#chatSubscriptions.subscribe(userId, chatId, onChange);
  }

  onOrphan(run: (orphan: Orphan) => void): void {
    this.#runOrphan = run;
  }

  releaseReaders(): void {
    this.#stopReaper();
    for (const tail of [...this.#tails.values()]) for (const reader of [...tail.readers]) reader.close();
  }

  async close(timeoutMs: number): Promise<void> {
    this.#stopReaper();
    if ((await orTimeout(this.#allEnded(), timeoutMs)) === timedOut) {
      const writers = [...this.#appender.writers.values()];
      const givenUp = this.#releaseLeases(writers.filter(({ canHandOver }) => canHandOver));
      for (const writer of writers)
        if (!writer.canHandOver) writer.halt({ status: "interrupted", error: interruptedError });
      await orTimeout(Promise.all([givenUp, this.#allEnded()]), haltMs);
    }
    clearInterval(this.#poll);
    await this.#appender.close();
    await this.#listener.close();
    this.releaseReaders();
  }

  #allEnded(): Promise<unknown> {
    return Promise.all([...this.#appender.writers.values()].map((writer) => writer.ended));
  }

  /** Another server can restart these answers or resume reading them. */
  async #releaseLeases(writers: Writer[]): Promise<void> {
    try {
      await this.#appender.releaseLeases(writers);
      if (writers.length > 0) logger.info({ turns: writers.length }, "handed turns over to other servers");
    } catch (error) {
      logger.warn({ err: error, turns: writers.length }, "turns wait for their leases to expire");
    }
  }

  #tailOf(turnId: string, lastSeq: number): Tail {
    let tail = this.#tails.get(turnId);
    if (!tail) {
      tail = new Tail(turnId, lastSeq, this);
      this.#tails.set(turnId, tail);
    }
    return tail;
  }

  #halt(turnId: string): void {
    this.#appender.writers.get(turnId)?.halt({ status: "stopped" });
  }

  #hintAll(): void {
    for (const tail of this.#tails.values()) tail.hint();
  }

  /** For tails only. */
  pull(tail: Tail): void {
    this.#pendingReads.add(tail);
    if (!this.#reading) void this.#readPending();
  }

  /** For tails only. */
  drop(tail: Tail): void {
    if (this.#tails.get(tail.turnId) === tail) this.#tails.delete(tail.turnId);
  }

  /** One read at a time, each for all turns requested meanwhile, like the group commit. */
  async #readPending(): Promise<void> {
    this.#reading = true;
    // Requests from this tick share the query.
    await null;
    while (this.#pendingReads.size > 0) {
      const tails = [...this.#pendingReads].slice(0, maxTurnsPerRead);
      for (const tail of tails) this.#pendingReads.delete(tail);
      await this.#read(tails.filter((tail) => tail.readers.size > 0));
    }
    this.#reading = false;
  }

  /** The poll repeats a failed read. */
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
      if (!isDatabaseUnavailable(error)) logger.error({ err: error }, "reading chunks failed; will retry");
    }
  }

  #pollOnce(): void {
    const slow = this.#polls++ % slowPolls === 0;
    if (slow || !this.receivesNotifications) this.#hintAll();
    if (!this.receivesNotifications) void this.#pollMissed(slow);
  }

  /** Polls for what notifications report besides chunks; never twice concurrently. */
  async #pollMissed(chats: boolean): Promise<void> {
    if (this.#polling) return;
    this.#polling = true;
    try {
      const written = [...this.#appender.writers.keys()];
      if (written.length > 0) for (const turnId of await listStopRequests(written)) this.#halt(turnId);
      if (chats) await this.#chatSubscriptions.poll();
    } catch (error) {
      if (!isDatabaseUnavailable(error)) logger.error({ err: error }, "polling failed; will retry");
    } finally {
      this.#polling = false;
    }
  }
}
