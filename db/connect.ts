// Opens connections to the database of DATABASE_URL: TLS, several hosts, poolers, and the limits that Postgres enforces for
// each statement. Who may use them and for how long a client waits is decided in bounded-client.ts.
import "server-only";
import { createConnection, type Socket } from "node:net";
import postgres from "postgres";

/** What stands at the other end, learnt with the migrations (db/migrate.ts). */
type Traits = {
  /** A pooler: no prepared statements, no startup parameters, no session settings. */
  pooled?: boolean;
  /** Postgres can notice while a statement runs that its client is gone; not on every platform. */
  detectsLostClients?: boolean;
};

const key = Symbol.for("rivulet.database-traits");
const shared = globalThis as { [key]?: Traits };

export function databaseTraits(): Readonly<Traits> {
  return shared[key] ?? {};
}

/** For connections that are opened from here on. */
export function setDatabaseTraits(traits: Traits): void {
  shared[key] = { ...shared[key], ...traits };
}

/** How long a request waits for the database before it counts as silent. */
export const answerMs = 4_500;

/** A client in a transaction waits for nothing but the database; longer means that its process is asleep. */
const idleInTransactionMs = 5_000;
/** How often a running statement checks that its client is still there. */
const checkClientMs = 1_000;

/**
 * The limits that Postgres enforces for a client that waits `answerMs`. They end before the client gives up, so a connection
 * that stays silent for longer is dead, never slow; and a statement that nobody waits for any more is not left running.
 */
export function serverLimits(answerMs: number, { detectsLostClients }: Traits = databaseTraits()) {
  return {
    statement_timeout: Math.round(0.85 * answerMs),
    // Shorter, so that whoever waits for a lock learns that it was one.
    lock_timeout: Math.round(0.6 * answerMs),
    idle_in_transaction_session_timeout: idleInTransactionMs,
    ...(detectsLostClients && { client_connection_check_interval: checkClientMs }),
  };
}

export type Connections = {
  sql: postgres.Sql;
  /** Rejects whatever waits for an answer and closes the sockets, including those whose other end vanished. */
  destroy(): void;
};

/** Dates and times, alone, as ranges and in arrays; json and jsonb. */
const textTypes = [1082, 1083, 1114, 1115, 1182, 1184, 1185, 1231, 114, 3802];

/**
 * Passes these types as the text that Postgres reads and writes. The driver makes a Date of a time, which has no microseconds,
 * and encodes json a second time. Drizzle sets the same when it is made on a client, which a statement may precede.
 */
function passAsText({ options }: postgres.Sql): void {
  const asIs = (value: unknown) => value;
  for (const type of textTypes) {
    options.serializers[type] = asIs;
    if (type !== 114 && type !== 3802) options.parsers[type] = asIs;
  }
}

/** At most `max` connections, opened when needed, limited as for a client that waits `waitMs`. The caller ends or destroys them. */
export function connect(max: number, waitMs = answerMs): Connections {
  const url = process.env.DATABASE_URL;
  if (!url) throw new Error("DATABASE_URL is not set. `npm start` sets it for the embedded database.");
  const { pooled } = databaseTraits();
  /** Each with the number of its host. */
  const sockets = new Map<Socket, number>();
  let destroyed = false;
  let current = 0;
  const options = {
    max,
    connect_timeout: 5,
    // The driver's own waits up to 20 s before it tries again: too long after the database is back.
    backoff: (retries: number) => Math.min(1, 2 ** retries / 50),
    connection: {
      application_name: "rivulet",
      // A pooler may refuse these; there the role has them (db/migrate.ts).
      ...(!pooled && serverLimits(waitMs)),
    },
    ...(pooled && { prepare: false }),
    onnotice: () => {},
    // The driver sends a farewell and waits for the other end to close the socket; here it can be closed.
    socket({ host, port, path }: { host: string[]; port: number[]; path: string | false }): Socket {
      // Of several hosts all connections go to one, and to the next when one of them is over: the host is down, or not
      // what `target_session_attrs` asks for.
      const at = isOver(current) ? (current + 1) % host.length : current;
      current = at;
      for (const socket of sockets.keys()) if (socket.destroyed) sockets.delete(socket);
      const socket = path ? createConnection(path) : createConnection(port[at] as number, host[at]);
      // The driver's next try may be under way already.
      if (destroyed) socket.destroy();
      sockets.set(socket, at);
      // Where the driver looks for the name that a certificate must have.
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
      // The driver begins to end a tick later.
      setImmediate(() => {
        for (const socket of sockets.keys()) socket.destroy();
      });
    },
  };
}
