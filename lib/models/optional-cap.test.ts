import { streamText } from "ai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseEnv } from "@/lib/env";
import { type Provider, type Script, says, startProvider } from "@/test/provider";
import { buildCatalogue } from "./catalogue";

let provider: Provider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

const cap = 4_000;

/** The answer, or null when the call failed, and the caps in the requests that the provider received. */
async function ask(prompt: string, maxOutputTokens: number, ...scripts: Script[]) {
  provider.on(prompt, ...scripts);
  const env = parseEnv({ OLLAMA_BASE_URL: provider.url, MAX_OUTPUT_TOKENS: String(cap) });
  const { model } = buildCatalogue(env).require();
  const result = streamText({ model, prompt, maxOutputTokens, maxRetries: 0, onError: () => {} });
  const answer = await result.text.then(
    (text) => text,
    () => null,
  );
  const asked = provider.requests.filter((request) => request.prompt === prompt);
  return { answer, caps: asked.map(({ body }) => body.max_tokens) };
}

const refusing = (message: string): Script => [{ answer: 400, body: { error: { message } } }];

it.each([
  "max_tokens is too large: 16384. This model supports at most 4096 completion tokens.",
  "'max_tokens' or 'max_completion_tokens' is too large: 16384. This model's maximum context length is 8192 tokens",
  "Unsupported parameter: 'max_output_tokens' is not supported with this model.",
])("asks again without the server's cap: %s", async (message) => {
  expect(await ask(message, cap, refusing(message), says("Yes."))).toEqual({ answer: "Yes.", caps: [cap, undefined] });
});

it("a cap that the client chose is never dropped", async () => {
  const outcome = await ask("the client's", 3_000, refusing("max_tokens is too large"), says("No."));
  expect(outcome).toEqual({ answer: null, caps: [3_000] });
});

it("a refusal for another reason is not repeated", async () => {
  expect(await ask("other", cap, refusing("the prompt is empty"), says("No."))).toEqual({ answer: null, caps: [cap] });
});
