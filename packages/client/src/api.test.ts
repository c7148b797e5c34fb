import { afterEach, beforeEach, expect, test } from "vitest";
import { json, type ScriptedServer, startScriptedServer } from "@/test/client/scripted-server";
import { turnId } from "@/test/client/turn-script";
import { createApi } from "./api.ts";

let server: ScriptedServer;
beforeEach(async () => {
  server = await startScriptedServer();
});
afterEach(() => server.close());

const at = "2026-11-21T01:00:00.000Z";
const chat = {
  id: "chat-0001",
  number: 1,
  title: "One",
  pinned: false,
  createdAt: at,
  updatedAt: at,
  liveTurnId: null,
};
const document = {
  ...{ id: "d1", title: "T", filename: "t.md", mediaType: "text/markdown" },
  ...{ bytes: 3, passageCount: 1, sample: false, createdAt: at },
};

function open(status: number, body: unknown, headers?: Record<string, string>) {
  server.answer = (exchange) => json(exchange, status, body, headers);
  return createApi({ baseUrl: server.url, headers: () => ({ Authorization: "Bearer x" }) });
}

test("sends a list's query and parses the response", async () => {
  const api = open(200, { chats: [chat], nextCursor: "next" });
  expect(await api.listChats({ q: "ü & co", limit: 5 })).toEqual({ chats: [chat], nextCursor: "next" });
  const [asked] = server.exchanges;
  expect(asked).toMatchObject({ method: "GET", path: "/api/chats", headers: { authorization: "Bearer x" } });
  expect(Object.fromEntries(asked?.query ?? [])).toEqual({ q: "ü & co", limit: "5" });
});

test("sends a change as JSON, with the id as one path segment", async () => {
  const api = open(200, chat);
  await api.renameChat("a/b", "New");
  expect(server.exchanges[0]).toMatchObject({ method: "PATCH", path: "/api/chats/a%2Fb", body: '{"title":"New"}' });
  expect(server.exchanges[0]?.headers["content-type"]).toBe("application/json");
});

test("stopping returns how the turn ended", async () => {
  const api = open(200, { turnId, status: "stopped" });
  expect(await api.stopTurn("chat-0001")).toEqual({ turnId, status: "stopped" });
  expect(server.exchanges[0]).toMatchObject({ method: "POST", path: "/api/chat/chat-0001/stop" });
});

test("deleting accepts a response without a body", async () => {
  const api = open(404, {});
  server.answer = ({ response }) => response.writeHead(204).end();
  expect(await api.deleteDocument("d1")).toBeUndefined();
  expect(server.exchanges[0]).toMatchObject({ method: "DELETE", path: "/api/documents/d1" });
});

test("uploads a document as multipart", async () => {
  const api = open(201, document);
  expect(await api.uploadDocument(new File(["abc"], "t.md", { type: "text/markdown" }))).toEqual(document);
  const [sent] = server.exchanges;
  expect(sent?.headers["content-type"]).toMatch(/^multipart\/form-data; boundary=/);
  expect(sent?.body).toContain('name="file"; filename="t.md"');
});

test("a failure has the server's code, message, request id and further fields", async () => {
  const error = { code: "rate_limited", message: "Slow down.", requestId: "r1", limit: 5 };
  const api = open(429, { error, turnId }, { "Retry-After": "7" });
  await expect(api.listModels()).rejects.toMatchObject({
    ...{ name: "RequestError", status: 429, code: "rate_limited", message: "Slow down.", requestId: "r1" },
    ...{ details: { limit: 5, turnId }, retryAfterMs: 7000 },
  });
});

test("an error page, an unexpected body and no response are distinct errors", async () => {
  const api = open(200, { models: "none" });
  await expect(api.listModels()).rejects.toMatchObject({ code: "bad_response", status: 200 });
  server.answer = ({ response }) => response.writeHead(502).end("<html>");
  await expect(api.listModels()).rejects.toMatchObject({ code: "http_502", status: 502 });
  server.answer = ({ response }) => response.socket?.destroy();
  await expect(api.listModels()).rejects.toMatchObject({ code: "unreachable", status: 0 });
});

test("an abort rejects with its reason", async () => {
  const api = open(200, {});
  server.answer = () => {};
  const leaving = new AbortController();
  const asked = api.listDocuments({}, { signal: leaving.signal });
  const rejected = expect(asked).rejects.toMatchObject({ name: "AbortError" });
  await server.exchange(() => true);
  leaving.abort();
  await rejected;
});
