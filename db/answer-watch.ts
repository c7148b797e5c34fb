// Notices that a pool of connections gets no answers any more: a database that hangs, a network that swallows packets.
// The driver would wait for many minutes, and what queues behind it too. Knows queries only as things that begin and end.
import type { Sql, TransactionSql } from "postgres";

export type Patience = {
  /** A query that waits this long makes the pool ask something trivial, to tell a slow query from silence. */
  probeMs: number;
  /** The pool is silent when nothing at all was answered for this long while something was asked. */
  silentMs: number;
  /** A single query that is not answered for this long is given up, even while others are answered. */
  slowMs: number;
};

type Asked = { atMs: number };

const tickMs = 250;

export class AnswerWatch {
  readonly sql: Sql;
  readonly #patience: Patience;
  readonly #onSilent: () => void;
  readonly #onSlow: () => void;
  /** In order of asking. */
  readonly #asked = new Set<Asked>();
  readonly #timer: NodeJS.Timeout;
  #answeredMs = -Infinity;
  #probing = false;
  #tickedMs = performance.now();

  /** One of `onSilent` and `onSlow` is called, once; the watch is over then. */
  constructor(sql: Sql, patience: Patience, onSilent: () => void, onSlow: () => void) {
    this.#patience = patience;
    this.#onSilent = onSilent;
    this.#onSlow = onSlow;
    this.sql = this.#watched(sql);
    this.#timer = setInterval(() => this.#tick(), tickMs).unref();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const nowMs = performance.now();
    const late = nowMs - this.#tickedMs > 2 * tickMs;
    this.#tickedMs = nowMs;
    const [oldest] = this.#asked;
    // A process that was busy (or asleep) first reads what was answered meanwhile.
    if (!oldest || late) return;
    const waitedMs = nowMs - oldest.atMs;
    const quietMs = nowMs - Math.max(oldest.atMs, this.#answeredMs);
    if (waitedMs > this.#patience.slowMs) this.#call(this.#onSlow);
    else if (quietMs > this.#patience.silentMs) this.#call(this.#onSilent);
    else if (quietMs > this.#patience.probeMs && !this.#probing) void this.#probe();
  }

  #call(report: () => void): void {
    this.end();
    report();
  }

  async #probe(): Promise<void> {
    this.#probing = true;
    try {
      await this.sql`select 1`;
    } catch {
      // Refused is an answer, too; silence is noticed by the clock.
    } finally {
      this.#probing = false;
    }
  }

  #ask(): () => void {
    const asked = { atMs: performance.now() };
    this.#asked.add(asked);
    return () => {
      if (this.#asked.delete(asked)) this.#answeredMs = performance.now();
    };
  }

  /** The same client, with each statement noticed. */
  #watched<T extends Sql | TransactionSql>(sql: T): T {
    return new Proxy(sql, {
      apply: (target, _, args: Parameters<Sql>) => this.#statement(Reflect.apply(target, undefined, args)),
      get: (target, name) => {
        const value = Reflect.get(target, name);
        if (name === "unsafe") return (...args: Parameters<Sql["unsafe"]>) => this.#statement(target.unsafe(...args));
        if (name === "begin" || name === "savepoint")
          return (...args: unknown[]) => this.#transaction(value as Begin, args);
        return value;
      },
    });
  }

  /** A statement is sent when somebody awaits it; a fragment of another one, an identifier or a list never is. */
  #statement<Q>(query: Q): Q {
    const statement = query as { then?: Promise<unknown>["then"] };
    const { then } = statement;
    if (!then) return query;
    let answered: (() => void) | undefined;
    // biome-ignore lint/suspicious/noThenProperty: it is a promise as it is, and being awaited is what it is asked by.
    statement.then = (onFulfilled, onRejected) => {
      if (!answered) {
        answered = this.#ask();
        void then.call(query, answered, answered);
      }
      return then.call(query, onFulfilled, onRejected) as never;
    };
    return query;
  }

  /** Its beginning and its end are statements that only the client knows of. */
  async #transaction(begin: Begin, args: unknown[]): Promise<unknown> {
    let answered = this.#ask();
    const work = args.pop() as (sql: TransactionSql) => Promise<unknown>;
    try {
      return await begin(...args, async (sql: TransactionSql) => {
        answered();
        try {
          return await work(this.#watched(sql));
        } finally {
          answered = this.#ask();
        }
      });
    } finally {
      answered();
    }
  }
}

type Begin = (...args: unknown[]) => Promise<unknown>;
