// The connection on which a process hears notifications, and the question whether it does: a pooler that gives
// connections out for one transaction takes LISTEN and delivers nothing, and so does a connection whose other end vanished.
// So the process sends itself a notification through the pool now and then. What was missed is never made up for here.
import { randomUUID } from "node:crypto";
import { pool } from "@/db/client";
import { type Connections, connect } from "@/db/connect";
import { isDatabaseAway } from "@/lib/database-away";
import { logger } from "@/lib/logger";

type Channel = {
  heard(payload: string): void;
  /** It begins to listen, perhaps again: what was said before went unheard. */
  missed(): void;
};

/** What a notification may take. Busy processes are slow; a wrong alarm costs a new connection. */
const arriveMs = 2_000;

export class Listener {
  readonly #channels: Record<string, Channel>;
  readonly #checkMs: number;
  /** Of this process alone, so that checks wake nobody else. */
  readonly #echoChannel = `rivulet_echo_${randomUUID()}`;
  #connection: Connections | null = null;
  #listening: Promise<unknown> | null = null;
  #echo: ((payload: string) => void) | null = null;
  #hears = false;
  #missedChecks = 0;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(channels: Record<string, Channel>, checkMs: number) {
    this.#channels = channels;
    this.#checkMs = checkMs;
    void this.#round();
  }

  /** False until a notification has come back, and when one did not: then only asking helps. */
  get hears(): boolean {
    return this.#hears;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#connection?.sql.end({ timeout: 1 });
    this.#connection?.destroy();
  }

  async #round(): Promise<void> {
    const heard = await this.#check();
    if (this.#closed) return;
    if (heard === false) this.#miss();
    else if (heard) this.#hear();
    // The first miss is looked into at once, on another connection.
    const waitMs = this.#missedChecks === 1 ? 0 : this.#checkMs;
    this.#timer = setTimeout(() => void this.#round(), waitMs).unref();
  }

  #hear(): void {
    if (this.#missedChecks > 1) logger.info("notifications of the database arrive again");
    this.#hears = true;
    this.#missedChecks = 0;
  }

  #miss(): void {
    this.#hears = false;
    this.#discard();
    this.#missedChecks += 1;
    if (this.#missedChecks === 2)
      logger.warn(
        "notifications of the database do not arrive (LISTEN), so it is polled: streams from other servers come a quarter " +
          "of a second late. A pooler in transaction mode does this. Let DATABASE_URL name the database itself, or a " +
          "pooler's port in session mode.",
      );
  }

  /** Whether a notification came back; null when that cannot be said, because the database is away. */
  async #check(): Promise<boolean | null> {
    const patience = setTimeout(() => this.#discard(), 2 * arriveMs);
    try {
      this.#listening ??= this.#listen();
      await this.#listening;
      const nonce = randomUUID();
      const echo = Promise.withResolvers<boolean>();
      this.#echo = (payload) => payload === nonce && echo.resolve(true);
      await pool().sql`select pg_notify(${this.#echoChannel}, ${nonce})`;
      clearTimeout(patience);
      // A process that was busy reads what came meanwhile before it judges.
      setTimeout(() => setImmediate(echo.resolve, false), arriveMs).unref();
      return await echo.promise;
    } catch (error) {
      if (!isDatabaseAway(error)) logger.error({ err: error }, "LISTEN failed, will be repeated");
      this.#discard();
      return null;
    } finally {
      clearTimeout(patience);
    }
  }

  /** The driver keeps one connection for all channels, and listens again after it was lost. */
  #listen(): Promise<unknown> {
    this.#connection = connect(1);
    const { sql } = this.#connection;
    const channels = Object.entries(this.#channels).map(([name, { heard, missed }]) => sql.listen(name, heard, missed));
    return Promise.all([...channels, sql.listen(this.#echoChannel, (payload) => this.#echo?.(payload))]);
  }

  #discard(): void {
    this.#connection?.destroy();
    this.#connection = null;
    this.#listening = null;
  }
}
