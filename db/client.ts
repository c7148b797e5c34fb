// The one connection pool of a process, made at the first query. Drizzle for statements, the raw postgres.js
// client for what Drizzle has no words for (LISTEN, the group commit).
import "server-only";
import { createConnection, type Socket } from "node:net";
import type { ExtractTablesWithRelations } from "drizzle-orm";
import type { PgDatabase } from "drizzle-orm/pg-core";
import { drizzle, type PostgresJsQueryResultHKT } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { AnswerWatch } from "./answer-watch";
import { preparing } from "./prepared";
import * as schema from "./schema";

/** The pool or a transaction on it: the same calls work on both. */
export type Database = PgDatabase<PostgresJsQueryResultHKT, typeof schema, ExtractTablesWithRelations<typeof schema>>;
/** The same for the client's own words. */
export type Statements = postgres.Sql | postgres.TransactionSql;
export type Pool = { sql: postgres.Sql; db: Database; watch: AnswerWatch };

// Next bundles each route apart, so a module-level variable would be one pool a route.
const key = Symbol.for("rivulet.pool");
const shared = globalThis as { [key]?: Pool };

export function pool(): Pool {
  shared[key] ??= openPool();
  return shared[key];
}

/** Drizzle on the shared pool. */
export function database(): Database {
  return pool().db;
}

/** Ends all connections; a later call of pool() opens new ones. For shutdown and tests. */
export async function closePool(): Promise<void> {
  const open = shared[key];
  shared[key] = undefined;
  await open?.sql.end({ timeout: 5 });
  open?.watch.end();
}

/**
 * For requests and whatever may be asked again; LISTEN and the group commit have connections of their own. A pool that gets
 * no answers is given up for a new one, so nobody waits for a database that hangs longer than it takes to notice.
 */
function openPool(): Pool {
  const connections = connect(10);
  const giveUp = (graceSeconds: number) => {
    if (shared[key] === open) shared[key] = undefined;
    void connections.sql.end({ timeout: graceSeconds }).then(connections.destroy);
  };
  const watch = new AnswerWatch(
    connections.sql,
    patience,
    () => giveUp(0),
    // Others are answered: what is under way may still be.
    () => giveUp(slowGraceSeconds),
  );
  const { sql } = watch;
  const open = { sql, db: drizzle(preparing(sql), { schema, casing: "snake_case" }), watch };
  return open;
}

/** A hanging database answers a request within five seconds. No statement of ours takes ten, not even the largest upload. */
const patience = { probeMs: 1_500, silentMs: 4_000, slowMs: 10_000 };
const slowGraceSeconds = 5;

/** What a pooler between server and database cannot do, learnt with the migrations (db/migrate.ts). */
const poolerKey = Symbol.for("rivulet.pooler");
const poolers = globalThis as { [poolerKey]?: boolean };

/** From here on no connection relies on being the same one for two transactions: no prepared statements, no session settings. */
export function expectPooler(): void {
  if (poolers[poolerKey]) return;
  poolers[poolerKey] = true;
  void closePool();
}

export type Connections = {
  sql: postgres.Sql;
  /** Rejects whatever waits for an answer and cuts the sockets, also those whose other end vanished. */
  destroy(): void;
};

/** No transaction of ours waits for anything but the database. */
const sleepMs = 5_000;

/** Connections to the database of DATABASE_URL, at most `max`, opened when needed. The caller ends or destroys them. */
export function connect(max: number): Connections {
  const url = process.env.DATABASE_URL;
  if (!url) throw new Error("DATABASE_URL is not set. `npm start` sets it for the embedded database.");
  const pooled = poolers[poolerKey];
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
      // A process that falls asleep inside a transaction must not keep its rows from the others.
      ...(!pooled && { idle_in_transaction_session_timeout: sleepMs }),
    },
    ...(pooled && { prepare: false }),
    onnotice: () => {},
    // The driver says farewell on a socket and waits for the other end to close it; here it can be cut.
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

/** True for a row that a unique index refused, of this table if one is named. Looks through Drizzle's wrapping. */
export function uniqueViolation(error: unknown, table?: "chats" | "turns" | "messages"): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof postgres.PostgresError)
      return cause.code === "23505" && (table === undefined || cause.table_name === table);
  }
  return false;
}
