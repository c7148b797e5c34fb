import { DrizzleQueryError } from "drizzle-orm/errors";
import { expect, it } from "vitest";
import { isDatabaseTimeout, isDatabaseUnavailable } from "./database-unavailable";

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
])("%s may pass", (code) => {
  expect(isDatabaseUnavailable(withCode(code))).toBe(true);
  expect(isDatabaseUnavailable(new DrizzleQueryError("select 1", [], withCode(code)))).toBe(true);
  expect(isDatabaseUnavailable(new Error("outer", { cause: new Error("inner", { cause: withCode(code) }) }))).toBe(
    true,
  );
});

it.each(["23505", "23503", "55000", "42P01", "22021", "25P02", "0800", "57", "ERR_INVALID_ARG_TYPE", 8006, undefined])(
  "%s will not",
  (code) => expect(isDatabaseUnavailable(withCode(code))).toBe(false),
);

it("tells a database that is slow from one that is away", () => {
  expect(["57014", "55P03"].map((code) => isDatabaseTimeout(withCode(code)))).toEqual([true, true]);
  expect(["57P01", "ECONNREFUSED"].map((code) => isDatabaseTimeout(withCode(code)))).toEqual([false, false]);
});

it.each([undefined, null, "ECONNREFUSED", { code: "ECONNREFUSED" }, new Error("ECONNREFUSED")])(
  "%s is no failure of a connection",
  (thrown) => expect(isDatabaseUnavailable(thrown)).toBe(false),
);
