import { APICallError } from "ai";
import { expect, it } from "vitest";
import { providerExcerpt } from "./error-excerpt";

const prompt = "Tell me about the merger of Alpha and Beta before anybody else hears of it.";
const failed = (responseBody: string, message = "refused") =>
  new APICallError({
    message,
    url: "https://provider.test/v1",
    requestBodyValues: { messages: [{ role: "user", content: prompt }] },
    statusCode: 400,
    responseBody,
  });
const excerptOf = (body: string, secrets: string[] = []) => providerExcerpt(failed(body), secrets, "");

it("quotes the provider's message", () => {
  expect(excerptOf('{"error":{"message":"The model `gpt-9` does not exist."}}')).toBe(
    "The model `gpt-9` does not exist.",
  );
  expect(excerptOf('{"message":"no quota left"}')).toBe("no quota left");
  expect(excerptOf("<h1>502 Bad Gateway</h1>")).toBe("<h1>502 Bad Gateway</h1>");
  expect(providerExcerpt(new Error("wrapped", { cause: failed("inner") }), [], "")).toBe("inner");
});

it.each([
  ["a key by its value", "bad key abcd-efgh for you", ["abcd-efgh"], "abcd-efgh"],
  ["a key by its format", "Incorrect API key provided: sk-proj-abc", [], "sk-proj"],
  ["a long token", "token A9f3kLm2Qw8xZr5tYb7v is over", [], "A9f3kLm2Qw8xZr5tYb7v"],
  ["a bearer", "header was Bearer short", [], "short"],
  ["a URL's password", "see https://admin:hunter2@host.test/x for more", [], "hunter2"],
  ["a URL's query", "see https://host.test/x?code=hunter2 for more", [], "hunter2"],
  ["the whole prompt", `cannot process: ${prompt}`, [], "merger"],
  ["part of the prompt", "cannot process: merger of Alpha and Beta …", [], "Alpha"],
  ["the prompt as JSON", JSON.stringify({ detail: [{ input: `${prompt}\n` }] }), [], "merger"],
])("I22: never quotes %s", (_, body, secrets, canary) => {
  const excerpt = excerptOf(body, secrets);
  expect(excerpt?.length).toBeGreaterThan(0);
  expect(excerpt).not.toContain(canary);
});

it("I22: never quotes other prompt content, such as passages and earlier questions", () => {
  const error = failed("near: the secret passage number twelve");
  expect(providerExcerpt(error, [], "It is the secret passage number twelve of it.")).toBe("near:[…]");
});

it("is bounded, and null for errors that are not a provider's", () => {
  expect(excerptOf("x ".repeat(1_000_000))?.length).toBe(500);
  expect(providerExcerpt(new Error("ours"), [], "")).toBeNull();
  expect(providerExcerpt(undefined, [], "")).toBeNull();
});
