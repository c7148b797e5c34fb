// Test helpers for packages/client: a real HTTP server whose every response the test scripts, and a
// headless chat on the AI SDK's own client. Imitates neither the client nor the real server's
// logic.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AbstractChat, type ChatInit, type ChatState, type ChatStatus, type ChatTransport } from "ai";
import type { ChatMessage, TurnChunk } from "@/lib/turn/chunks";

export type Exchange = {
  /** Request number on this server, from 1. */
  number: number;
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: string;
  response: ServerResponse;
  /** Resolves when the client has disconnected. */
  left: Promise<void>;
};

export type ScriptedServer = {
  url: string;
  exchanges: Exchange[];
  /** Responds to subsequent requests; the test may replace it at any time. */
  answer: (exchange: Exchange) => void;
  /** The nth request (from 1) that `matches`, once it has arrived. */
  exchange: (matches: (exchange: Exchange) => boolean, nth?: number) => Promise<Exchange>;
  close: () => Promise<void>;
};

export async function startScriptedServer(): Promise<ScriptedServer> {
  const waiting = new Set<() => void>();
  const scripted: ScriptedServer = {
    url: "",
    exchanges: [],
    answer: ({ response }) => response.writeHead(404).end(),
    exchange: (matches, nth = 1) =>
      new Promise((resolve) => {
        const look = () => {
          const found = scripted.exchanges.filter(matches)[nth - 1];
          if (!found) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
  const server = createServer(async (incoming, response) => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part);
    const url = new URL(incoming.url ?? "/", "http://test");
    const exchange: Exchange = {
      number: scripted.exchanges.length + 1,
      method: incoming.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body: Buffer.concat(parts).toString(),
      response,
      left: new Promise((resolve) => response.once("close", resolve)),
    };
    scripted.exchanges.push(exchange);
    scripted.answer(exchange);
    for (const look of waiting) look();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  scripted.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return scripted;
}

/** Opens an event stream, writes the bytes and leaves it open. */
export function stream({ response }: Exchange, turnId: string, bytes: Uint8Array | string): void {
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8", "X-Turn-Id": turnId });
  response.flushHeaders();
  if (bytes.length > 0) response.write(bytes);
}

/** Ends the TCP connection after what was written, mid-response. */
export function cut({ response }: Exchange): void {
  response.write("", () => response.socket?.end());
}

export function json(
  { response }: Exchange,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
}

type HeadlessOptions = Pick<ChatInit<ChatMessage>, "id" | "messages" | "onFinish" | "sendAutomaticallyWhen"> & {
  transport: ChatTransport<ChatMessage>;
};

/** `useChat` without React. `seen` records every chunk from the transport, in order. */
export class HeadlessChat extends AbstractChat<ChatMessage> {
  readonly seen: TurnChunk[];

  constructor({ id, transport, messages = [], onFinish, sendAutomaticallyWhen }: HeadlessOptions) {
    const seen: TurnChunk[] = [];
    const record = (source: ReadableStream<TurnChunk>) =>
      source.pipeThrough(
        new TransformStream<TurnChunk, TurnChunk>({
          transform(chunk, controller) {
            seen.push(structuredClone(chunk));
            controller.enqueue(chunk);
          },
        }),
      );
    const state: ChatState<ChatMessage> = {
      status: "ready" satisfies ChatStatus,
      error: undefined,
      messages,
      pushMessage: (message) => {
        state.messages = [...state.messages, structuredClone(message)];
      },
      popMessage: () => {
        state.messages = state.messages.slice(0, -1);
      },
      replaceMessage: (index, message) => {
        state.messages = state.messages.with(index, structuredClone(message));
      },
      snapshot: (thing) => structuredClone(thing),
    };
    super({
      id,
      onFinish,
      sendAutomaticallyWhen,
      state,
      transport: {
        resumeStreamIsReplay: transport.resumeStreamIsReplay,
        sendMessages: async (options) => record((await transport.sendMessages(options)) as ReadableStream<TurnChunk>),
        reconnectToStream: async (options) => {
          const resumed = await transport.reconnectToStream(options);
          return resumed && record(resumed as ReadableStream<TurnChunk>);
        },
      },
    });
    this.seen = seen;
  }
}
