import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  cut,
  type Exchange,
  json,
  type ScriptedServer,
  startScriptedServer,
  stream,
} from "@/test/client/scripted-server";
import { chatId, preamble, turnId } from "@/test/client/turn-script";
import { type ChatFeedOptions, followChat, type TurnStatus } from "./chat-feed.ts";

let server: ScriptedServer;
beforeEach(async () => {
  server = await startScriptedServer();
});
afterEach(() => server.close());

const news = (status: string) => ({ type: "turn", turnId, status });
const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const tell = (exchange: Exchange, ...statuses: string[]) =>
  stream(exchange, turnId, preamble + statuses.map((status) => event(news(status))).join(""));

function open(options: Partial<ChatFeedOptions> = {}) {
  const received: TurnStatus[] = [];
  const leaving = new AbortController();
  const ended = followChat({
    ...{ baseUrl: server.url, chatId, signal: leaving.signal, backoff: { minMs: 1, maxMs: 2 } },
    onTurn: (each) => received.push(each),
    ...options,
  });
  ended.catch(() => {});
  const statuses = () => received.map(({ status }) => status);
  return { received, statuses, leaving, ended };
}

test("delivers every event in order, and disconnects on leaving", async () => {
  server.answer = (exchange) => tell(exchange, "complete", "running");
  const { statuses, leaving, ended, received } = open();
  const exchange = await server.exchange(({ path }) => path === `/api/chats/${chatId}/events`);
  await vi.waitFor(() => expect(statuses()).toEqual(["complete", "running"]));
  exchange.response.write(event(news("stopped")));
  await vi.waitFor(() => expect(received.at(-1)).toEqual(news("stopped")));
  leaving.abort(new Error("left"));
  await expect(ended).rejects.toThrow("left");
  await exchange.left;
  expect(server.exchanges).toHaveLength(1);
});

test("reconnects after an end, a cut and a temporary refusal, and then gets the current state", async () => {
  const answers = [
    (exchange: Exchange) => {
      tell(exchange, "running");
      exchange.response.end();
    },
    (exchange: Exchange) => {
      tell(exchange, "complete");
      cut(exchange);
    },
    (exchange: Exchange) => json(exchange, 503, { error: { code: "unavailable", message: "Restarting." } }),
    (exchange: Exchange) => tell(exchange, "failed"),
  ];
  server.answer = (exchange) => answers[exchange.number - 1]?.(exchange);
  const { statuses, leaving } = open();
  await vi.waitFor(() => expect(statuses()).toEqual(["running", "complete", "failed"]));
  expect(server.exchanges).toHaveLength(4);
  leaving.abort();
});

test("a hidden page disconnects its feed, and gets the current state when visible again", async () => {
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const become = (state: string) => {
    document.visibilityState = state;
    document.dispatchEvent(new Event("visibilitychange"));
  };
  server.answer = (exchange) => tell(exchange, exchange.number === 1 ? "running" : "complete");
  const { statuses, leaving } = open({ document, hiddenMs: 5 });
  await vi.waitFor(() => expect(statuses()).toEqual(["running"]));
  become("hidden");
  await (server.exchanges[0] as Exchange).left;
  expect(server.exchanges).toHaveLength(1);
  become("visible");
  await vi.waitFor(() => expect(statuses()).toEqual(["running", "complete"]));
  leaving.abort();
});

test("replaces a connection that goes silent", async () => {
  server.answer = (exchange) => tell(exchange, "running");
  const { statuses, leaving } = open({ heartbeatMs: 20 });
  await vi.waitFor(() => expect(statuses().length).toBeGreaterThan(2));
  await (server.exchanges[0] as Exchange).left;
  leaving.abort();
});

test.each([
  [404, "not_found"],
  [401, "unauthorized"],
  [500, "internal"],
])("reports a permanent refusal (%s) once", async (status, code) => {
  server.answer = (exchange) => json(exchange, status, { error: { code, message: "No." } });
  const { ended } = open();
  await expect(ended).rejects.toMatchObject({ name: "RequestError", status, code });
  expect(server.exchanges).toHaveLength(1);
});

test("ignores unknown events of a newer server; invalid JSON is an error", async () => {
  server.answer = (exchange) => {
    stream(exchange, turnId, preamble + event({ type: "title", title: "Rivers" }) + event(news("running")));
    exchange.response.write("data: {\n\n");
  };
  const { ended, statuses } = open();
  await expect(ended).rejects.toMatchObject({ code: "bad_response" });
  expect(statuses()).toEqual(["running"]);
});
