import { RetryError, streamText } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseEnv } from "@/lib/env";
import type { TurnErrorCode } from "@/lib/turn/chunks";
import { type Provider, type Script, startProvider } from "@/test/provider";
import { buildCatalogue } from "./catalogue";
import { classifyFailure } from "./failure";

/** Part of the key, the provider's message and the prompt: it must never come out. */
const canary = "sk-canary-7f3a";

let provider: Provider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

const apis = ["chat", "responses"] as const;

function ask(api: (typeof apis)[number], prompt: string, url = provider.url) {
  const env = parseEnv({ MODELS: "openai:scripted", OPENAI_BASE_URL: url, OPENAI_API: api, OPENAI_API_KEY: canary });
  const { model } = buildCatalogue(env).require();
  return streamText({ model, prompt: `${prompt} ${canary}`, onError: () => {} });
}

/** What a run sees: the text, the first error, and the reported ending. */
async function outcome(result: ReturnType<typeof ask>, onText = () => {}) {
  let text = "";
  let error: unknown;
  let end: { finishReason: string; rawFinishReason: string | undefined } | undefined;
  for await (const part of result.stream) {
    if (part.type === "text-delta") {
      text += part.text;
      onText();
    }
    if (part.type === "error") error ??= part.error;
    if (part.type === "finish-step") end = { finishReason: part.finishReason, rawFinishReason: part.rawFinishReason };
  }
  return { text, error, end };
}

const said = { error: { message: `Wrong key ${canary}`, type: "x", code: "x" } };
/** For calls that are retried before their failure is reported. */
const atOnce = { "retry-after-ms": "1" };
const html = "<!doctype html><title>Not an API</title>";

// Concurrently: three of them wait for three attempts.
describe.each(apis)("%s", { concurrent: true }, (api) => {
  it.each<[string, Script, TurnErrorCode, boolean, string]>([
    ["401", [{ answer: 401, body: said }], "provider_auth", false, ""],
    ["403", [{ answer: 403, body: said }], "provider_auth", false, ""],
    ["404", [{ answer: 404, body: said }], "provider_invalid", false, ""],
    ["400", [{ answer: 400, body: said }], "provider_invalid", false, ""],
    ["429", [{ answer: 429, body: said, headers: atOnce }], "provider_rate_limited", true, ""],
    ["500", [{ answer: 500, body: said, headers: atOnce }], "provider_unavailable", true, ""],
    ["503 in HTML", [{ answer: 503, body: html, headers: atOnce }], "provider_unavailable", true, ""],
    ["an error event first", [{ error: canary, code: "insufficient_quota" }], "provider_rate_limited", true, ""],
    [
      "an error event later",
      [{ text: "Hi" }, { error: canary, code: "server_error" }],
      "provider_unavailable",
      true,
      "Hi",
    ],
    ["garbage at once", [{ raw: `data: {${canary}\n\n` }], "provider_invalid", true, ""],
    ["garbage later", [{ text: "Hi" }, { raw: "data: {nope\n\n" }], "provider_invalid", true, "Hi"],
    [
      "another shape",
      [{ raw: `data: {"choices":"${canary}"}\n\n` }, { raw: 'data: {"type":7}\n\n' }],
      "provider_invalid",
      true,
      "",
    ],
    [
      "HTML with 200",
      [{ answer: 200, body: html, headers: { "content-type": "text/html" } }],
      "provider_invalid",
      true,
      "",
    ],
    ["402", [{ answer: 402, body: said }], "provider_rate_limited", true, ""],
    ["a cut socket at once", [{ cut: true }], "provider_unavailable", true, ""],
    ["a socket cut after the headers", [{ headers: true }, { cut: true }], "provider_unavailable", true, ""],
  ])("%s", async (name, script, code, retryable, kept) => {
    const prompt = `${api}, ${name}!`;
    provider.on(prompt, script);
    const { text, error } = await outcome(ask(api, prompt));
    const failure = classifyFailure(error);
    expect(failure).toMatchObject({ code, retryable });
    expect(text).toBe(kept);
    expect(JSON.stringify(failure)).not.toContain("canary");
    expect(failure.message).not.toMatch(/https?:|127\.0\.0\.1/);
  });

  it("a socket cut later", async () => {
    const prompt = `${api}, cut later`;
    provider.on(prompt, [{ text: "Hi" }, { gate: prompt }, { cut: true }]);
    const { text, error, end } = await outcome(ask(api, prompt), () => provider.open(prompt));
    expect(classifyFailure(error)).toMatchObject({ code: "provider_unavailable", retryable: true });
    expect({ text, end }).toEqual({ text: "Hi", end: { finishReason: "error", rawFinishReason: undefined } });
  });

  it("drops everything after garbage, so that the text has no gap", async () => {
    const prompt = `${api}, a hole`;
    provider.on(prompt, [{ text: "Hi" }, { raw: "data: {nope\n\n" }, { text: " there" }, { hang: true }]);
    const { text, error, end } = await outcome(ask(api, prompt));
    expect(classifyFailure(error).code).toBe("provider_invalid");
    expect({ text, end }).toEqual({ text: "Hi", end: { finishReason: "error", rawFinishReason: undefined } });
    expect(await (await provider.request(prompt)).closed).toBe("client");
  });

  it("connection refused", async () => {
    const { error } = await outcome(ask(api, "x", "http://127.0.0.1:1/v1"));
    expect(classifyFailure(error)).toMatchObject({ code: "provider_unavailable", retryable: true });
  });

  // Not errors for the SDK: a run recognizes these endings by their finish reason.
  it.each<[string, Script, string]>([
    ["ends early", [{ text: "Hi" }], "Hi"],
    ["ends before any text", [{ headers: true }], ""],
  ])("a stream that %s has no raw finish reason", async (name, script, kept) => {
    const prompt = `${api}: ${name}!`;
    provider.on(prompt, script);
    expect(await outcome(ask(api, prompt))).toEqual({
      text: kept,
      error: undefined,
      end: { finishReason: "interrupted", rawFinishReason: undefined },
    });
  });
});

/** Each class of refusal has its own sentence. */
const refusals: [name: string, status: number, code: string, failure: TurnErrorCode, sentence: RegExp][] = [
  ["credit", 429, "insufficient_quota", "provider_rate_limited", /credit .* used up/],
  ["a conversation that is too long", 400, "context_length_exceeded", "provider_invalid", /too long for the model/],
  ["an unknown model", 404, "model_not_found", "provider_invalid", /does not have this model/],
  ["a content filter", 400, "content_filter", "provider_invalid", /content filter refused/],
  ["a parameter", 400, "unsupported_parameter", "provider_invalid", /does not accept a setting/],
  ["another refusal", 400, "invalid_request_error", "provider_invalid", /provider refused this request/],
];
const sentences = refusals.map(([, , , , sentence]) => sentence);

describe.each(apis)("a refusal over %s", { concurrent: true }, (api) => {
  it.each(refusals)(
    "for %s has its own message, before the answer and inside it",
    async (name, status, code, failure, sentence) => {
      const [before, inside] = [`${api} refuses at once for ${name}!`, `${api} refuses later for ${name}!`];
      provider.on(before, [{ answer: status, body: { error: { message: canary, code } }, headers: atOnce }]);
      provider.on(inside, [{ text: "Hi" }, { error: canary, code }]);
      for (const asked of [before, inside]) {
        const classified = classifyFailure((await outcome(ask(api, asked))).error);
        expect(classified.code).toBe(failure);
        expect(sentences.filter((each) => each.test(classified.message))).toEqual([sentence]);
        expect(classified.message).not.toContain("canary");
      }
    },
  );
});

it("unwraps a RetryError", () => {
  const last = Object.assign(new Error("x"), { name: "TimeoutError" });
  const error = new RetryError({ message: "m", reason: "maxRetriesExceeded", errors: [new Error("first"), last] });
  expect(classifyFailure(error).code).toBe("provider_timeout");
});

it.each([undefined, null, "text", 42, {}, new Error(canary)])("classifies %s as internal", (thrown) => {
  const failure = classifyFailure(thrown);
  expect(failure.code).toBe("internal");
  expect(failure.message).not.toContain("canary");
});
