// Opens connections to DATABASE_URL: TLS, several hosts, poolers, and the limits that Postgres
// enforces per statement. bounded-client.ts decides who uses them and how long a client waits.
import "server-only";
import { createConnection, type Socket } from "node:net";
import postgres from "postgres";
import { processSingleton } from "@/lib/process-singletons";

/** Traits of the database, detected along with the migrations (db/migrate.ts). */
type Traits = {
  /** A pooler: no prepared statements, no startup parameters, no session settings. */
  pooled?: boolean;
  /** Postgres can detect during a statement that its client is gone; not on every platform. */
  detectsLostClients?: boolean;
};

const detectedTraits = processSingleton<Traits>("database-traits", () => ({}));

export function databaseTraits(): Readonly<Traits> {
  return detectedTraits();
}

/** For connections opened from now on. */
export function setDatabaseTraits(traits: Traits): void {
  Object.assign(detectedTraits(), traits);
}

/** How long a request waits before the database counts as unresponsive. */
export const answerTimeoutMs = 4_500;

/** A client in a transaction waits only for the database; a longer pause means it is suspended. */
const idleInTransactionMs = 5_000;
/** How often a running statement checks that its client is still connected. */
const checkClientMs = 1_000;

/**
 * The limits that Postgres enforces for a client that waits `answerTimeoutMs`. They expire before the
 * client gives up, so a connection that is quiet for longer is dead, never slow, and no statement
 * keeps running without a waiter.
 */
export function serverLimits(answerTimeoutMs: number, { detectsLostClients }: Traits = databaseTraits()) {
  return {
    statement_timeout: Math.round(0.85 * answerTimeoutMs),
    // Shorter, so that a statement blocked by a lock reports the lock.
    lock_timeout: Math.round(0.6 * answerTimeoutMs),
    idle_in_transaction_session_timeout: idleInTransactionMs,
    ...(detectsLostClients && { client_connection_check_interval: checkClientMs }),
  };
}

export type Connections = {
  sql: postgres.Sql;
  /** Rejects all waiting statements and closes the sockets, including those whose peer vanished. */
  destroy(): void;
};

/** Dates and times, as scalars, ranges and arrays; json and jsonb. */
const textTypes = [1082, 1083, 1114, 1115, 1182, 1184, 1185, 1231, 114, 3802];

/**
 * Passes these types through as Postgres's own text. The driver parses times into Dates, which have
 * no microseconds, and encodes json a second time. Drizzle sets the same when created on a client,
 * but a statement may come first.
 */
function passAsText({ options }: postgres.Sql): void {
  const asIs = (value: unknown) => value;
  for (const type of textTypes) {
    options.serializers[type] = asIs;
    if (type !== 114 && type !== 3802) options.parsers[type] = asIs;
  }
}

/**
 * At most `max` connections, opened on demand, with the limits of a client that waits `waitMs`. The
 * caller ends or destroys them.
 */
export function connect(max: number, waitMs = answerTimeoutMs): Connections {
  const url = process.env.DATABASE_URL;
  if (!url) throw new Error("DATABASE_URL is not set. `npm start` sets it for the embedded database.");
  const { pooled } = databaseTraits();
  /** Socket to host index. */
  const sockets = new Map<Socket, number>();
  let destroyed = false;
  let current = 0;
  const options = {
    max,
    connect_timeout: 5,
    // The driver's default backs off up to 20 s: too long after the database is back.
    backoff: (retries: number) => Math.min(1, 2 ** retries / 50),
    connection: {
      application_name: "rivulet",
      // A pooler may refuse these; there they are set on the role (db/migrate.ts).
      ...(!pooled && serverLimits(waitMs)),
    },
    ...(pooled && { prepare: false }),
    onnotice: () => {},
    // The driver sends Terminate and waits for the peer to close the socket; here it can be closed.
    socket({ host, port, path }: { host: string[]; port: number[]; path: string | false }): Socket {
      // Of several hosts all connections use one, and move to the next when one of them ends: the
      // host is down, or does not match `target_session_attrs`.
      const at = isOver(current) ? (current + 1) % host.length : current;
      current = at;
      for (const socket of sockets.keys()) if (socket.destroyed) sockets.delete(socket);
      const socket = path ? createConnection(path) : createConnection(port[at] as number, host[at]);
      // The driver's next attempt may already be under way.
      if (destroyed) socket.destroy();
      sockets.set(socket, at);
      // The driver reads the expected certificate name from here.
      return Object.assign(socket, { host: host[at] });
    },
  };
  const isOver = (at: number) => [...sockets].some(([socket, host]) => host === at && socket.destroyed);
  const sql = postgres(url, options);
  passAsText(sql);
  return {
    sql,
    destroy() {
      destroyed = true;
      void sql.end({ timeout: 0 });
      // The driver starts ending one tick later.
      setImmediate(() => {
        for (const socket of sockets.keys()) socket.destroy();
      });
    },
  };
}
