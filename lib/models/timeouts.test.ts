import { generateText, streamText } from "ai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parseEnv } from "@/lib/env";
import { type Provider, type Script, startProvider } from "@/test/provider";
import { buildCatalogue } from "./catalogue";
import { classifyFailure } from "./failure";
import { attachHold } from "./text-hold";
import { ProviderTimeoutError } from "./timeouts";

let provider: Provider;
beforeAll(async () => {
  provider = await startProvider();
  // The first call loads code, which on a busy machine may exceed these tests' limits before
  // anything is sent.
  for (const api of apis) await generateText({ model: modelWith(api, 60_000, 60_000), prompt: "warm up" });
});
afterAll(() => provider.close());

const apis = ["chat", "responses"] as const;

function modelWith(api: (typeof apis)[number], firstChunkMs: number, chunkMs: number) {
  return buildCatalogue(
    parseEnv({
      MODELS: "openai:scripted",
      OPENAI_BASE_URL: provider.url,
      OPENAI_API: api,
      FIRST_CHUNK_TIMEOUT_MS: String(firstChunkMs),
      CHUNK_TIMEOUT_MS: String(chunkMs),
    }),
  ).require().model;
}

const preamble: Record<(typeof apis)[number], Script> = {
  chat: [{ headers: true }],
  responses: [
    {
      raw: `data: ${JSON.stringify({ type: "response.created", response: { id: "r", created_at: 1, model: "scripted" } })}\n\n`,
    },
  ],
};

describe.each(apis)("a silent provider (%s)", (api) => {
  const long = 60_000;
  it.each<[string, Script, number, number, number, string]>([
    ["never answers", [{ hang: true }], 400, long, 400, ""],
    ["sends headers only", [...preamble[api], { hang: true }], 400, long, 400, ""],
    ["stops in the middle", [{ text: "Hello " }, { text: "there" }, { hang: true }], long, 150, 150, "Hello there"],
  ])(
    "that %s times out, its request closed, its text kept",
    async (name, script, firstChunkMs, chunkMs, limitMs, kept) => {
      const prompt = `${api} ${name}`;
      provider.on(prompt, script);
      const startMs = performance.now();
      let failure: unknown;
      let text = "";
      const result = streamText({
        model: modelWith(api, firstChunkMs, chunkMs),
        prompt,
        maxRetries: 2,
        onError: () => {},
      });
      for await (const part of result.stream) {
        if (part.type === "text-delta") text += part.text;
        if (part.type === "error") failure = part.error;
      }
      expect(failure).toBeInstanceOf(ProviderTimeoutError);
      expect(failure).toMatchObject({ limitMs });
      expect(classifyFailure(failure).code).toBe("provider_timeout");
      expect(text).toBe(kept);
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(limitMs);
      expect(await (await provider.request(prompt)).closed).toBe("client");
      expect(provider.requests.filter((request) => request.prompt === prompt)).toHaveLength(1);
    },
  );
});

it("times out a non-streamed answer", async () => {
  provider.on("whole", [{ hang: true }]);
  const answer = generateText({ model: modelWith("chat", 100, 60_000), prompt: "whole" });
  await expect(answer).rejects.toBeInstanceOf(ProviderTimeoutError);
  expect(await (await provider.request("whole")).closed).toBe("client");
});

it("allows a slow answer that is never silent for too long", async () => {
  // Two seconds in total, with twenty gaps of 100 ms each.
  provider.on("slow", [{ tokens: "word ".repeat(20).trim(), perSecond: 10 }, { finish: "stop" }]);
  const result = streamText({ model: modelWith("chat", 1000, 1000), prompt: "slow" });
  expect(await result.text).toBe("word ".repeat(20).trim());
  expect(await result.finishReason).toBe("stop");
});

it("does not count a slow reader's time", async () => {
  provider.on("reader", [{ tokens: "one two three" }, { finish: "stop" }]);
  const { stream } = await modelWith("chat", 5000, 100).doStream({
    prompt: [{ role: "user", content: [{ type: "text", text: "reader" }] }],
  });
  const reader = stream.getReader();
  const types: string[] = [];
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    types.push(part.value.type);
    // Twice the limit between two reads: time itself is under test.
    if (part.value.type === "text-delta") await new Promise((resolve) => setTimeout(resolve, 200));
  }
  expect(types.at(-1)).toBe("finish");
});

it("forwards the caller's abort", async () => {
  provider.on("abort", [{ text: "Hello" }, { hang: true }]);
  const abort = new AbortController();
  const { stream } = await modelWith("chat", 60_000, 60_000).doStream({
    prompt: [{ role: "user", content: [{ type: "text", text: "abort" }] }],
    abortSignal: abort.signal,
  });
  const drained = (async () => {
    const reader = stream.getReader();
    while (!(await reader.read()).done);
  })();
  abort.abort();
  await expect(drained).rejects.toMatchObject({ name: "AbortError" });
  expect(await (await provider.request("abort")).closed).toBe("client");
});

it.each(apis)("hands the caller's port for held text down to the connection (%s)", async (api) => {
  const prompt = `${api} held`;
  provider.on(prompt, [
    { text: "Hello " },
    { gate: `${api} Hello ` },
    { text: "there" },
    { gate: `${api} there` },
    { finish: "stop" },
  ]);
  const { signal } = new AbortController();
  let held = 0;
  attachHold(signal, ({ prepare, release }) => {
    held += 1;
    setImmediate(() => setImmediate(release));
    setImmediate(prepare);
    return true;
  });
  const { stream } = await modelWith(api, 60_000, 60_000).doStream({
    prompt: [{ role: "user", content: [{ type: "text", text: prompt }] }],
    abortSignal: signal,
  });
  let text = "";
  for await (const part of stream) {
    if (part.type !== "text-delta") continue;
    text += part.delta;
    provider.open(`${api} ${part.delta}`);
  }
  expect(text).toBe("Hello there");
  // The second text, then the text expected after it.
  expect(held).toBe(2);
});

it("classifies a timeout error from another bundle's copy of the class", async () => {
  vi.resetModules();
  const { ProviderTimeoutError: Other } = await import("./timeouts");
  const failure = new Other(100);
  expect(failure).not.toBeInstanceOf(ProviderTimeoutError);
  expect(classifyFailure(failure).code).toBe("provider_timeout");
});
