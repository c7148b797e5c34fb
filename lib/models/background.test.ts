import { createOpenAI } from "@ai-sdk/openai";
import { streamText, wrapLanguageModel } from "ai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Provider, startProvider } from "@/test/provider";
import { cancelResponse, emitUpstreamMark, inBackground } from "./background";
import { providerFetch } from "./provider-fetch";

let provider: Provider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

function model() {
  const { responses } = createOpenAI({ baseURL: provider.url, apiKey: "k", fetch: inBackground(providerFetch) });
  return wrapLanguageModel({ model: responses("scripted"), middleware: emitUpstreamMark() });
}

async function partsOf(prompt: string, resume?: { responseId: string; after: number }) {
  const providerOptions = resume && { rivulet: { resume } };
  const parts = [];
  const { stream } = await model().doStream({
    prompt: [{ role: "user", content: [{ type: "text", text: prompt }] }],
    ...(providerOptions && { providerOptions }),
  });
  for await (const part of stream) parts.push(part);
  return parts;
}

it("requests a background answer, and marks it before any content", async () => {
  provider.on("mark", [{ text: "One " }, { text: "two" }, { finish: "stop" }]);
  const parts = await partsOf("mark");
  const { body, number } = await provider.request("mark");
  expect(body).toMatchObject({ background: true, store: true, stream: true });
  expect(parts.filter(({ type }) => type === "raw")).toEqual([
    { type: "raw", rawValue: { responseId: `resp_${number}`, after: 0 } },
  ]);
  expect(parts.findIndex(({ type }) => type === "raw")).toBeLessThan(
    parts.findIndex(({ type }) => type === "text-start"),
  );
});

it("uses one idempotency key per request of a turn, and a new one after a refusal", async () => {
  const { signal } = new AbortController();
  const call = (turnId: string, prompt: string, abortSignal = signal) =>
    model().doStream({
      prompt: [{ role: "user", content: [{ type: "text", text: prompt }] }],
      providerOptions: { rivulet: { turnId } },
      abortSignal,
    });
  provider.on("key one", [{ answer: 503, body: "busy" }], [{ text: "One" }, { finish: "stop" }]);
  await expect(call("t1", "key one")).rejects.toMatchObject({ statusCode: 503 });
  await call("t1", "key one");
  // Another server knows nothing of the refusal.
  await call("t1", "key one", new AbortController().signal);
  await call("t2", "key one", new AbortController().signal);
  await call("t1", "key one more", new AbortController().signal);
  const asked = provider.requests.filter(({ prompt }) => prompt.startsWith("key one"));
  const [refused, repeated, elsewhere, ...others] = asked.map(({ headers }) => headers["idempotency-key"]);
  expect(refused).toMatch(/^t1-0-[\w-]{43}$/);
  expect(repeated).toMatch(/^t1-1-[\w-]{43}$/);
  expect(elsewhere).toBe(refused);
  expect(new Set([refused, repeated, ...others]).size).toBe(4);
  expect(asked.flatMap(({ headers }) => Object.keys(headers).filter((name) => name.startsWith("x-rivulet")))).toEqual(
    [],
  );
});

it("resumes a running answer instead of requesting another", async () => {
  provider.on("again", [{ text: "One " }, { gate: "again" }, { text: "two" }, { finish: "stop" }]);
  const first = streamText({ model: model(), prompt: "again" });
  for await (const text of first.textStream) if (text === "One ") break;
  const { number } = await provider.request("again");
  const parts = partsOf("again", { responseId: `resp_${number}`, after: 0 });
  provider.open("again");
  const texts = (await parts).flatMap((part) => (part.type === "text-delta" ? [part.delta] : []));
  expect(texts.join("")).toBe("One two");
  expect((await parts).at(-1)).toMatchObject({ type: "finish", finishReason: { unified: "stop" } });
  expect(provider.requests.filter(({ prompt }) => prompt === "again")).toHaveLength(1);
  expect(provider.resumed).toEqual(["?stream=true&starting_after=0"]);
});

it("an answer that is no longer stored fails with the provider's error", async () => {
  await expect(partsOf("gone", { responseId: "resp_unknown", after: 0 })).rejects.toMatchObject({ statusCode: 404 });
});

it("cancels an answer, and ignores one that already ended", async () => {
  provider.on("cancel", [{ text: "One" }, { hang: true }]);
  const parts = partsOf("cancel");
  const { number } = await provider.request("cancel");
  const server = { baseURL: provider.url, apiKey: "k" };
  await cancelResponse(server, `resp_${number}`);
  await parts;
  expect(provider.cancelled).toEqual([`resp_${number}`]);
  await cancelResponse(server, "resp_unknown");
});
