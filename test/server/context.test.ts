// A chat longer than its model's context: what is sent, what the answer says about it, and what a
// refusal teaches (docs/protocol.md §4.1).
import { expect, test } from "vitest";
import type { ProviderRequest, Script } from "@/test/provider";
import { says } from "@/test/provider";
import { type Cluster, header, newKey, testCluster, textOf } from "./cluster";

const models = ["openai:learns", "openai:asked", "openai:small", "local"];
const cluster = testCluster({ env: { MODELS: models.join(), OPENAI_API: "chat" } });

const exchanges = 40;
const contextTokens = 4_096;

type Sent = { role: string; content: string }[];
const sentTo = ({ body }: ProviderRequest) => body.messages as Sent;
/** About four characters per token, as in most models' tokenizers. */
const tokensOf = (request: ProviderRequest) => Math.ceil(JSON.stringify(sentTo(request)).length / 4);

/** Refuses requests longer than its context, in OpenAI's words. */
function limited(request: ProviderRequest): Script {
  const tokens = tokensOf(request) + Number(request.body.max_tokens ?? 0);
  if (tokens <= contextTokens) return says("It fits.");
  const message = `This model's maximum context length is ${contextTokens} tokens. However, you requested ${tokens} tokens.`;
  return [{ answer: 400, body: { error: { message, code: "context_length_exceeded", param: "messages" } } }];
}

const history = Array.from({ length: exchanges }, (_, n) => [
  { role: "user", content: `Question ${n}: ${"what is said about rivers? ".repeat(10)}` },
  { role: "assistant", content: `Answer ${n}: ${"rivers run to the sea, and the sea is not full. ".repeat(10)}` },
]).flat();

/** A chat of 40 exchanges plus one, about 8,000 tokens. Returns its id. */
async function longChat(): Promise<string> {
  const messages = [...history, { role: "user", content: "What else?" }];
  const { headers, status } = await cluster.api("POST", "/v1/chat/completions", { body: { model: "local", messages } });
  expect(status).toBe(200);
  return headers.get("x-chat-id") as string;
}

async function ask(chatId: string, model: string, on: Parameters<Cluster["provider"]["on"]>[1] = limited) {
  const key = newKey();
  cluster.provider.on(key, on);
  const stream = await cluster.send(`${key} and now?`, { chatId, model, searchMode: "none" });
  expect(await stream.ended).toBe("terminal");
  const requests = cluster.provider.requests.filter(({ prompt }) => prompt.includes(key));
  const stored = await cluster.answer(header(stream, "x-chat-id"));
  return { stream, requests, memory: stored.metadata?.memory, status: stored.metadata?.status, text: textOf(stored) };
}

test("a context overflow is retried with a smaller prompt, reported in the answer and remembered for the model", async () => {
  const chatId = await longChat();
  const first = await ask(chatId, "openai:learns");
  expect([first.status, first.text]).toEqual(["complete", "It fits."]);
  const sent = sentTo(first.requests.at(-1) as ProviderRequest).filter(({ role }) => role !== "system");
  expect(sent.length).toBeLessThan(history.length / 2);
  // Whole exchanges, the newest, in order.
  expect(sent.map(({ role }) => role)).toEqual(sent.map((_, index) => (index % 2 === 0 ? "user" : "assistant")));
  const { body } = await cluster.api<{ messages: { id: string }[] }>("GET", `/api/chats/${chatId}/messages?limit=100`);
  const begins = body.messages.findIndex(({ id }) => id === first.memory?.firstMessageId);
  // The question and its answer follow the history that was sent.
  expect(body.messages.length - begins).toBe(sent.length + 1);
  expect(first.stream.chunks).toContainEqual({
    type: "message-metadata",
    messageMetadata: expect.objectContaining({ memory: first.memory }),
  });

  const second = await ask(chatId, "openai:learns");
  expect([second.status, second.requests.length]).toEqual(["complete", 1]);
  expect(second.memory).toEqual(first.memory);
});

test("a client that sends its own history gets the error instead of a silent cut", async () => {
  const key = newKey();
  cluster.provider.on(key, limited);
  const messages = [...history, { role: "user", content: `${key}?` }];
  const answer = await cluster.api("POST", "/v1/chat/completions", { body: { model: "openai:asked", messages } });
  expect(answer.status).toBe(400);
  expect(answer.text).toContain("too long for the model");
  expect(answer.body).toMatchObject({ error: { code: "context_length_exceeded" } });
  const requests = cluster.provider.requests.filter(({ prompt }) => prompt.includes(key));
  expect(requests.map((request) => sentTo(request).length)).toEqual(requests.map(() => messages.length));
});

test("a question longer than a known context is not sent, and the error says what to do", async () => {
  const chatId = await longChat();
  await ask(chatId, "openai:small");
  const key = newKey();
  cluster.provider.on(key, limited);
  const question = `${key} ${"very long. ".repeat(4_000)}`;
  const stream = await cluster.send(question, { chatId, model: "openai:small", searchMode: "none" });
  expect(await stream.ended).toBe("terminal");
  expect(cluster.provider.requests.filter(({ prompt }) => prompt.includes(key))).toEqual([]);
  expect((await cluster.answer(chatId)).metadata).toMatchObject({
    status: "failed",
    error: { code: "provider_invalid", message: expect.stringContaining("Shorten the question") },
  });
});
