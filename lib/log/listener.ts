// The LISTEN connection, and a check that it works: a transaction-mode pooler accepts LISTEN but
// delivers nothing, and so does a connection whose peer vanished. The process therefore
// periodically sends itself a notification through the pool. Missed notifications are not recovered
// here.
import { randomUUID } from "node:crypto";
import { pool } from "@/db/client";
import { type Connections, connect } from "@/db/connect";
import { isDatabaseUnavailable } from "@/lib/database-unavailable";
import { logger } from "@/lib/logger";

type Channel = {
  onNotify(payload: string): void;
  /** Called when LISTEN (re)starts: earlier notifications may have been lost. */
  onResubscribe(): void;
};

/**
 * Time allowed for a notification to arrive. Busy processes are slow; a false alarm costs a new
 * connection.
 */
const arrivalTimeoutMs = 2_000;

export class Listener {
  readonly #channels: Record<string, Channel>;
  readonly #checkMs: number;
  /** Unique to this process, so that checks wake no other. */
  readonly #echoChannel = `rivulet_echo_${randomUUID()}`;
  #connection: Connections | null = null;
  #listening: Promise<unknown> | null = null;
  #echo: ((payload: string) => void) | null = null;
  #isDelivering = false;
  #missedChecks = 0;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(channels: Record<string, Channel>, checkMs: number) {
    this.#channels = channels;
    this.#checkMs = checkMs;
    void this.#round();
  }

  /** False until a notification has come back, and after one did not: callers must then poll. */
  get isDelivering(): boolean {
    return this.#isDelivering;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#connection?.sql.end({ timeout: 1 });
    this.#connection?.destroy();
  }

  async #round(): Promise<void> {
    const delivered = await this.#check();
    if (this.#closed) return;
    if (delivered === false) this.#recordMiss();
    else if (delivered) this.#recordDelivery();
    // The first miss is rechecked immediately, on a new connection.
    const waitMs = this.#missedChecks === 1 ? 0 : this.#checkMs;
    this.#timer = setTimeout(() => void this.#round(), waitMs).unref();
  }

  #recordDelivery(): void {
    if (this.#missedChecks > 1) logger.info("notifications of the database arrive again");
    this.#isDelivering = true;
    this.#missedChecks = 0;
  }

  #recordMiss(): void {
    this.#isDelivering = false;
    this.#discard();
    this.#missedChecks += 1;
    if (this.#missedChecks === 2)
      logger.warn(
        "notifications of the database do not arrive (LISTEN), so it is polled: streams from other servers come a quarter " +
          "of a second late. A pooler in transaction mode does this. Let DATABASE_URL name the database itself, or a " +
          "pooler's port in session mode.",
      );
  }

  /** Whether a notification came back; null if unknown because the database is away. */
  async #check(): Promise<boolean | null> {
    const timeout = setTimeout(() => this.#discard(), 2 * arrivalTimeoutMs);
    try {
      this.#listening ??= this.#listen();
      await this.#listening;
      const nonce = randomUUID();
      const echo = Promise.withResolvers<boolean>();
      this.#echo = (payload) => payload === nonce && echo.resolve(true);
      await pool().sql`select pg_notify(${this.#echoChannel}, ${nonce})`;
      clearTimeout(timeout);
      // A busy process reads its pending socket data before the verdict.
      setTimeout(() => setImmediate(echo.resolve, false), arrivalTimeoutMs).unref();
      return await echo.promise;
    } catch (error) {
      if (!isDatabaseUnavailable(error)) logger.error({ err: error }, "LISTEN failed; will retry");
      this.#discard();
      return null;
    } finally {
      clearTimeout(timeout);
    }
  }

  /** The driver uses one connection for all channels and resubscribes after losing it. */
  #listen(): Promise<unknown> {
    this.#connection = connect(1);
    const { sql } = this.#connection;
    const channels = Object.entries(this.#channels).map(([name, { onNotify, onResubscribe }]) =>
      sql.listen(name, onNotify, onResubscribe),
    );
    return Promise.all([...channels, sql.listen(this.#echoChannel, (payload) => this.#echo?.(payload))]);
  }

  #discard(): void {
    this.#connection?.destroy();
    this.#connection = null;
    this.#listening = null;
  }
}
