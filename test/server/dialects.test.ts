// Every dialect on the wire, against docs/protocol.md §6: requests, frames, whole answers, errors
// in each format's shape.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type EventStream, openStream } from "@/test/sse";
import { blocksOf, idOf, newKey, opening, rawOf, type TestUser, testCluster } from "./cluster";

const cluster = testCluster({ env: { HEARTBEAT_MS: "200", CORS_ORIGINS: "http://localhost:8080" } });
const usage = { input: 3, output: 2 };
const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const uuid = expect.stringMatching(/^[0-9a-f-]{36}$/);

type Sent = EventStream & { json: Record<string, unknown>[] };

async function post(path: string, body: unknown, { user = cluster.user, headers = {} } = {}): Promise<Sent> {
  const stream = await openStream(cluster.a.url + path, { token: user.token, body, headers, kind: "dialect" });
  await stream.ended;
  const json = stream.frames.filter(({ data }) => data !== "[DONE]").map(({ data }) => JSON.parse(data));
  return { ...stream, json };
}

function says(...pieces: string[]): string {
  const key = newKey();
  cluster.provider.on(key, [...pieces.map((text) => ({ text })), { finish: "stop", usage }]);
  return key;
}

function fails(): string {
  const key = newKey();
  cluster.provider.on(key, [{ text: "Half" }, { error: "secret detail", code: "server_error" }]);
  return key;
}

/** A field of all frames as one string, however it was split. */
const joined = (frames: Record<string, unknown>[], field: string) => frames.map((each) => each[field] ?? "").join("");

async function userWithZebras(): Promise<{ user: TestUser; documentId: string }> {
  const user = await cluster.guest();
  const form = new FormData();
  form.set("file", new File(["# Zebras\n\nEvery zebra has stripes of its own, like a fingerprint."], "zebras.md"));
  const uploaded = await fetch(`${cluster.a.url}/api/documents`, {
    method: "POST",
    headers: { authorization: `Bearer ${user.token}` },
    body: form,
  });
  const { id } = (await uploaded.json()) as { id: string };
  return { user, documentId: id };
}

const zebraSource = (documentId: string) => ({
  text: expect.stringContaining("like a fingerprint"),
  score: expect.any(Number),
  metadata: expect.objectContaining({ document_id: documentId, title: "Zebras" }),
});

describe("snapshot", () => {
  const path = "/api/v1/chat/stream";
  const metadata = { client: "web", tags: ["a"], extras: { at: "2026-01-02T03:04:05+01:00" }, more: 1 };

  test("sends the whole chat, then deltas; returns metadata; every resume has the same bytes", async () => {
    const first = await post(path, { text: says("Hello", " there."), metadata });
    const [snapshot, ...deltas] = first.json as [Record<string, never>, ...Record<string, unknown>[]];
    const chatId = first.headers["x-chat-id"];
    const question = first.json[0]?.messages as Record<string, unknown>[];
    expect(first.frames[0]?.event).toBe("snapshot");
    expect(snapshot).toEqual({
      conversation: { id: chatId, title: question[0]?.content, created_at: iso, updated_at: iso },
      messages: [
        {
          id: uuid,
          role: "user",
          content: expect.any(String),
          status: "complete",
          created_at: iso,
          client_metadata: metadata,
          provider_meta: null,
        },
        {
          id: uuid,
          role: "assistant",
          content: "",
          status: "streaming",
          created_at: iso,
          client_metadata: null,
          provider_meta: { model: "openai:scripted" },
        },
      ],
    });
    const plain = first.frames.filter(({ event }) => event === undefined).map(({ data }) => JSON.parse(data));
    expect(plain.at(-1)).toEqual({ delta: "", done: true });
    expect(joined(plain, "delta")).toBe("Hello there.");
    expect(plain.slice(0, -1).every((each) => each.done === false)).toBe(true);
    expect(deltas.length).toBeGreaterThan(plain.length);

    const second = await post(path, { text: says("Again."), conversation_id: chatId });
    const messages = second.json[0]?.messages as Record<string, unknown>[];
    expect(messages.map(({ role, content, status }) => [role, content, status])).toEqual([
      ["user", expect.any(String), "complete"],
      ["assistant", "Hello there.", "complete"],
      ["user", expect.any(String), "complete"],
      ["assistant", "", "streaming"],
    ]);
    expect(messages[0]?.client_metadata).toEqual(metadata);

    expect((await cluster.api("PATCH", `/api/chats/${chatId}`, { body: { title: "Renamed" } })).status).toBe(200);
    const raw = blocksOf(rawOf(first));
    const again = await cluster.api("GET", `/api/turns/${first.headers["x-turn-id"]}/stream?dialect=snapshot`);
    expect(again.text).toBe(opening + raw.join(""));
    for (const [index, block] of raw.slice(0, -1).entries()) {
      const rest = await cluster.api("GET", `${path}?after=${idOf(block)}`);
      expect(rest.text).toBe(opening + raw.slice(index + 1).join(""));
    }
  });

  test("a failure is a named event; invalid input names its field", async () => {
    const failed = await post(path, { text: fails() });
    expect(failed.frames.at(-1)?.event).toBe("error");
    expect(failed.json.at(-1)).toEqual({
      error: { code: expect.any(String), message: expect.any(String) },
      done: true,
    });
    expect(rawOf(failed)).not.toContain("secret detail");
    for (const [body, field] of [
      [{}, "text"],
      [{ text: "" }, "text"],
      [{ text: "x".repeat(16_001) }, "text"],
      [{ text: "x", conversation_id: "n o" }, "conversation_id"],
      [{ text: "x", metadata: { tags: [1] } }, "metadata.tags.0"],
      [{ text: "x", search_mode: "some" }, "search_mode"],
    ] as const) {
      const answer = await cluster.api("POST", path, { body });
      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({
        error: { code: "bad_request", message: expect.stringContaining(`${field}:`) },
      });
    }
  });

  test("stopped", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { gate: key }]);
    const stream = await openStream(cluster.a.url + path, {
      token: cluster.user.token,
      body: { text: key },
      kind: "dialect",
    });
    await stream.until(({ frames }) => frames.some(({ data }) => data.includes("Half")));
    await cluster.api("DELETE", `/api/turns/${stream.headers["x-turn-id"]}`);
    await stream.ended;
    expect(JSON.parse(stream.frames.at(-1)?.data ?? "")).toEqual({ delta: "", done: true, stopped: true });
  });
});

describe("content", () => {
  const path = "/api/v1/chat";

  test("streams when the body or Accept asks for it, otherwise one JSON body", async () => {
    const streamed = await post(path, { message: says("Hello", " there."), stream: true });
    const chatId = streamed.headers["x-chat-id"];
    expect(joined(streamed.json, "content")).toBe("Hello there.");
    const closing = {
      message_id: uuid,
      conversation_id: chatId,
      usage: { input_tokens: 3, output_tokens: 2, total_tokens: 5 },
    };
    expect(streamed.json.at(-1)).toEqual({ type: "metadata", ...closing });
    expect(streamed.json.slice(0, -1).every(({ type }) => type === "content")).toBe(true);
    expect((await post(path, { message: says("Yes.") })).json.at(-1)?.type).toBe("metadata");

    const body = { message: says("Hello", " there."), conversation_id: chatId, stream: false };
    const whole = await cluster.api("POST", path, { body, headers: { accept: "text/event-stream" } });
    expect(whole.status).toBe(200);
    expect(whole.body).toEqual({ ...closing, content: "Hello there.", sources: [] });
    const quiet = await cluster.api<{ content: string }>("POST", path, { body: { message: says("Yes.") } });
    expect(quiet.body.content).toBe("Yes.");
  });

  test("a failed turn is an error frame, or 502 with the error body; partial text is stored", async () => {
    const error = { type: "error", error: expect.any(String), code: "provider_unavailable" };
    expect((await post(path, { message: fails(), stream: true })).json.at(-1)).toEqual(error);
    const chatId = randomUUID();
    const whole = await cluster.api("POST", path, {
      body: { message: fails(), conversation_id: chatId, stream: false },
    });
    expect(whole.status).toBe(502);
    expect(whole.body).toMatchObject(error);
    expect((await cluster.answer(chatId)).parts).toContainEqual(
      expect.objectContaining({ type: "text", text: "Half" }),
    );
  });

  test("a client disconnect does not stop the turn", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { gate: key }, { text: " and half." }, { finish: "stop" }]);
    const chatId = randomUUID();
    const leaving = new AbortController();
    const asked = fetch(cluster.a.url + path, {
      method: "POST",
      headers: { authorization: `Bearer ${cluster.user.token}`, "content-type": "application/json" },
      body: JSON.stringify({ message: key, conversation_id: chatId, stream: false }),
      signal: leaving.signal,
    });
    await cluster.provider.reached(key);
    leaving.abort();
    await expect(asked).rejects.toThrow();
    cluster.provider.open(key);
    await expect
      .poll(async () => (await cluster.answer(chatId)).metadata?.status, { interval: 20, timeout: 10_000 })
      .toBe("complete");
  });

  test("sources and metadata are included on request", async () => {
    const { user, documentId } = await userWithZebras();
    const streamed = await post(
      path,
      { message: "Which stripes does a zebra have?", stream: true, model: "local", include_sources: true },
      { user },
    );
    expect(streamed.json.at(-1)?.sources).toEqual([zebraSource(documentId)]);
    const none = { message: "Which stripes does a zebra have?", search_mode: "none", model: "local" };
    expect((await post(path, none, { user })).json.at(-1)).not.toHaveProperty("sources");
  });
});

describe("agent", () => {
  const path = () => `/api/${cluster.user.userId}/chat`;

  test("sends start, text, done and [DONE]; the second path answers in one piece", async () => {
    const streamed = await post(`${path()}/stream`, { message: says("Hello", " there.") });
    expect(streamed.json[0]).toEqual({ type: "start", agent: "Assistant" });
    expect(joined(streamed.json, "content")).toBe("Hello there.");
    expect(streamed.json.at(-1)).toEqual({ type: "done" });
    expect(streamed.frames.at(-1)).toMatchObject({ data: "[DONE]", id: undefined });
    const whole = await cluster.api("POST", path(), { body: { message: says("Yes.") } });
    expect(whole.body).toEqual({ response: "Yes.", conversation_id: uuid, message_id: uuid, tool_calls: [] });
  });

  test("ends with [DONE] after an error too", async () => {
    const failed = await post(`${path()}/stream`, { message: fails() });
    expect(failed.json.slice(-2)).toEqual([{ type: "error", message: expect.any(String) }, { type: "done" }]);
    expect(failed.frames.at(-1)?.data).toBe("[DONE]");
    const whole = await cluster.api("POST", path(), { body: { message: fails() } });
    expect([whole.status, whole.body]).toEqual([502, { detail: expect.any(String) }]);
  });

  test("refuses another user's path, for streams, JSON answers and resuming", async () => {
    const other = await cluster.guest();
    for (const [method, tail] of [
      ["POST", "/stream"],
      ["POST", ""],
      ["GET", "/stream"],
    ] as const) {
      const body = method === "POST" ? { message: "Hi" } : undefined;
      const answer = await cluster.api(method, `/api/${other.userId}/chat${tail}`, { body });
      expect([answer.status, answer.body]).toEqual([403, { detail: "Access denied" }]);
    }
  });
});

describe("rag", () => {
  test("an unused number creates the chat with that number, and later numbers skip it", async () => {
    const user = await cluster.guest();
    const ask = (number: number | string) => post(`/chat/${number}/stream`, { question: says("Yes.") }, { user });
    const first = await ask(2);
    expect(first.json[0]).toEqual({ type: "start", session_id: 2, model: "openai:scripted" });
    expect((await ask(2)).headers["x-chat-id"]).toBe(first.headers["x-chat-id"]);
    const byId = await ask(first.headers["x-chat-id"] as string);
    expect(byId.json[0]?.session_id).toBe(2);
    const made = [];
    for (let n = 0; n < 3; n++) {
      const { body } = await cluster.api<{ number: number }>("POST", "/api/chats", { body: {}, user });
      made.push(body.number);
    }
    expect(made).toEqual([1, 3, 4]);
    const together = await Promise.all([ask(9), ask(9), ask(9)]);
    const started = together.filter(({ status }) => status === 200);
    expect(new Set(started.map(({ headers }) => headers["x-chat-id"])).size).toBe(1);
    expect(together.filter(({ status }) => status !== 200).every(({ status }) => status === 409)).toBe(true);
  });

  test("sends status, sources, chunks, metadata, done", async () => {
    const { user, documentId } = await userWithZebras();
    const stream = await post(
      "/chat/1/stream",
      { question: "Which stripes does a zebra have?", model: "local" },
      { user },
    );
    const kinds = stream.json.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1]);
    expect(kinds).toEqual(["start", "status", "sources", "status", "chunk", "metadata", "done"]);
    expect(stream.json.slice(0, 4)).toEqual([
      { type: "start", session_id: 1, model: "local" },
      { type: "status", content: "Searching documents..." },
      { type: "sources", content: [zebraSource(documentId)], chunks_used: 1 },
      { type: "status", content: "Generating response..." },
    ]);
    const chunks = stream.json.filter(({ type }) => type === "chunk");
    const { content } = stream.json.at(-2) as { content: Record<string, number> };
    expect(content).toEqual({
      model: "local",
      confidence: expect.any(Number),
      hallucination: expect.any(Number),
      search_mode: "all",
      total_response: joined(chunks, "content"),
      usage: { input_tokens: expect.any(Number), output_tokens: expect.any(Number), total_tokens: expect.any(Number) },
    });
    expect((content.confidence as number) + (content.hallucination as number)).toBeCloseTo(1);
  });

  test("without documents there is no search; a failure ends with an error", async () => {
    const stream = await post("/chat/1/stream", { question: says("Yes."), model: "scripted" });
    expect(stream.json).toEqual([
      { type: "start", session_id: 1, model: "scripted" },
      { type: "status", content: "Generating response..." },
      { type: "chunk", content: "Yes." },
      {
        type: "metadata",
        content: expect.objectContaining({ confidence: null, hallucination: null, search_mode: "all" }),
      },
      { type: "done" },
    ]);
    const failed = await post("/chat/1/stream", { question: fails() });
    expect(failed.json.at(-1)).toEqual({ type: "error", content: expect.any(String) });
  });

  test("text/plain has the same bytes; GET follows the live turn, then 204, as for an unknown number", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { gate: key }, { text: " and half." }, { finish: "stop" }]);
    const stream = await openStream(`${cluster.a.url}/chat/41/stream`, {
      token: cluster.user.token,
      body: { question: key },
      headers: { accept: "text/plain" },
      kind: "dialect",
    });
    expect(stream.headers["content-type"]).toBe("text/plain; charset=utf-8");
    await stream.until(({ frames }) => frames.some(({ data }) => data.includes("Half")));
    const live = cluster.api("GET", "/chat/41/stream/");
    const attached = await openStream(`${cluster.a.url}/chat/41/stream`, {
      token: cluster.user.token,
      kind: "dialect",
    });
    await attached.until(({ frames }) => frames.some(({ data }) => data.includes("Half")));
    cluster.provider.open(key);
    await stream.ended;
    await attached.ended;
    expect(attached.headers["content-type"]).toBe("text/event-stream; charset=utf-8");
    expect(blocksOf(rawOf(attached))).toEqual(blocksOf(rawOf(stream)));
    expect((await live).text).toContain("and half.");
    expect((await cluster.api("GET", "/chat/41/stream")).status).toBe(204);
    expect((await cluster.api("GET", "/chat/42/stream")).status).toBe(204);
    expect((await cluster.api("GET", "/chat/n%20o/stream")).status).toBe(400);
  });
});

describe("rag below /api", () => {
  const page = { origin: "http://localhost:8080" };

  test("a chat's number works for asking and following, from allowed origins too", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { gate: key }, { text: " and half." }, { finish: "stop" }]);
    const stream = await openStream(`${cluster.a.url}/api/chat/51/stream`, {
      token: cluster.user.token,
      body: { question: key },
      headers: page,
      kind: "dialect",
    });
    expect(stream.headers["access-control-allow-origin"]).toBe("http://localhost:8080");
    await stream.until(({ frames }) => frames.some(({ data }) => data.includes("Half")));
    const attached = await openStream(`${cluster.a.url}/api/chat/51/stream/`, {
      token: cluster.user.token,
      headers: page,
      kind: "dialect",
    });
    expect(attached.headers["access-control-allow-origin"]).toBe("http://localhost:8080");
    await attached.until(({ frames }) => frames.some(({ data }) => data.includes("Half")));
    cluster.provider.open(key);
    await Promise.all([stream.ended, attached.ended]);
    const blocks = blocksOf(rawOf(stream));
    expect(blocksOf(rawOf(attached))).toEqual(blocks);
    expect(JSON.parse(stream.frames[0]?.data ?? "")).toEqual({
      type: "start",
      session_id: 51,
      model: "openai:scripted",
    });
    const rest = await cluster.api("GET", `/api/chat/51/stream?after=${idOf(blocks[0] as string)}`);
    expect(rest.text).toBe(opening + blocks.slice(1).join(""));
    for (const number of [51, 52]) expect((await cluster.api("GET", `/api/chat/${number}/stream`)).status).toBe(204);
    const refused = await cluster.api("POST", "/api/chat/51/stream", { body: {}, headers: page });
    expect([refused.status, refused.body]).toEqual([400, expect.objectContaining({ type: "error" })]);
    expect(refused.headers.get("access-control-allow-origin")).toBe("http://localhost:8080");
    const preflight = await fetch(`${cluster.a.url}/api/chat/51/stream`, {
      method: "OPTIONS",
      headers: { ...page, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
    });
    expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([204, page.origin]);
  });

  test("an id stays an id, even one of digits: its stream is native and accepts no question", async () => {
    const chatId = String(10_000_000 + Math.floor(Math.random() * 90_000_000));
    const sent = await cluster.send(says("Yes."), { chatId });
    await sent.ended;
    const { text } = await cluster.api("GET", `/api/chat/${chatId}/stream?after=${sent.headers["x-turn-id"]}.1`);
    expect(text).toContain('"type":"text-delta"');
    const posted = await cluster.api("POST", `/api/chat/${randomUUID()}/stream`, { body: { question: "Hi" } });
    expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
  });
});

describe("token", () => {
  const words = "One two three four five six seven.";

  test("sends start, tokens, end with the message's id; lists the stored messages", async () => {
    const session = randomUUID();
    const stream = await post(`/sessions/${session}/messages/stream`, {
      content: says("Hello", " there."),
      role: "user",
    });
    const { messageId } = stream.json[0] as { messageId: string };
    expect(stream.json[0]).toEqual({ type: "start", messageId: uuid });
    expect(stream.json.at(-1)).toEqual({ type: "end", messageId });
    expect(joined(stream.json, "content")).toBe("Hello there.");
    const { body } = await cluster.api<object[]>("GET", `/sessions/${session}/messages`);
    expect(body).toEqual([
      { id: uuid, role: "user", content: expect.any(String), created_at: iso, status: "complete" },
      { id: messageId, role: "assistant", content: "Hello there.", created_at: iso, status: "complete" },
    ]);
    expect((await cluster.api("GET", `/sessions/${randomUUID()}/messages`)).status).toBe(404);
    const unknown = await cluster.api("POST", "/sessions/999/messages/stream", { body: { content: "Hi" } });
    expect([unknown.status, unknown.body]).toEqual([404, expect.objectContaining({ type: "error" })]);
    const failed = await post(`/sessions/${session}/messages/stream`, { content: fails() });
    expect(failed.json.at(-1)).toEqual({ type: "error", error: expect.any(String) });
  });

  test("regroups and paces for one reader, and resumes", async () => {
    const session = randomUUID();
    const key = says("One two", " three four fi", "ve six", " seven.");
    const path = `/sessions/${session}/messages/stream`;
    const query = "?chunk_words=3&delay_ms=40";
    const stream = await post(path + query, { content: key });
    const tokens = stream.json.filter(({ type }) => type === "token").map(({ content }) => content);
    expect(tokens).toEqual(["One two three", " four five six", " seven."]);
    const times = stream.frames.map(({ atMs }) => atMs);
    // Timers may fire a millisecond early.
    const gaps = times.slice(1).map((atMs, index) => atMs - (times[index] as number));
    expect(Math.min(...gaps)).toBeGreaterThan(36);
    const blocks = blocksOf(rawOf(stream));
    for (const [index, block] of blocks.slice(0, -1).entries()) {
      const rest = await cluster.api("GET", `${path}?chunk_words=3&after=${idOf(block)}`);
      expect(rest.text).toBe(opening + blocks.slice(index + 1).join(""));
      const plain = await cluster.api("GET", `${path}?after=${idOf(block)}`);
      const left = words.slice(tokens.slice(0, index).join("").length);
      expect(textOf(plain.text).endsWith(left)).toBe(true);
    }
    for (const bad of ["chunk_words=0", "chunk_words=51", "delay_ms=-1", "delay_ms=2001", "chunk_words=x"])
      expect((await cluster.api("POST", `${path}?${bad}`, { body: { content: "Hi" } })).status).toBe(400);
  });
});

function textOf(raw: string): string {
  return blocksOf(raw)
    .map((block) => JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? "{}") as { content?: string })
    .map(({ content }) => content ?? "")
    .join("");
}
