import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  cut,
  type Exchange,
  HeadlessChat,
  json,
  type ScriptedServer,
  startScriptedServer,
  stream,
} from "@/test/client/scripted-server";
import { chatId, frames, messageId, preamble, shortTurn, streamAfter, turnId } from "@/test/client/turn-script";
import { RequestError } from "./request.ts";
import { type ContinueRequest, ResumableChatTransport, type TransportOptions } from "./transport.ts";

let server: ScriptedServer;
beforeEach(async () => {
  server = await startScriptedServer();
});
afterEach(() => {
  vi.restoreAllMocks();
  return server.close();
});

const quick = { backoff: { minMs: 1, maxMs: 2 } };
const isPost = ({ method }: Exchange) => method === "POST";
const isFollow = ({ path }: Exchange) => path === `/api/turns/${turnId}/stream`;
const bytes = Buffer.from(streamAfter(shortTurn, null));

class Page extends EventTarget {
  visibilityState = "visible";

  become(state: "visible" | "hidden"): void {
    this.visibilityState = state;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

function open(options: TransportOptions = {}) {
  const transport = new ResumableChatTransport({ baseUrl: server.url, ...quick, ...options });
  return { transport, chat: new HeadlessChat({ id: chatId, transport }) };
}

/** The rest of the turn after the cursor. */
function answerRest(exchange: Exchange): void {
  stream(exchange, turnId, streamAfter(shortTurn, exchange.query.get("after")));
  exchange.response.end();
}

async function uncutAnswer() {
  server.answer = answerRest;
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" });
  return chat.lastMessage;
}

test.each([
  ["mid-response", cut],
  ["with a clean end", ({ response }: Exchange) => response.end()],
])(
  "I3 I6: a stream cut at every byte %s gives the uncut message, every chunk once and in order",
  async (_name, end) => {
    const uncut = await uncutAnswer();
    expect(uncut?.parts).toContainEqual(expect.objectContaining({ text: "Grüße: “日本” 🌊\nline two\u2028three" }));
    const { chat } = open();
    for (let at = 0; at <= bytes.length; at++) {
      server.answer = (exchange) => {
        if (isFollow(exchange)) return answerRest(exchange);
        stream(exchange, turnId, bytes.subarray(0, at));
        end(exchange);
      };
      chat.messages = [];
      chat.seen.length = 0;
      await chat.sendMessage({ text: "Hello" });
      expect(chat.error).toBeUndefined();
      expect(chat.seen).toEqual(shortTurn);
      expect(chat.lastMessage).toEqual(uncut);
    }
    // About 1500 turns of two requests each; 5 s on two idle cores.
  },
  120_000,
);

test("I3: a turn cut after each frame is followed to its end, each time from the last cursor", async () => {
  server.answer = (exchange) => {
    const after = exchange.query.get("after");
    const seq = after ? Number(after.slice(turnId.length + 1)) : 0;
    stream(exchange, turnId, preamble + frames(shortTurn.slice(seq, seq + 1), seq));
    cut(exchange);
  };
  const { chat } = open({ failuresBeforePolling: 2 });
  await chat.sendMessage({ text: "Hello" });
  expect(chat.status).toBe("ready");
  expect(chat.seen).toEqual(shortTurn);
  const cursors = server.exchanges.filter(isFollow).map(({ query }) => query.get("after"));
  expect(cursors).toEqual(shortTurn.slice(1).map((_chunk, index) => `${turnId}.${index + 1}`));
});

test("I3: a server that ignores the cursor causes no duplicates", async () => {
  server.answer = (exchange) => {
    if (isFollow(exchange)) {
      stream(exchange, turnId, bytes);
      return exchange.response.end();
    }
    stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 5)));
    cut(exchange);
  };
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" });
  expect(chat.seen).toEqual(shortTurn);
});

test("chunks without an id are held until the id that covers them", async () => {
  const withoutIds = shortTurn.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
  server.answer = (exchange) => {
    if (isFollow(exchange)) return answerRest(exchange);
    stream(exchange, turnId, preamble + withoutIds.slice(0, 4).join(""));
    cut(exchange);
  };
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" });
  expect(chat.seen).toEqual(shortTurn);
  expect((await server.exchange(isFollow)).query.has("after")).toBe(false);
});

test("I6: the end of a stream does not end the turn", async () => {
  server.answer = (exchange) => {
    if (isFollow(exchange)) return stream(exchange, turnId, preamble);
    stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 6)));
    exchange.response.end();
  };
  const { chat, transport } = open();
  const sent = chat.sendMessage({ text: "Hello" });
  const follow = await server.exchange(isFollow);
  expect(chat.status).toBe("streaming");
  expect(transport.connection.getSnapshot()).toBe("reconnecting");
  follow.response.end(frames(shortTurn.slice(6), 6));
  await sent;
  expect(chat.status).toBe("ready");
  expect(transport.connection.getSnapshot()).toBe("idle");
});

test("I5 I6: silence counts as a lost connection; heartbeats do not", async () => {
  const heartbeatMs = 200;
  server.answer = (exchange) => {
    if (!isFollow(exchange)) return stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 2)));
    stream(exchange, turnId, preamble);
    let beats = 0;
    const timer = setInterval(() => {
      exchange.response.write(": heartbeat\n\n");
      beats += 1;
      // Five heartbeats: twice the allowed silence.
      if (beats < 5) return;
      clearInterval(timer);
      exchange.response.end(frames(shortTurn.slice(2), 2));
    }, heartbeatMs);
  };
  const { chat } = open({ heartbeatMs });
  await chat.sendMessage({ text: "Hello" });
  expect(chat.seen).toEqual(shortTurn);
  expect(server.exchanges.map(({ path }) => path)).toEqual(["/api/chat", `/api/turns/${turnId}/stream`]);
});

test("a page that returns from a freeze checks the clock, not its timers", async () => {
  server.answer = (exchange) => stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 5)));
  const document = new Page();
  const { chat } = open({ document });
  const sent = chat.sendMessage({ text: "Hello" });
  await chunkSeen(chat, 5);
  server.answer = answerRest;
  const hourLaterMs = Date.now() + 3_600_000;
  vi.spyOn(Date, "now").mockReturnValue(hourLaterMs);
  document.become("hidden");
  expect(server.exchanges).toHaveLength(1);
  document.become("visible");
  await sent;
  expect(chat.seen).toEqual(shortTurn);
});

test("I3: a hidden page frees its connection, and resumes from its cursor when visible again", async () => {
  server.answer = (exchange) => stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 5)));
  const document = new Page();
  const { chat, transport } = open({ document, hiddenMs: 5 });
  const sent = chat.sendMessage({ text: "Hello" });
  await chunkSeen(chat, 5);
  document.become("hidden");
  await (server.exchanges[0] as Exchange).left;
  await vi.waitFor(() => expect(transport.connection.getSnapshot()).toBe("parked"));
  server.answer = answerRest;
  expect(server.exchanges).toHaveLength(1);
  document.become("visible");
  await sent;
  expect(chat.status).toBe("ready");
  expect(chat.seen).toEqual(shortTurn);
  expect(server.exchanges).toHaveLength(2);
  expect((await server.exchange(isFollow)).query.get("after")).toBe(`${turnId}.5`);
});

test("a page that becomes visible before its buffered data was read still resumes", async () => {
  server.answer = (exchange) => stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 1)));
  const document = new Page();
  const { transport } = open({ document, hiddenMs: 5 });
  const chunks = await transport.sendMessages({
    ...{ trigger: "submit-message", chatId, messageId: undefined, abortSignal: undefined },
    messages: [{ id: "m", role: "user", parts: [{ type: "text", text: "Hello" }] }],
  });
  const reader = chunks.getReader();
  await reader.read();
  document.become("hidden");
  await (server.exchanges[0] as Exchange).left;
  server.answer = answerRest;
  document.become("visible");
  const rest: unknown[] = [];
  for (let next = await reader.read(); !next.done; next = await reader.read()) rest.push(next.value);
  expect(rest).toEqual(shortTurn.slice(1));
});

test("switching tabs briefly costs no request", async () => {
  server.answer = (exchange) => stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 5)));
  const document = new Page();
  const { chat } = open({ document });
  const sent = chat.sendMessage({ text: "Hello" });
  await chunkSeen(chat, 5);
  document.become("hidden");
  document.become("visible");
  server.exchanges[0]?.response.end(frames(shortTurn.slice(5), 5));
  await sent;
  expect(chat.seen).toEqual(shortTurn);
  expect(server.exchanges).toHaveLength(1);
});

test("a reader that leaves a hidden page finishes at once", async () => {
  server.answer = (exchange) => stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 5)));
  const document = new Page();
  const { chat, transport } = open({ document, hiddenMs: 5 });
  const sent = chat.sendMessage({ text: "Hello" });
  await chunkSeen(chat, 5);
  document.become("hidden");
  await vi.waitFor(() => expect(transport.connection.getSnapshot()).toBe("parked"));
  await chat.stop();
  await sent;
  expect(transport.connection.getSnapshot()).toBe("idle");
  expect(server.exchanges).toHaveLength(1);
});

test("waits at least Retry-After", async () => {
  server.answer = (exchange) => {
    if (exchange.number > 1) return answerRest(exchange);
    json(exchange, 503, { error: { code: "unavailable", message: "Restarting." } }, { "Retry-After": "1" });
  };
  const { chat } = open();
  const startedAt = performance.now();
  await chat.sendMessage({ text: "Hello" });
  expect(chat.seen).toEqual(shortTurn);
  // A timer may fire up to a millisecond early.
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(999);
});

test("I7: a send is retried with the same key after a network failure, and is one turn", async () => {
  const turns = new Set<unknown>();
  server.answer = (exchange) => {
    turns.add(exchange.headers["idempotency-key"]);
    if (exchange.number === 1) return void exchange.response.socket?.destroy();
    if (exchange.number === 2) return json(exchange, 503, { error: { code: "unavailable", message: "Later." } });
    if (exchange.number === 3) return void exchange.response.writeHead(502).end("<html>Bad gateway</html>");
    answerRest(exchange);
  };
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" });
  expect(chat.status).toBe("ready");
  expect(chat.seen).toEqual(shortTurn);
  expect(server.exchanges.map(({ body }) => body)).toEqual(Array(4).fill(server.exchanges[0]?.body));
  expect([...turns]).toEqual([chat.messages[0]?.id]);
});

test("a send that never succeeds is an error, and keeps its key for the next attempt", async () => {
  server.answer = ({ response }) => response.socket?.destroy();
  const { chat, transport } = open({ openAttempts: 3 });
  await chat.sendMessage({ text: "Hello" });
  expect(chat.error).toMatchObject({ name: "RequestError", code: "unreachable", status: 0 });
  expect(transport.connection.getSnapshot()).toBe("idle");
  server.answer = answerRest;
  const message = chat.messages[0];
  await chat.sendMessage({ text: "Hello", messageId: message?.id });
  expect(chat.status).toBe("ready");
  expect(new Set(server.exchanges.map(({ headers }) => headers["idempotency-key"]))).toEqual(new Set([message?.id]));
});

test("the body has only the last user message and the options, never the history", async () => {
  server.answer = answerRest;
  const { chat } = open({ body: () => ({ model: "local", searchMode: "all" }) });
  await chat.sendMessage({ text: "First" });
  await chat.sendMessage({ text: "Second" }, { body: { documentIds: ["d1"] } });
  const body = JSON.parse((await server.exchange(isPost, 2)).body);
  const message = { id: chat.messages[2]?.id, role: "user", parts: [{ type: "text", text: "Second" }] };
  const sent = { id: chatId, message, trigger: "submit-message", model: "local", searchMode: "all" };
  expect(body).toEqual({ ...sent, documentIds: ["d1"] });
});

test("regenerating uses a new key each time", async () => {
  server.answer = answerRest;
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" });
  await chat.regenerate({ messageId });
  await chat.regenerate({ messageId });
  const again = server.exchanges
    .slice(1)
    .map(({ body, headers }) => ({ ...JSON.parse(body), key: headers["idempotency-key"] }));
  expect(again).toMatchObject(Array(2).fill({ trigger: "regenerate-message", messageId }));
  expect(new Set(again.map(({ key }) => key)).size).toBe(2);
  expect(chat.messages).toHaveLength(2);
});

test("continuing an answer is one send across retries, and leaves the messages alone", async () => {
  let refusals = 2;
  server.answer = (exchange) => {
    refusals -= 1;
    if (refusals >= 0) exchange.response.socket?.destroy();
    else answerRest(exchange);
  };
  const { chat } = open({ body: () => ({ searchMode: "all" }) });
  const question = { id: "user-0001", role: "user" as const, parts: [{ type: "text" as const, text: "Hello" }] };
  const broken = { id: "broken-0001", role: "assistant" as const, parts: [{ type: "text" as const, text: "Grü" }] };
  chat.messages = [question, broken];
  const fields = { trigger: "continue-message", messageId: broken.id, model: "local" } as const;
  const body: ContinueRequest = { ...fields, turnId };
  await chat.resumeStream({ body });
  expect(chat.seen).toEqual(shortTurn);
  expect(chat.messages).toMatchObject([question, broken, { id: messageId, role: "assistant" }]);
  expect(server.exchanges).toHaveLength(3);
  for (const { method, path, headers, body } of server.exchanges) {
    expect([method, path, headers["idempotency-key"]]).toEqual(["POST", "/api/chat", `continue:${turnId}`]);
    expect(JSON.parse(body)).toEqual({ ...fields, id: chatId });
  }
});

test("a refused continuation keeps the interrupted answer", async () => {
  server.answer = (exchange) => json(exchange, 409, { error: { code: "turn_running", message: "An answer runs." } });
  const { chat } = open();
  const messages = [{ id: "broken-0001", role: "assistant" as const, parts: [] }];
  chat.messages = messages;
  const body: ContinueRequest = { trigger: "continue-message", messageId: "broken-0001", turnId };
  await chat.resumeStream({ body });
  expect(chat.error).toMatchObject({ code: "turn_running" });
  expect(chat.messages).toEqual(messages);
});

test("shows a rejected request at once, with the server's message", async () => {
  const error = { code: "turn_running", message: "An answer is running.", requestId: "r1", turnId };
  server.answer = (exchange) => json(exchange, 409, { error });
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" });
  expect(chat.error).toBeInstanceOf(RequestError);
  expect(chat.error).toMatchObject({ ...{ status: 409, code: "turn_running", requestId: "r1" }, details: { turnId } });
  expect(chat.error?.message).toBe("An answer is running.");
  expect(server.exchanges).toHaveLength(1);
});

test.each([
  ["an ended session", 401, "unauthorized"],
  ["a server error", 500, "internal"],
])("%s while reconnecting is an error, not a hang", async (_name, status, code) => {
  server.answer = (exchange) => {
    if (isFollow(exchange)) return json(exchange, status, { error: { code, message: "No." } });
    stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 5)));
    cut(exchange);
  };
  const { chat, transport } = open();
  await chat.sendMessage({ text: "Hello" });
  expect(chat.error).toMatchObject({ status, code });
  expect(transport.connection.getSnapshot()).toBe("idle");
});

test.each([
  ["invalid JSON", '{"type":"text-'],
  ["an unknown chunk", '{"type":"surprise"}'],
  ["a chunk without its fields", '{"type":"text-delta"}'],
  ["a bare value", "null"],
])("%s is an error, not a hang, and is not retried", async (_name, data) => {
  server.answer = (exchange) => stream(exchange, turnId, `${preamble}data: ${data}\nid: ${turnId}.1\n\n`);
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" });
  expect(chat.error).toMatchObject({ code: "bad_response" });
  expect(server.exchanges).toHaveLength(1);
  await server.exchanges[0]?.left;
});

test("stop() only disconnects: the connection closes, and nothing is sent", async () => {
  server.answer = (exchange) => stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 5)));
  const { chat, transport } = open();
  const sent = chat.sendMessage({ text: "Hello" });
  const post = await server.exchange(isPost);
  await chunkSeen(chat, 5);
  await chat.stop();
  await Promise.all([sent, post.left]);
  expect(chat.status).toBe("ready");
  expect(chat.error).toBeUndefined();
  expect(transport.connection.getSnapshot()).toBe("idle");
  expect(server.exchanges).toHaveLength(1);
});

test("stop() while waiting to reconnect disconnects at once", async () => {
  server.answer = ({ response }) => response.socket?.destroy();
  const { chat, transport } = open({ backoff: { minMs: 600_000, maxMs: 600_000 } });
  const waiting = connectionIs(transport, "reconnecting");
  const sent = chat.sendMessage({ text: "Hello" });
  await waiting;
  await chat.stop();
  await sent;
  expect(chat.status).toBe("ready");
  expect(transport.connection.getSnapshot()).toBe("idle");
});

test("I18: resumes a running answer from its start, replacing the page's partial text", async () => {
  server.answer = (exchange) => {
    if (isFollow(exchange)) return answerRest(exchange);
    stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 5)));
    cut(exchange);
  };
  const uncut = await uncutAnswer();
  server.exchanges.length = 0;
  const { chat } = open();
  const partial = { id: messageId, role: "assistant" as const, parts: [{ type: "text" as const, text: "Grü" }] };
  chat.messages = [{ id: "user-0001", role: "user", parts: [] }, partial];
  await chat.resumeStream();
  expect(server.exchanges[0]).toMatchObject({ method: "GET", path: `/api/chat/${chatId}/stream` });
  expect(chat.messages).toEqual([chat.messages[0], uncut]);
});

test("204 means nothing to resume", async () => {
  server.answer = ({ response }) => response.writeHead(204).end();
  const { chat, transport } = open();
  await chat.resumeStream();
  expect(chat.status).toBe("ready");
  expect(chat.messages).toEqual([]);
  expect(transport.connection.getSnapshot()).toBe("idle");
});

test.each([
  ["online", "window"],
  ["visibilitychange", "document"],
] as const)("`%s` ends the wait for the next attempt", async (event, target) => {
  server.answer = (exchange) => {
    stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 5)));
    cut(exchange);
  };
  const page = { window: new EventTarget(), document: new Page() };
  const { chat, transport } = open({ ...page, backoff: { minMs: 600_000, maxMs: 600_000 } });
  const waiting = connectionIs(transport, "reconnecting");
  const sent = chat.sendMessage({ text: "Hello" });
  await waiting;
  server.answer = answerRest;
  page[target].dispatchEvent(new Event(event));
  await sent;
  expect(chat.seen).toEqual(shortTurn);
});

test.each(["online", "offline"])(
  "`%s` replaces a connection that looks alive, without counting as a failure",
  async (event) => {
    server.answer = (exchange) => stream(exchange, turnId, preamble + frames(shortTurn.slice(0, 5)));
    const window = new EventTarget();
    const { chat } = open({ window, failuresBeforePolling: 1, backoff: { minMs: 600_000, maxMs: 600_000 } });
    const sent = chat.sendMessage({ text: "Hello" });
    await chunkSeen(chat, 5);
    server.answer = answerRest;
    window.dispatchEvent(new Event(event));
    await sent;
    expect(chat.seen).toEqual(shortTurn);
    expect(server.exchanges.map(({ path }) => path)).toEqual(["/api/chat", `/api/turns/${turnId}/stream`]);
  },
);

function connectionIs({ connection }: ResumableChatTransport, state: string): Promise<void> {
  return new Promise((resolve) => {
    const unsubscribe = connection.subscribe(() => {
      if (connection.getSnapshot() !== state) return;
      unsubscribe();
      resolve();
    });
  });
}

function chunkSeen(chat: HeadlessChat, count: number): Promise<void> {
  return expect.poll(() => chat.seen.length, { interval: 1 }).toBe(count) as unknown as Promise<void>;
}

test("with gathering enabled, every request asks for it, and the answer is the same", async () => {
  const uncut = await uncutAnswer();
  const half = Math.floor(bytes.length / 2);
  server.answer = (exchange) => {
    if (!isPost(exchange)) return answerRest(exchange);
    stream(exchange, turnId, bytes.subarray(0, half));
    exchange.response.end();
  };
  server.exchanges.length = 0;
  const { chat } = open({ gatherMs: 400 });
  await chat.sendMessage({ text: "Hello" });
  expect(chat.lastMessage).toEqual(uncut);
  expect(server.exchanges.map(({ method, headers }) => [method, headers["x-gather-ms"]])).toEqual([
    ["POST", "400"],
    ["GET", "400"],
  ]);
});

test("knows when a joined turn began, by the page's own clock", async () => {
  server.answer = (exchange) => {
    exchange.response.setHeader("X-Turn-Age-Ms", "60000");
    answerRest(exchange);
  };
  const { transport, chat } = open();
  expect(transport.beganMs(turnId)).toBeUndefined();
  const beforeMs = performance.now();
  await chat.sendMessage({ text: "Hello" });
  const beganMs = transport.beganMs(turnId) ?? expect.fail("not known");
  expect(beganMs).toBeGreaterThanOrEqual(beforeMs - 60_000);
  expect(beganMs).toBeLessThanOrEqual(performance.now() - 60_000);
  expect(transport.beganMs(messageId)).toBeUndefined();
});
