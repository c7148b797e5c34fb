import { streamText } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseEnv } from "@/lib/env";
import { buildCatalogue } from "@/lib/models/catalogue";
import { type Provider, says, startProvider } from "@/test/provider";

let provider: Provider;
beforeAll(async () => {
  provider = await startProvider(says("Good day to you."));
});
afterAll(() => provider.close());

async function ask(variables: Record<string, string>, name?: string) {
  const { model } = buildCatalogue(parseEnv(variables)).require(name);
  const result = streamText({ model, prompt: "Hello", onError: () => {} });
  const [text, finishReason, rawFinishReason] = await Promise.all([
    result.text,
    result.finishReason,
    result.rawFinishReason,
  ]);
  return { text, finishReason, rawFinishReason, request: provider.requests.at(-1) };
}

describe("openai", () => {
  it("uses Responses, and stores nothing at the provider", async () => {
    const MODELS = "openai:gpt-5-mini";
    const answer = await ask({ MODELS, OPENAI_BASE_URL: provider.url, OPENAI_API: "responses", OPENAI_API_KEY: "k" });
    expect(answer).toMatchObject({ text: "Good day to you.", finishReason: "stop" });
    expect(answer.request).toMatchObject({
      shape: "responses",
      model: "gpt-5-mini",
      headers: { authorization: "Bearer k" },
      body: { store: false, include: ["reasoning.encrypted_content"] },
    });
  });

  it("uses Chat Completions for any other server, without needing a key", async () => {
    const answer = await ask({ MODELS: "openai:scripted", OPENAI_BASE_URL: provider.url });
    expect(answer).toMatchObject({ text: "Good day to you.", finishReason: "stop", rawFinishReason: "stop" });
    expect(answer.request).toMatchObject({ shape: "chat", headers: { authorization: "Bearer unused" } });
  });
});

describe("ollama", () => {
  it.each(["", "/", "/v1", "/v1/"])("is reached at its address with %j, never with OpenAI's key", async (ending) => {
    const OLLAMA_BASE_URL = `http://127.0.0.1:${provider.port}${ending}`;
    const answer = await ask({ MODELS: "ollama:llama3.2", OLLAMA_BASE_URL, OPENAI_API_KEY: "secret" });
    expect(answer).toMatchObject({ text: "Good day to you.", finishReason: "stop" });
    expect(answer.request).toMatchObject({
      shape: "chat",
      model: "llama3.2",
      headers: { authorization: "Bearer unused" },
    });
  });
});
