import { APICallError, asSchema, RetryError, TypeValidationError } from "ai";
import { expect, it } from "vitest";
import { z } from "zod";
import { failureFacts } from "./failure-facts";

const canary = "sk-canary-7f3a";

function failed(statusCode: number, error: object): APICallError {
  const responseBody = JSON.stringify({ error });
  return new APICallError({ message: canary, url: "", requestBodyValues: {}, statusCode, responseBody });
}

async function unreadable(schema: z.ZodType, value: unknown): Promise<TypeValidationError> {
  const result = await asSchema(schema).validate?.(value);
  return new TypeValidationError({ value, cause: result?.success === false && result.error });
}

it("keeps the provider's status, code, type and parameter, and what was refused", () => {
  const error = failed(400, {
    message: `Unsupported: ${canary}`,
    type: "invalid_request_error",
    code: "unsupported_parameter",
    param: "messages[3].content",
  });
  const retried = new RetryError({ message: canary, reason: "maxRetriesExceeded", errors: [error] });
  expect(failureFacts(retried)).toEqual({
    refusal: "parameter",
    status: 400,
    type: "invalid_request_error",
    code: "unsupported_parameter",
    param: "messages[3].content",
  });
  expect(failureFacts(failed(429, { code: 3051 }))).toEqual({ status: 429, code: "3051" });
});

it.each([
  ["a key", canary],
  ["an id", "proj_8Kd2"],
  ["a sentence", "the merger of Alpha and Beta"],
  ["line breaks", "code\nforged"],
  ["a value that is too long", "a".repeat(51)],
  ["a non-string", { nested: canary }],
])("I22: drops %s from code, type and parameter", (_, said) => {
  expect(failureFacts(failed(400, { code: said, type: said, param: said }))).toEqual(
    // A refused parameter, whatever its name.
    typeof said === "string" ? { refusal: "parameter", status: 400 } : { status: 400 },
  );
});

const chunk = z.object({
  choices: z.array(z.object({ delta: z.object({ content: z.string().nullish() }).nullish() })),
  usage: z.record(z.string(), z.number()).nullish(),
});

it("gives the schema path that an answer does not match", async () => {
  const value = { choices: [{ delta: { content: [canary] } }] };
  expect(failureFacts(await unreadable(chunk, value))).toEqual({ path: "choices.0.delta.content" });
});

it("gives the path in the best-matching member of a union", async () => {
  const union = z.union([chunk, z.object({ error: z.object({ message: z.string() }) })]);
  const cause = await unreadable(union, { choices: [{ delta: 7 }] });
  const whole = new APICallError({ message: "", url: "", requestBodyValues: {}, statusCode: 200, cause });
  expect(failureFacts(whole)).toEqual({ status: 200, path: "choices.0.delta" });
});

it("I22: drops keys chosen by the provider from the path", async () => {
  const value = { choices: [], usage: { [canary]: "x" } };
  expect(failureFacts(await unreadable(chunk, value))).toEqual({ path: "usage.*" });
});

it.each([undefined, new Error(canary), "text"])("returns nothing for an error that is not a provider's: %s", (thrown) =>
  expect(failureFacts(thrown)).toBeNull(),
);
