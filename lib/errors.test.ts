import { expect, it, vi } from "vitest";
import { AppError, type ErrorCode } from "./errors";

// docs/protocol.md §3, plus two more codes: a taken address or id, and a bug.
const statuses: Record<ErrorCode, number> = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  turn_running: 409,
  conflict: 409,
  too_large: 413,
  storage_full: 413,
  key_reused: 422,
  rate_limited: 429,
  limit_reached: 429,
  budget_exhausted: 429,
  internal: 500,
  unavailable: 503,
};

it.each(Object.entries(statuses))("%s is %i", (code, status) => {
  expect(new AppError(code as ErrorCode, "m").status).toBe(status);
});

it("keeps its public message separate from its cause", () => {
  const cause = new Error("secret");
  const error = new AppError("unavailable", "Later.", { cause, retryAfter: 2, details: { turnId: "t" } });
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({ name: "AppError", publicMessage: "Later.", retryAfter: 2, details: { turnId: "t" } });
  expect(error.cause).toBe(cause);
  expect(error.message).not.toContain("secret");
});

it("recognises errors made by another bundle's copy of the class", async () => {
  vi.resetModules();
  const { AppError: Other } = await import("./errors");
  const error = new Other("not_found", "Gone.");
  expect(error).not.toBeInstanceOf(AppError);
  expect(AppError.is(error)).toBe(true);
  for (const other of [new Error("m"), { name: "AppError" }, null]) expect(AppError.is(other)).toBe(false);
});
