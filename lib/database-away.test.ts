import { DrizzleQueryError } from "drizzle-orm/errors";
import { expect, it } from "vitest";
import { isDatabaseAway, isOverDatabaseLimit } from "./database-away";

const withCode = (code: unknown) => Object.assign(new Error("x"), { code });

it.each([
  "ECONNREFUSED",
  "ECONNRESET",
  "CONNECTION_CLOSED",
  "CONNECT_TIMEOUT",
  "08006",
  "53300",
  "57P01",
  "58030",
  "40001",
  "25006",
  "25P03",
  "55P03",
  "CONNECTION_SILENT",
])("%s is transient", (code) => {
  expect(isDatabaseAway(withCode(code))).toBe(true);
  expect(isDatabaseAway(new DrizzleQueryError("select 1", [], withCode(code)))).toBe(true);
  expect(isDatabaseAway(new Error("outer", { cause: new Error("inner", { cause: withCode(code) }) }))).toBe(true);
});

it.each(["23505", "23503", "55000", "42P01", "22021", "25P02", "0800", "57", "ERR_INVALID_ARG_TYPE", 8006, undefined])(
  "%s is permanent",
  (code) => expect(isDatabaseAway(withCode(code))).toBe(false),
);

it("distinguishes a slow database from an unreachable one", () => {
  expect(["57014", "55P03"].map((code) => isOverDatabaseLimit(withCode(code)))).toEqual([true, true]);
  expect(["57P01", "ECONNREFUSED"].map((code) => isOverDatabaseLimit(withCode(code)))).toEqual([false, false]);
});

it.each([undefined, null, "ECONNREFUSED", { code: "ECONNREFUSED" }, new Error("ECONNREFUSED")])(
  "%s is not a connection failure",
  (thrown) => expect(isDatabaseAway(thrown)).toBe(false),
);
