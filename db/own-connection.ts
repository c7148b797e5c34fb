// A connection apart from the pool, for work that must neither queue behind requests nor wait for ever: one that fails
// or does not answer in time is thrown away, and the next call opens another.
import "server-only";
import type { Sql } from "postgres";
import { connect } from "./client";

export class OwnConnection {
  readonly #timeoutMs: number;
  #sql: Sql | null = null;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Runs `work`, one at a time. When the time is up it rejects with a connection error; the database may carry the
   * statement out all the same, at any later time: only what may happen twice belongs here.
   */
  async run<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    this.#sql ??= connect(1);
    const sql = this.#sql;
    // Ending the connection rejects what waits on it.
    const timer = setTimeout(() => this.#discard(sql), this.#timeoutMs);
    try {
      return await work(sql);
    } catch (error) {
      this.#discard(sql);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Gives what runs a second to end. */
  async close(): Promise<void> {
    await this.#sql?.end({ timeout: 1 });
    this.#sql = null;
  }

  #discard(sql: Sql): void {
    if (this.#sql === sql) this.#sql = null;
    void sql.end({ timeout: 0 });
  }
}
