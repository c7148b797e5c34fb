// A connection apart from the pool, for work that must neither queue behind requests nor wait for ever: one that fails
// or does not answer in time is thrown away, and the next call opens another.
import "server-only";
import type { Sql } from "postgres";
import { type Connections, connect } from "./client";

export class OwnConnection {
  readonly #timeoutMs: number;
  #connection: Connections | null = null;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Runs `work`, one at a time. When the time is up it rejects with a connection error; the database may carry the
   * statement out all the same, at any later time: only what may happen twice belongs here.
   */
  async run<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    this.#connection ??= connect(1);
    const connection = this.#connection;
    // Destroying the connection rejects what waits on it.
    const timer = setTimeout(() => this.#discard(connection), this.#timeoutMs);
    try {
      return await work(connection.sql);
    } catch (error) {
      this.#discard(connection);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Gives what runs a second to end. */
  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    await connection?.sql.end({ timeout: 1 });
    connection?.destroy();
  }

  #discard(connection: Connections): void {
    if (this.#connection === connection) this.#connection = null;
    connection.destroy();
  }
}
