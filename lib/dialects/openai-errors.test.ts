import { describe, expect, test } from "vitest";
import type { TurnError } from "@/lib/turn/chunks";
import { showError, statusOf, turnFailure } from "./openai-errors";

const failure = (code: TurnError["code"], rest: Partial<TurnError> = {}) =>
  turnFailure({ code, message: "No.", retryable: false, ...rest });

describe("a failed turn", () => {
  test("asks the client to wait only if that can help", () => {
    expect(failure("provider_rate_limited", { retryAfter: 7 })).toMatchObject({ status: 429, retryAfter: 7 });
    expect(failure("storage")).toMatchObject({ status: 503, retryAfter: 5 });
    for (const code of ["interrupted", "internal", "provider_invalid", "provider_auth"] as const)
      expect(failure(code)).not.toHaveProperty("retryAfter");
  });

  test("has the status of its reason, and names field and reason", () => {
    expect(failure("provider_invalid", { reason: "model_not_found" }).status).toBe(404);
    expect(failure("provider_invalid", { reason: "unreadable_answer" }).status).toBe(502);
    const refused = failure("provider_invalid", { reason: "context_length_exceeded", param: "messages" });
    expect(refused.details).toEqual({ reason: "context_length_exceeded", param: "messages" });
    expect(showError(refused)).toMatchObject({ code: "context_length_exceeded", param: "messages" });
    expect(failure("internal").details).toEqual({});
  });
});

test("an error has OpenAI's type and code, and the field its message starts with", () => {
  const shown = (status: number, code: string, message: string) => showError({ status, code, message });
  expect(shown(400, "bad_request", "messages.0: no")).toEqual({
    message: "messages.0: no",
    type: "invalid_request_error",
    param: "messages.0",
    code: "bad_request",
  });
  expect(shown(404, "not_found", "model: no")).toMatchObject({ type: "invalid_request_error", param: "model" });
  expect(shown(429, "rate_limited", "user: no")).toMatchObject({
    type: "requests",
    param: null,
    code: "rate_limit_exceeded",
  });
  expect(shown(401, "unauthorized", "No.")).toMatchObject({ type: "invalid_request_error", code: "invalid_api_key" });
  expect(shown(500, "internal", "No.")).toMatchObject({ type: "server_error", param: null });
});

test("an unavailable model is 404", () => {
  expect(statusOf({ status: 400, code: "", message: "", details: { reason: "model_not_found" } })).toBe(404);
  expect(statusOf({ status: 400, code: "", message: "" })).toBe(400);
});
