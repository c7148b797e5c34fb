// The AI SDK's own clients, unmodified, in conversations that do not only grow: edits, regenerated
// answers, branches, stops. What they show equals the model's prompt, the stored messages and a
// reload.
import { randomUUID } from "node:crypto";
import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls } from "ai";
import { expect, test } from "vitest";
import type { ChatMessage } from "@/lib/turn/chunks";
import { openStream } from "@/test/sse";
import { eventBytesOf, gated, header, newKey, testCluster, textOf } from "./cluster";

const cluster = testCluster({ servers: 2 });

type Options = { id?: string; messages?: ChatMessage[]; server?: typeof cluster.a; asksAgain?: boolean };

/** A stock client of the cluster's user; `requests` counts what it sent. */
function open({ id = randomUUID(), messages = [], server = cluster.a, asksAgain = false }: Options = {}) {
  const sent: { status: number }[] = [];
  const errors: string[] = [];
  const chat = new Chat<ChatMessage>({
    id,
    messages,
    onError: ({ message }) => errors.push(message),
    ...(asksAgain && { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls }),
    transport: new DefaultChatTransport<ChatMessage>({
      api: `${server.url}/api/chat`,
      headers: { authorization: `Bearer ${cluster.user.token}` },
      body: { searchMode: "none", model: "ollama:scripted" },
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        sent.push({ status: response.status });
        return response;
      },
    }),
  });
  return { chat, sent, errors };
}

const says = (text: string) => [{ text }, { finish: "stop" } as const];
const texts = (messages: ChatMessage[]) => messages.map(textOf);

/** The model's prompt in the last request with this key. */
function promptFor(key: string): unknown[] {
  const { messages = [] } = (cluster.requestsFor(key).at(-1)?.body ?? {}) as {
    messages?: { role: string; content: unknown }[];
  };
  return messages.filter(({ role }) => role !== "system").map(({ content }) => content);
}

test("an edited question is answered again, the old branch leaves the prompt, and a reload shows the new one", async () => {
  const [first, second, edited, later] = [newKey(), newKey(), newKey(), newKey()];
  cluster.provider.on(edited, says("Edited."));
  const { chat, errors } = open();
  await chat.sendMessage({ text: first });
  await chat.sendMessage({ text: second });
  await chat.sendMessage({ text: edited, messageId: chat.messages[2]?.id as string });
  expect([errors, texts(chat.messages)]).toEqual([[], [first, "Hello there.", edited, "Edited."]]);
  expect(promptFor(edited)).toEqual([first, "Hello there.", edited]);
  await chat.sendMessage({ text: later });
  expect(promptFor(later)).toEqual([first, "Hello there.", edited, "Edited.", later]);
  const stored = await cluster.messages(chat.id, { server: cluster.b });
  expect(texts(stored)).toEqual(texts(chat.messages));

  // Continues from a reload, with the server's ids.
  const page = open({ id: chat.id, messages: stored, server: cluster.b });
  const root = newKey();
  await page.chat.sendMessage({ text: root, messageId: stored[0]?.id as string });
  expect([page.errors, promptFor(root)]).toEqual([[], [root]]);
  expect(texts(await cluster.messages(chat.id))).toEqual([root, "Hello there."]);
});

test("an answer on any branch can be regenerated, and removed messages are not sent", async () => {
  const [first, second, third] = [newKey(), newKey(), newKey()];
  cluster.provider.on(first, says("A."), says("B."));
  const { chat, errors } = open();
  await chat.sendMessage({ text: first });
  const branch = chat.messages;
  await chat.regenerate();
  await chat.sendMessage({ text: second });
  expect(promptFor(second)).toEqual([first, "B.", second]);
  // Back to the first answer, as a client with branches does.
  chat.messages = branch;
  await chat.sendMessage({ text: third });
  expect([errors, promptFor(third)]).toEqual([[], [first, "A.", third]]);
  expect(texts(await cluster.messages(chat.id))).toEqual([first, "A.", third, "Hello there."]);
  await chat.regenerate({ messageId: branch[1]?.id as string });
  expect(texts(chat.messages)).toEqual([first, "B."]);
});

test("stop, then ask: the answer keeps its text, and any server answers the next question", async () => {
  const [key, next] = [newKey(), newKey()];
  cluster.provider.on(key, gated(key, ["One", " two"]));
  const { chat } = open();
  const sent = chat.sendMessage({ text: key });
  await expect.poll(() => textOf(chat.lastMessage), { interval: 10, timeout: 10_000 }).toBe("One");
  await chat.stop();
  await sent;
  const other = open({ id: chat.id, messages: chat.messages, server: cluster.b });
  await other.chat.sendMessage({ text: next });
  expect([other.errors, other.sent]).toEqual([[], [{ status: 200 }]]);
  expect(await (await cluster.provider.request(key)).closed).toBe("client");
  const stored = await cluster.messages(chat.id);
  expect(texts(stored)).toEqual([key, "One", next, "Hello there."]);
  expect(stored[1]?.metadata?.status).toBe("stopped");
  expect(promptFor(next)).toEqual([key, "One", next]);
});

test("server-side tool calls trigger no automatic resend, live or after a reload; an answer sent back is refused", async () => {
  const key = newKey();
  const call = { tool: "list_tasks", arguments: ["{}"] };
  cluster.provider.on(key, [call, { finish: "tool_calls" }], says(""));
  const { chat, sent, errors } = open({ asksAgain: true });
  await chat.sendMessage({ text: key });
  expect([sent, errors, chat.messages.length]).toEqual([[{ status: 200 }], [], 2]);
  const called = chat.lastMessage?.parts.find(({ type }) => type.startsWith("tool-") || type === "dynamic-tool");
  expect(called).toMatchObject({ state: "output-available", providerExecuted: true });
  const stored = await cluster.messages(chat.id);
  expect(stored[1]).toEqual(chat.lastMessage);
  // The model's prompt includes the call.
  const next = newKey();
  await chat.sendMessage({ text: next });
  expect(JSON.stringify(cluster.requestsFor(next).at(-1)?.body)).toContain('"role":"tool"');
  await chat.sendMessage();
  expect([chat.status, sent.at(-1)]).toEqual(["error", { status: 400 }]);
  expect(cluster.requestsFor(key)).toHaveLength(2);
});

test("an unknown chat has nothing to resume, and its first message creates it under any id", async () => {
  for (const id of [randomUUID(), "7", "a:b.c", "отчёт", "x".repeat(128)]) {
    const { chat, errors, sent } = open({ id });
    await chat.resumeStream();
    expect([errors, chat.status]).toEqual([[], "ready"]);
    await chat.sendMessage({ text: "Hello", metadata: { client: id } as never });
    expect([id, errors, sent.at(-1)]).toEqual([id, [], { status: 200 }]);
    const path = `/api/chats/${encodeURIComponent(id)}/messages`;
    const { body } = await cluster.api<{ messages: ChatMessage[] }>("GET", path);
    expect(texts(body.messages)).toEqual(["Hello", "Hello there."]);
    expect(body.messages[0]?.metadata).toEqual({ client: id });
  }
  for (const id of ["", "with space", "x".repeat(129), "nul\0"]) {
    const { chat, sent } = open({ id });
    await chat.sendMessage({ text: "Hello" });
    expect([id, sent.at(-1)?.status]).toEqual([id, 400]);
  }
});

test("a POST with Last-Event-ID resumes after that event, whatever its body", async () => {
  const key = newKey();
  cluster.provider.on(key, says("All of it."));
  const stream = await cluster.send(key);
  await stream.ended;
  const headers = { "last-event-id": stream.frames[0]?.id as string };
  const body = { id: header(stream, "x-chat-id"), messages: [] };
  const again = await cluster.api("POST", "/api/chat", { headers, body, server: cluster.b });
  const data = (text: string) => [...text.matchAll(/^data: (\{.*)$/gm)].map(([, json]) => JSON.parse(json as string));
  expect(data(again.text)).toEqual(stream.chunks.slice(1));
  expect(again.headers.get("x-turn-id")).toBe(header(stream, "x-turn-id"));
  const foreign = await cluster.guest();
  expect((await cluster.api("POST", "/api/chat", { user: foreign, headers, body })).status).toBe(404);
  expect(cluster.requestsFor(key)).toHaveLength(1);
});

test("repeating a running question joins its answer, in the dialects too", async () => {
  const key = newKey();
  cluster.provider.on(key, gated(key, ["One"]));
  const body = { conversation_id: randomUUID(), message: key, search_mode: "none", model: "ollama:scripted" };
  const first = await openStream(`${cluster.a.url}/api/v1/chat`, {
    token: cluster.user.token,
    kind: "dialect",
    body: { ...body, stream: true },
  });
  await first.until(({ frames }) => frames.some(({ data }) => data.includes("One")));
  const joined = await openStream(`${cluster.b.url}/api/v1/chat`, {
    token: cluster.user.token,
    kind: "dialect",
    body: { ...body, stream: true },
  });
  const other = await cluster.api("POST", "/api/v1/chat", { body: { ...body, message: "Something else." } });
  expect(other.status).toBe(409);
  cluster.provider.open(`${key} gate 0`);
  expect(await joined.ended).toBe(await first.ended);
  expect(eventBytesOf(joined)).toBe(eventBytesOf(first));
  expect(header(joined, "x-turn-id")).toBe(header(first, "x-turn-id"));
  expect(cluster.requestsFor(key)).toHaveLength(1);
});

test("a stock client answers a call of its own tool, and the answer continues in the same message", async () => {
  const key = newKey();
  const call = { tool: "weather", arguments: ['{"city":"Oslo"}'] };
  cluster.provider.on(key, [call, { finish: "tool_calls" }], says("Cold."));
  const parameters = { type: "object", properties: { city: { type: "string" } } };
  const asked = await cluster.api("POST", "/v1/chat/completions", {
    body: {
      model: "ollama:scripted",
      messages: [{ role: "user", content: key }],
      tools: [{ type: "function", function: { name: "weather", parameters } }],
    },
  });
  const id = asked.headers.get("x-chat-id") as string;
  const { chat, errors, sent } = open({ id, messages: await cluster.messages(id), asksAgain: true });
  const waiting = chat.lastMessage?.parts.find(({ type }) => type === "tool-weather") as { toolCallId: string };
  expect(waiting).toMatchObject({ state: "input-available", input: { city: "Oslo" } });
  await chat.addToolOutput({ tool: "weather" as never, toolCallId: waiting.toolCallId, output: "-4 degrees" as never });
  await expect.poll(() => textOf(chat.lastMessage)).toBe("Cold.");
  await expect.poll(() => chat.status).toBe("ready");
  expect([errors, sent]).toEqual([[], [{ status: 200 }]]);
  expect(JSON.stringify(promptFor(key))).toContain("-4 degrees");
  const stored = await cluster.messages(id);
  expect(stored.at(-1)?.parts.filter(({ type }) => type === "tool-weather")).toMatchObject([{ output: "-4 degrees" }]);
  const next = newKey();
  await chat.sendMessage({ text: next });
  expect(texts(await cluster.messages(id))).toEqual([key, "Cold.", next, "Hello there."]);
});
