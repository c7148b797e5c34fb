// Prepares Drizzle's statements. Unprepared, each takes two round trips (describe, execute), and
// Postgres parses and plans it on every call: more than half the cost of a small statement.
import "server-only";
import type { Sql, TransactionSql } from "postgres";

/** A list makes a different statement for every length, and connections keep them all. */
const maxParameters = 24;

type Begin = (...args: unknown[]) => Promise<unknown>;

/** The same client, with prepared statements per connection. No-op if it must not prepare. */
export function preparing<T extends Sql | TransactionSql>(sql: T): T {
  return new Proxy(sql, {
    get(target, name) {
      if (name === "unsafe")
        return ((query, parameters = [], options) =>
          target.unsafe(query, parameters, {
            ...options,
            prepare: parameters.length <= maxParameters,
          })) satisfies Sql["unsafe"];
      const value = Reflect.get(target, name);
      if (name !== "begin" && name !== "savepoint") return value;
      return (...args: unknown[]) => {
        const work = args.pop() as (sql: TransactionSql) => unknown;
        return (value as Begin)(...args, (transaction: TransactionSql) => work(preparing(transaction)));
      };
    },
  });
}
