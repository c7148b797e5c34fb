// Real-world clients, unmodified, against the production server: each parses in its own way, has no
// key and no cursor, and repeats its question after a failure. docs/SSE_STREAMING_API.md states
// what they were promised.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { text as readAll } from "node:stream/consumers";
import { build } from "esbuild";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requirePrograms } from "@/scripts/debian";
import { startFaultProxy } from "@/test/fault-proxy";
import type { Script } from "@/test/provider";
import type { TestUser } from "@/test/server";
import { Browser as CookieJar } from "@/test/server/browser";
import { newKey, testCluster } from "@/test/server/cluster";
import { openStream } from "@/test/sse";
import { type Chunk, streamChat, wholeChat } from "./agent";
import { byAxios, byBuffers, byReader, inOnePiece, inTens } from "./content";
import { ask as askRag } from "./rag";
import { streamConversation } from "./snapshot";
import { chat, sendMessageStream, type Chunk as Token } from "./token";

beforeAll(() => requirePrograms("curl", "httpx", "requests"), 300_000);

/** Another site whose pages call the server. */
const site = createServer(async (_, response) => {
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.end(await bundle);
});
await new Promise<void>((resolve) => site.listen(0, resolve));
const siteUrl = `http://localhost:${(site.address() as AddressInfo).port}`;
afterAll(() => void site.close());

const bundle = build({
  entryPoints: [path.resolve("test/seeds/pages.tsx")],
  bundle: true,
  write: false,
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
}).then(({ outputFiles }) => `<!doctype html><body><script type="module">${outputFiles[0]?.text}</script>`);

const cluster = testCluster({ env: { CORS_ORIGINS: siteUrl } });

/** Small pieces, and one larger than any TCP segment. */
const words = [
  "One",
  " two 日本",
  ` 👋🏽 "quoted" \\ data: x${" and more of it ü".repeat(400)}`,
  "\n\nñ",
  "\r\n",
  "é\u2028",
  " end.",
];
const whole = words.join("");
const answers: Script = [...words.map((text) => ({ text })), { finish: "stop", usage: { input: 3, output: 4 } }];

/** A question with this answer. */
function says(script: Script = answers): string {
  const key = newKey();
  cluster.provider.on(key, script);
  return key;
}

/** A question whose answer pauses in the middle. */
function halts(): string {
  const key = newKey();
  cluster.provider.on(key, [{ text: "Half" }, { gate: key }, { text: " and half." }, { finish: "stop" }]);
  return key;
}

const caller = (user = cluster.user) => ({ url: cluster.a.url, ...user });

/** Later requests, enough of them that the earlier ones have been accepted. */
async function othersWereTaken(): Promise<void> {
  for (let n = 0; n < 5; n++) await cluster.api("GET", `/api/turns/${randomUUID()}`);
}

async function withLongDocument(): Promise<TestUser> {
  const user = await cluster.guest();
  const form = new FormData();
  form.set("file", new File([`# Zebras\n\n${"Every zebra has stripes of its own. ".repeat(100)}`], "zebras.md"));
  const headers = { authorization: `Bearer ${user.token}` };
  const uploaded = await fetch(`${cluster.a.url}/api/documents`, { method: "POST", headers, body: form });
  expect(uploaded.status).toBe(201);
  return user;
}

/** Returns the program's output. */
async function run([file = "", ...args]: string[], env: Record<string, string>): Promise<string> {
  const child = spawn(file, args, { env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: "1", ...env } as never });
  const ended = once(child, "close");
  const [out, complaints] = await Promise.all([readAll(child.stdout), readAll(child.stderr)]);
  expect(await ended, complaints).toEqual([0, null]);
  return out;
}

describe("content", () => {
  test.each([byReader, byBuffers, byAxios].map((read) => [read.name, read] as const))(
    "%s: each network chunk is whole events, whatever the answer contains",
    async (_, read) => {
      const chatId = randomUUID();
      const question = says();
      const received = await read(caller(await withLongDocument()), {
        conversation_id: chatId,
        message: `${question} Has a zebra stripes?`,
      });
      expect(received.text).toBe(whole);
      expect(received.last).toEqual({
        type: "metadata",
        message_id: expect.any(String),
        conversation_id: chatId,
        usage: { input_tokens: 3, output_tokens: 4, total_tokens: 7 },
      });
    },
  );

  test("text batched by tens joins to the whole text", async () => {
    const drawn: string[] = [];
    const buffer = inTens((text) => drawn.push(text));
    await byReader(caller(), { message: says() }, buffer.add);
    buffer.end();
    expect(drawn.join("")).toBe(whole);
    for (const piece of drawn.slice(0, -1)) expect(piece.length).toBeGreaterThanOrEqual(10);
  });

  test.each(["httpx", "requests"])("%s of Python prints the answer and its end", async (module) => {
    const env = { RIVULET_URL: cluster.a.url, RIVULET_TOKEN: cluster.user.token, CHAT: randomUUID(), QUESTION: says() };
    const out = await run(["/usr/bin/python3", path.resolve(`test/seeds/content_${module}.py`)], env);
    expect(out).toMatch(/\nEND [0-9a-f-]{36} 7\n$/);
    // Printing may translate line ends.
    expect(out.replace(/\nEND .*\n$/, "")).toBe(whole);
  });

  test("httpx with its default five-second timeout survives a silent model", async () => {
    const question = newKey();
    cluster.provider.on(question, [{ gate: question }, ...answers]);
    const chatId = randomUUID();
    const env = { RIVULET_URL: cluster.a.url, RIVULET_TOKEN: cluster.user.token, CHAT: chatId, QUESTION: question };
    const out = run(["/usr/bin/python3", path.resolve("test/seeds/content_httpx.py")], env);
    await cluster.provider.request(question);
    const beside = await openStream(`${cluster.a.url}/api/chat/${chatId}/stream`, { token: cluster.user.token });
    await beside.until(({ comments }) => comments.filter(({ text }) => text === "heartbeat").length === 2);
    cluster.provider.open(question);
    expect(await out).toMatch(/ end\.\nEND /);
  });

  test("curl prints the events", async () => {
    const body = JSON.stringify({ conversation_id: randomUUID(), message: says(), stream: true });
    const headers = [
      `Authorization: Bearer ${cluster.user.token}`,
      "Content-Type: application/json",
      "Accept: text/event-stream",
    ];
    const out = await run(
      [
        "curl",
        "-X",
        "POST",
        `${cluster.a.url}/api/v1/chat/`,
        ...headers.flatMap((each) => ["-H", each]),
        "-d",
        body,
        "--no-buffer",
      ],
      {},
    );
    const events = Array.from(out.matchAll(/^data: (.*)$/gm), ([, data]) => JSON.parse(data as string));
    expect(events.map(({ content }) => content ?? "").join("")).toBe(whole);
    expect(events.at(-1).type).toBe("metadata");
  });

  test("I7: repeating a question without a stream joins the running answer", async () => {
    const question = halts();
    const body = { conversation_id: randomUUID(), message: question };
    const patience = new AbortController();
    const streamed = byReader(caller(), body, () => patience.abort(), patience.signal);
    await expect(streamed).rejects.toThrow(/abort/i);
    const piece = inOnePiece(caller(), body);
    await othersWereTaken();
    cluster.provider.open(question);
    expect(await piece).toBe("Half and half.");
    expect(cluster.requestsFor(question)).toHaveLength(1);
    expect(await cluster.messages(body.conversation_id)).toHaveLength(2);
  });

  test("headers tell proxies and pages what they need", async () => {
    const headers = {
      Authorization: `Bearer ${cluster.user.token}`,
      "Content-Type": "application/json",
      Origin: siteUrl,
    };
    const body = JSON.stringify({ message: says(), stream: true });
    const response = await fetch(`${cluster.a.url}/api/v1/chat/`, { method: "POST", headers, body });
    await response.text();
    const { "content-type": type, ...otherHeaders } = Object.fromEntries(response.headers);
    expect(type).toBe("text/event-stream; charset=utf-8");
    expect(otherHeaders).toMatchObject({
      "cache-control": expect.stringContaining("no-cache"),
      connection: "keep-alive",
      "x-accel-buffering": "no",
      "access-control-allow-origin": siteUrl,
    });
  });
});

describe("agent", () => {
  async function stream(message: string) {
    const received = { chunks: [] as Chunk[], done: 0, errors: [] as Error[], broken: [] as string[] };
    await streamChat(caller(), message, {
      onChunk: (chunk) => received.chunks.push(chunk),
      onDone: () => (received.done += 1),
      onError: (error) => received.errors.push(error),
      onBroken: (data) => received.broken.push(data),
    });
    return { ...received, text: received.chunks.map((chunk) => (chunk.type === "text" ? chunk.content : "")).join("") };
  }

  test("each block is one event to a client that splits at blank lines, and the stream ends once", async () => {
    const { text, done, errors, broken, chunks } = await stream(says());
    expect({ text, done, errors, broken }).toEqual({ text: whole, done: 1, errors: [], broken: [] });
    expect(chunks[0]?.type).toBe("start");
  });

  test("tool events carry the tool's name", async () => {
    const question = newKey();
    cluster.provider.on(
      question,
      [{ tool: "add_task", arguments: ['{"title":"Buy milk"}'] }, { finish: "tool_calls" }],
      [{ text: "Added." }, { finish: "stop" }],
    );
    const { text, chunks, broken } = await stream(question);
    expect([text, broken]).toEqual(["Added.", []]);
    expect(chunks.filter(({ type }) => type === "tool_call").map(({ name }) => name)).toEqual(["add_task"]);
  });

  test("a failure is an error event, then done", async () => {
    const { text, done, chunks } = await stream(says([{ text: "Half" }, { error: "overloaded" }]));
    expect([text, done, chunks.at(-1)]).toEqual(["Half", 1, { type: "error", message: expect.any(String) }]);
  });

  test("I7: repeating a question without a stream joins the running answer", async () => {
    const question = halts();
    const patience = new AbortController();
    const headers = { authorization: `Bearer ${cluster.user.token}` };
    const streamed = await fetch(`${cluster.a.url}/api/${cluster.user.userId}/chat/stream`, {
      method: "POST",
      headers,
      body: JSON.stringify({ message: question }),
      signal: patience.signal,
    });
    await cluster.provider.reached(question);
    patience.abort();
    const piece = wholeChat(caller(), question, { headers });
    await othersWereTaken();
    cluster.provider.open(question);
    expect(await piece).toEqual({ status: 200, text: "Half and half." });
    expect(cluster.requestsFor(question)).toHaveLength(1);
    expect(await cluster.messages(streamed.headers.get("x-chat-id") as string)).toHaveLength(2);
  });

  test("refuses another user's path", async () => {
    const other = await cluster.guest();
    const asked = streamChat({ ...caller(), userId: other.userId }, "Hi", {} as never);
    await expect(asked).rejects.toThrow("HTTP 403");
  });
});

describe("rag", () => {
  test("curl addresses a session by number, and the health check passes", async () => {
    const body = JSON.stringify({ question: says(), model: "scripted" });
    const headers = ["Content-Type: application/json", `Authorization: Bearer ${cluster.user.token}`];
    const out = await run(
      [
        "curl",
        "-X",
        "POST",
        `${cluster.a.url}/chat/1/stream`,
        ...headers.flatMap((each) => ["-H", each]),
        "-d",
        body,
        "--no-buffer",
      ],
      {},
    );
    const chunks = Array.from(out.matchAll(/^data: (.*)$/gm), ([, data]) => JSON.parse(data as string));
    expect(chunks[0]).toEqual({ type: "start", session_id: 1, model: "scripted" });
    expect(chunks.map((each) => (each.type === "chunk" ? each.content : "")).join("")).toBe(whole);
    expect(chunks.at(-1)).toEqual({ type: "done" });
    expect(JSON.parse(await run(["curl", `${cluster.a.url}/health`], {}))).toEqual({ status: "ok" });
  });

  test("a page of another site asks below /api, and repeating its question joins the answer", async () => {
    const address = `${cluster.a.url}/api/chat/7/stream`;
    const headers = { Authorization: `Bearer ${cluster.user.token}`, Origin: siteUrl };
    const question = halts();
    const first = askRag(address, question, headers);
    await cluster.provider.reached(question);
    const second = askRag(address, question, headers);
    await othersWereTaken();
    cluster.provider.open(question);
    const [said, again] = await Promise.all([first, second]);
    expect(said[0]).toMatchObject({ type: "start", session_id: 7 });
    expect(said.at(-1)).toEqual({ type: "done" });
    expect(again).toEqual(said);
    expect(cluster.requestsFor(question)).toHaveLength(1);
  });
});

describe("token", () => {
  test("streams tokens, then lists the stored messages", async () => {
    const session = { ...caller(), sessionId: randomUUID() };
    const chunks: Token[] = [];
    const question = says();
    await sendMessageStream(session, { content: question, role: "user" }, (chunk) => chunks.push(chunk));
    expect(chunks[0]).toEqual({ type: "start", messageId: expect.any(String) });
    expect(chunks.at(-1)).toEqual({ type: "end", messageId: chunks[0]?.messageId });
    expect(chunks.map(({ content }) => content ?? "").join("")).toBe(whole);
    const next = says();
    expect(await chat(session, next)).toEqual({ shown: whole, stored: [question, whole, next, whole] });
  });

  test("I3 I7: a retry after a lost connection joins the answer", async () => {
    const proxy = await startFaultProxy(cluster.a.port);
    const session = { ...caller(), url: proxy.url, sessionId: randomUUID() };
    const question = halts();
    let starts = 0;
    const joined = Promise.withResolvers<void>();
    const answer = chat(session, question, ({ type, content }) => {
      if (type === "start") starts += 1;
      if (content?.startsWith("Half") && starts === 1) {
        proxy.down();
        proxy.up();
      }
      if (content?.startsWith("Half") && starts === 2) joined.resolve();
    });
    await joined.promise;
    cluster.provider.open(question);
    expect(await answer).toEqual({ shown: "Half and half.", stored: [question, "Half and half."] });
    expect(cluster.requestsFor(question)).toHaveLength(1);
    await proxy.close();
  });
});

test("snapshot: the conversation, then deltas until the message is done", async () => {
  const question = says();
  const metadata = { client: "nextjs-frontend", tags: [], extras: {} };
  const first = await streamConversation(caller(), { text: question, metadata });
  expect([first.text, first.done]).toEqual([whole, true]);
  const chatId = first.headers.get("x-chat-id");
  const second = await streamConversation(caller(), { text: says(), conversation_id: chatId, metadata });
  expect(second.before.slice(0, 2).map(({ role, content }) => [role, content])).toEqual([
    ["user", question],
    ["assistant", whole],
  ]);
});

describe("in a browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    const named = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
    browser = await chromium.launch({
      executablePath: existsSync(named) ? named : undefined,
      args: ["--no-sandbox", "--disable-gpu"],
    });
  }, 60_000);
  afterAll(() => browser?.close());

  test("components on another site show the answer, even after Cancel", async () => {
    const page = await browser.newPage();
    const question = newKey();
    cluster.provider.on(question, [{ tool: "list_tasks", arguments: ["{}"] }, { finish: "tool_calls" }], answers);
    const settings = { url: cluster.a.url, token: cluster.user.token, userId: cluster.user.userId, question };
    await page.goto(`${siteUrl}/?${new URLSearchParams(settings)}`);
    const agent = page.getByRole("region", { name: "agent" });
    await agent.getByRole("button", { name: "Ask agent" }).click();
    await agent.getByRole("button", { name: "Cancel" }).click();
    await agent.locator("p[data-streaming=false]", { hasText: /end\.$/ }).waitFor();
    expect(await agent.locator("p").textContent()).toBe(whole);
    expect(await agent.getByRole("listitem").allTextContents()).toEqual(["list_tasks"]);
    const content = page.getByRole("region", { name: "content" });
    await content.getByRole("button").click();
    await content.locator("p", { hasText: /end\.$/ }).waitFor();
    expect(await content.locator("p").textContent()).toBe(whole);
    await page.close();
  });

  describe("a page of the server's own origin with its session cookie", () => {
    let context: BrowserContext;
    let page: Page;
    let userId: string;
    beforeAll(async () => {
      context = await browser.newContext();
      const jar = new CookieJar(cluster.a);
      await jar.signIn("guest");
      const { url } = cluster.a;
      await context.addCookies([...jar.cookies].map(([name, value]) => ({ name, value, url })));
      const headers = { "content-type": "application/json", origin: url };
      const token = await jar.fetch("/api/tokens", { method: "POST", headers, body: "{}" });
      userId = ((await token.json()) as { userId: string }).userId;
      await context.route(`${url}/seeds.html`, async (route) =>
        route.fulfill({ contentType: "text/html", body: await bundle }),
      );
      page = await context.newPage();
      await page.goto(`${url}/seeds.html`);
      await page.waitForFunction(() => "seeds" in window);
    }, 60_000);
    afterAll(() => context?.close());

    test("asks a chat by number and follows it with an EventSource", async () => {
      const question = halts();
      const asked = page.evaluate((text) => window.seeds.ask("/api/chat/1/stream", text), question);
      await cluster.provider.reached(question);
      const attached = page.waitForResponse((response) => response.request().method() === "GET");
      const listening = page.evaluate(() =>
        window.seeds.listen("/api/chat/1/stream", (sources) => window.seeds.sources.push(sources)),
      );
      expect((await attached).status()).toBe(200);
      cluster.provider.open(question);
      expect(await listening).toBe("Half and half.");
      expect((await asked).at(-1)).toEqual({ type: "done" });
    });

    test("a question without a content type gets a JSON answer", async () => {
      const question = says();
      const answer = await page.evaluate(
        ([id, text]) => window.seeds.wholeChat({ url: "", userId: id as string }, text as string),
        [userId, question],
      );
      expect(answer).toEqual({ status: 200, text: whole });
    });

    test("a component that only knows a URL reads text up to [DONE]", async () => {
      const question = says();
      const read = await page.evaluate(
        ([id, text]) => window.seeds.readText(`/api/${id}/chat/stream`, text as string),
        [userId, question],
      );
      expect(read).toBe(whole);
    });

    test("an EventSource cannot POST, but can follow a turn that fetch started", async () => {
      const options = { method: "POST", body: JSON.stringify({ message: "Hi", stream: true }) };
      const given = await page.evaluate((asked) => window.seeds.postsEvents("/api/v1/chat/", asked), options);
      expect(given).toBe("an error");
      const question = halts();
      const turnId = await page.evaluate((text) => window.seeds.begin("/api/v1/chat", text), question);
      await cluster.provider.reached(question);
      const followed = page.evaluate((id) => window.seeds.follow(`/api/turns/${id}/stream?dialect=content`), turnId);
      cluster.provider.open(question);
      expect(await followed).toMatchObject({ text: "Half and half.", last: { type: "metadata" } });
    });
  });
});
