// Bounds every wait for the database. Postgres ends each statement within its own limits
// (connect.ts), so a live database answers in time, however busy; one that is quiet for longer is
// unreachable, and all waiters fail. At most one statement per connection is in flight; the rest
// queue here, so that no fast statement queues behind a slow one.
import "server-only";
import type { Sql, TransactionSql } from "postgres";
import { type Connections, connect, answerTimeoutMs as defaultAnswerTimeoutMs } from "./connect";

/** Time for Postgres to accept a cancel request; an unreachable database does not use it. */
const cancelMs = 500;
const maxTickMs = 250;

export class BoundedClient {
  readonly #max: number;
  readonly #answerTimeoutMs: number;
  #current: BoundedConnections | null = null;

  /** `answerTimeoutMs`: how long one statement may go unanswered. The server's own limits are below it. */
  constructor(max: number, answerTimeoutMs = defaultAnswerTimeoutMs) {
    this.#max = max;
    this.#answerTimeoutMs = answerTimeoutMs;
  }

  /**
   * Read this on every use, never keep it: unresponsive connections are replaced. Statements
   * waiting on them reject with a connection error; the database may still execute them.
   */
  get sql(): Sql {
    return this.connections.sql;
  }

  /** A different object after connections were replaced. */
  get connections(): object & { sql: Sql } {
    if (!this.#current || this.#current.retired)
      this.#current = new BoundedConnections(
        connect(this.#max, this.#answerTimeoutMs),
        this.#max,
        this.#answerTimeoutMs,
      );
    return this.#current;
  }

  /** Gives work in flight `graceSeconds` to finish. The next use opens new connections. */
  async close(graceSeconds: number): Promise<void> {
    const current = this.#current;
    this.#current = null;
    await current?.close(graceSeconds);
  }
}

type Cancellable = { canceller?: ((query: unknown) => Promise<void>) | null };
type Fail = (error: Error) => void;
/** A statement in flight. */
type InFlight = { sinceMs: number; query: Cancellable | null; fail: Fail };
/** Work waiting for a connection. */
type Waiting = { start(): void; fail: Fail };
type Begin = (...args: unknown[]) => Promise<unknown>;

class BoundedConnections {
  readonly sql: Sql;
  /** Accepts no new work. */
  retired = false;
  readonly #connections: Connections;
  readonly #max: number;
  readonly #answerTimeoutMs: number;
  readonly #tickMs: number;
  readonly #timer: NodeJS.Timeout;
  /** Oldest first. */
  readonly #inFlight = new Set<InFlight>();
  readonly #waiting = new Set<Waiting>();
  #running = 0;
  #silent = false;
  #answeredMs = -Infinity;
  #tickedMs = performance.now();

  constructor(connections: Connections, max: number, answerTimeoutMs: number) {
    this.#connections = connections;
    this.#max = max;
    this.#answerTimeoutMs = answerTimeoutMs;
    this.#tickMs = Math.min(maxTickMs, answerTimeoutMs / 8);
    this.sql = this.#watched(connections.sql, null);
    this.#timer = setInterval(() => this.#tick(), this.#tickMs).unref();
  }

  async close(graceSeconds: number): Promise<void> {
    this.retired = true;
    await this.#connections.sql.end({ timeout: graceSeconds });
    clearInterval(this.#timer);
    this.#connections.destroy();
  }

  #tick(): void {
    const nowMs = performance.now();
    const late = nowMs - this.#tickedMs > 2 * this.#tickMs;
    this.#tickedMs = nowMs;
    const [oldest] = this.#inFlight;
    // After being busy or suspended, the process first reads the answers that have arrived.
    if (!oldest || late) return;
    const quietMs = nowMs - Math.max(oldest.sinceMs, this.#answeredMs);
    if (quietMs > this.#answerTimeoutMs) this.#abandonAll();
    else if (nowMs - oldest.sinceMs > 2 * this.#answerTimeoutMs) this.#abandon(oldest);
  }

  /** The whole database is unresponsive. */
  #abandonAll(): void {
    this.#silent = true;
    for (const asked of this.#inFlight) cancel(asked);
    this.#retire(cancelMs);
    this.#failAll();
  }

  /**
   * Other statements get answers, so this one's connection is dead; only the driver knows which
   * connection that is.
   */
  #abandon(asked: InFlight): void {
    cancel(asked);
    this.#inFlight.delete(asked);
    asked.fail(noAnswer());
    this.#retire(this.#answerTimeoutMs);
  }

  #retire(graceMs: number): void {
    if (!this.retired)
      setTimeout(() => {
        this.#silent = true;
        clearInterval(this.#timer);
        this.#failAll();
        this.#connections.destroy();
      }, graceMs).unref();
    this.retired = true;
  }

  #failAll(): void {
    for (const { fail } of [...this.#inFlight, ...this.#waiting]) fail(noAnswer());
    this.#inFlight.clear();
    this.#waiting.clear();
  }

  /** Runs the work once a connection is free, first come first served. */
  #admit<T>(work: (fail: Fail) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#silent) return reject(noAnswer());
      const start = () => {
        this.#running += 1;
        const over = () => this.#release();
        const done = work(reject);
        done.then(resolve, reject);
        done.then(over, over);
      };
      if (this.#running < this.#max) return start();
      const waiting = { start, fail: reject };
      this.#waiting.add(waiting);
    });
  }

  #release(): void {
    this.#running -= 1;
    const [next] = this.#waiting;
    if (!next) return;
    this.#waiting.delete(next);
    next.start();
  }

  /** Returns the callback for the answer. */
  #track(query: Cancellable | null, fail: Fail): () => void {
    const asked = { sinceMs: performance.now(), query, fail };
    this.#inFlight.add(asked);
    return () => {
      if (this.#inFlight.delete(asked)) this.#answeredMs = performance.now();
    };
  }

  /**
   * The same client with every statement watched. `fail` rejects the enclosing transaction, null
   * outside of one.
   */
  #watched<T extends Sql | TransactionSql>(sql: T, fail: Fail | null): T {
    const inTransaction = fail !== null;
    return new Proxy(sql, {
      apply: (target, _, args: Parameters<Sql>) =>
        this.#statement(Reflect.apply(target, undefined, args), inTransaction),
      get: (target, name) => {
        const value = Reflect.get(target, name);
        if (name === "unsafe")
          return (...args: Parameters<Sql["unsafe"]>) => this.#statement(target.unsafe(...args), inTransaction);
        if (name === "begin")
          return (...args: unknown[]) => this.#admit((failed) => this.#transaction(value as Begin, args, failed));
        if (name === "savepoint" && fail) return (...args: unknown[]) => this.#transaction(value as Begin, args, fail);
        return value;
      },
    });
  }

  /** A statement is sent when awaited; fragments, identifiers and lists never are. */
  #statement<Q>(query: Q, inTransaction: boolean): Q {
    const statement = query as Cancellable & Pick<Promise<unknown>, "then" | "catch" | "finally">;
    const { then } = statement;
    if (!then) return query;
    const send = (fail: Fail) =>
      new Promise<unknown>((resolve, reject) => {
        const answered = this.#track(statement, (error) => {
          reject(error);
          fail(error);
        });
        void then.call(query, resolve, reject);
        void then.call(query, answered, answered);
      });
    let sent: Promise<unknown> | undefined;
    // biome-ignore lint/suspicious/noThenProperty: it is a promise as it is, and being awaited is what it is asked by.
    statement.then = (onFulfilled, onRejected) => {
      sent ??= inTransaction ? send(() => {}) : this.#admit(send);
      return sent.then(onFulfilled, onRejected) as never;
    };
    statement.catch = (onRejected) => statement.then(undefined, onRejected) as never;
    statement.finally = (onFinally) => Promise.resolve(statement).finally(onFinally);
    return query;
  }

  /** BEGIN and COMMIT are statements that only the driver sees. */
  async #transaction(begin: Begin, args: unknown[], fail: Fail): Promise<unknown> {
    let answered = this.#track(null, fail);
    const work = args.pop() as (sql: TransactionSql) => Promise<unknown>;
    try {
      return await begin(...args, async (sql: TransactionSql) => {
        answered();
        try {
          return await work(this.#watched(sql, fail));
        } finally {
          answered = this.#track(null, fail);
        }
      });
    } finally {
      answered();
    }
  }
}

/** Otherwise the statement would keep a backend and its locks with nobody waiting. */
function cancel({ query }: InFlight): void {
  // The rejection of the driver's own `cancel` cannot be caught.
  query?.canceller?.(query).catch(() => {});
}

function noAnswer(): Error {
  return Object.assign(new Error("The database did not answer."), { code: "CONNECTION_SILENT" });
}
