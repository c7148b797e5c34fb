import { APICallError, RetryError } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseEnv } from "@/lib/env";
import { type Provider, type Script, says, startProvider } from "@/test/provider";
import { underLoad } from "@/test/under-load";
import { buildCatalogue } from "./catalogue";

let provider: Provider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

let asks = 0;

/** Calls a model whose provider plays these scripts in turn. */
async function call(scripts: Script[], abortSignal?: AbortSignal) {
  const question = `question ${++asks}!`;
  provider.on(question, ...scripts);
  const variables = { MODELS: "openai:scripted", OPENAI_BASE_URL: provider.url, OPENAI_API: "chat" };
  const { model } = buildCatalogue(parseEnv(variables)).require();
  const startMs = performance.now();
  const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: question }] }];
  const outcome = await model.doStream({ prompt, abortSignal }).then(
    async ({ stream }) => (await Array.fromAsync(stream)).some((part) => part.type === "text-delta"),
    (error: unknown) => error,
  );
  const requests = provider.requests.filter((request) => request.prompt.includes(question)).length;
  return { outcome, requests, tookMs: performance.now() - startMs };
}

const busy = (headers: Record<string, string>): Script => [{ answer: 429, body: "busy", headers }];

describe("a call that fails before any content", () => {
  it.each([
    ["milliseconds", { "retry-after-ms": "20", "retry-after": "30" }],
    ["seconds", { "retry-after": "0" }],
    ["a date that has passed", { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }],
  ])("is retried when the provider says so, in %s", async (_, headers) => {
    const { outcome, requests, tookMs } = await call([
      busy(headers),
      busy({ "retry-after-ms": "20" }),
      says("Good day."),
    ]);
    expect({ outcome, requests }).toEqual({ outcome: true, requests: 3 });
    // The SDK's default backoff would be two seconds.
    expect(tookMs).toBeLessThan(underLoad(1_900));
  });

  it("is retried after a fraction of a second when the provider says so", async () => {
    const { outcome, requests, tookMs } = await call([busy({ "retry-after": "0.05" }), says("Good day.")]);
    expect({ outcome, requests }).toEqual({ outcome: true, requests: 2 });
    expect(tookMs).toBeLessThan(underLoad(1_900));
  });

  it.each<[string, object]>([
    ["llama.cpp", { error: { message: "Loading model", type: "unavailable_error", code: 503 } }],
    ["Ollama", { error: "llm server loading model" }],
    ["Hugging Face", { error: "Model org/name is currently loading", estimated_time: 20.5 }],
    ["vLLM", { object: "error", message: "The model is not ready yet." }],
    ["Fireworks", { error: { code: "DEPLOYMENT_SCALING_UP", message: "Deployment is currently scaled to zero." } }],
    ["SageMaker", { message: "ModelNotReadyException" }],
  ])("is retried while the model is loading, as worded by %s", async (_, body) => {
    const loading: Script = [{ answer: 503, body, headers: { "retry-after": "0" } }];
    const { outcome, requests } = await call([...Array.from({ length: 6 }, () => loading), says("Good day.")]);
    expect({ outcome, requests }).toEqual({ outcome: true, requests: 7 });
  });

  it.each(["The server is overloaded", "error loading model: out of memory"])(
    "is not retried beyond the third attempt when it says: %s",
    async (message) => {
      const { requests } = await call([
        [{ answer: 503, body: { error: { message } }, headers: { "retry-after": "0" } }],
      ]);
      expect(requests).toBe(3);
    },
  );

  it("fails after the third attempt", async () => {
    const { outcome, requests } = await call([busy({ "retry-after-ms": "1" })]);
    expect(requests).toBe(3);
    expect(RetryError.isInstance(outcome) && APICallError.isInstance(outcome.lastError)).toBe(true);
  });

  it.each([400, 401, 404])("is not retried after a %i", async (status) => {
    const { outcome, requests } = await call([[{ answer: status, body: "no" }], says("Good day.")]);
    expect(requests).toBe(1);
    expect(outcome).toMatchObject({ statusCode: status });
  });

  it("is not retried after a permanent refusal, whatever the status", async () => {
    const body = { error: { message: "No.", type: "insufficient_quota", code: "insufficient_quota" } };
    const { outcome, requests } = await call([[{ answer: 429, body }], says("Good day.")]);
    expect(requests).toBe(1);
    expect(outcome).toMatchObject({ statusCode: 429 });
  });

  it("is not retried after a stop, even between two attempts", async () => {
    const stop = new AbortController();
    const asked = call([busy({ "retry-after": "50" }), says("Good day.")], stop.signal);
    await (await provider.request(`question ${asks}!`)).closed;
    stop.abort(new Error("stopped"));
    const { outcome, requests } = await asked;
    expect(requests).toBe(1);
    expect(outcome).toBeInstanceOf(Error);
  });
});

it("a later failure is reported without a retry", async () => {
  const { requests } = await call([[{ text: "I was" }, { cut: true }], says("Good day.")]);
  expect(requests).toBe(1);
});
