// Drizzle's statements as prepared ones. Unprepared, each is asked for twice (what are its parameters, then itself), and
// Postgres parses and plans it at every call: more than half of what a small statement costs.
import "server-only";
import type { Sql, TransactionSql } from "postgres";

/** A statement with a list in it is another one for every length of the list, and connections keep them all. */
const maxParameters = 24;

type Begin = (...args: unknown[]) => Promise<unknown>;

/** The same client; a connection keeps what it has prepared. Does nothing where the client was told not to prepare. */
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
