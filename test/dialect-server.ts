// For client tests: a real HTTP server that speaks every wire format through the real encoders, for
// one recorded turn. Tests decide where streams break.
import { readFileSync } from "node:fs";
import path from "node:path";
import type { TurnRoute } from "@/lib/dialects/dialect";
import { batchEncoder, readFromSeq } from "@/lib/dialects/encode";
import { registry } from "@/lib/dialects/registry";
import { isTerminal, type LoggedChunk, type TurnChunk } from "@/lib/turn/chunks";
import { parseCursor } from "@/lib/turn/cursor";
import { foldChunks } from "@/lib/turn/fold";
import type { TurnContext } from "@/lib/turn/turn-context";
import type { ClientDialect } from "@/packages/client/src/client-dialect";
import { clientDialects, type DialectName } from "@/packages/client/src/dialects";
import { type Exchange, json } from "@/test/client/scripted-server";

const golden = path.join(import.meta.dirname, "golden");
export const readGolden = (file: string) => JSON.parse(readFileSync(path.join(golden, file), "utf8"));

export const context: TurnContext = readGolden("context.json");
export const question = { text: "What is a rivulet?", chat: context.chatId };

export const names = Object.keys(clientDialects) as DialectName[];

/** A short answer with characters of two, three and four bytes. */
export const tinyTurn: TurnChunk[] = [
  { type: "start", messageId: context.messageId, messageMetadata: { ...context } },
  { type: "text-start", id: "t" },
  { type: "text-delta", id: "t", delta: "Grüße " },
  { type: "text-delta", id: "t", delta: "日本🌊" },
  { type: "finish" },
].map((chunk) => JSON.parse(JSON.stringify(chunk)));

export type Script = {
  name: DialectName;
  turn: TurnChunk[];
  /** Breaks a stream, or returns false to send it whole. `blocks`: the stream's content. */
  breaks?: (exchange: Exchange, blocks: string[]) => boolean;
};

/** Answers this format's clients: questions, resumes, whole answers, states and messages. */
export function speak({ name, turn, breaks = () => false }: Script): (exchange: Exchange) => void {
  const dialect = registry.find(name);
  if (!dialect) throw new Error(`no dialect ${name}`);
  const client: ClientDialect = clientDialects[name];
  const asked = { ...question, key: "key-0001", userId: "user-0001" };
  const logged: LoggedChunk[] = turn.map((chunk, index) => ({ seq: index + 1, chunk, json: JSON.stringify(chunk) }));
  const wholePath = client.fullResponse?.ask(asked).path;
  const route = dialect.routes.find(
    (each): each is TurnRoute =>
      each.kind === "turn" && each.fullResponse !== undefined && registry.match(wholePath ?? "")?.route === each,
  );
  // Remembered for the turn.
  let view = context.view;
  const stream = (exchange: Exchange, encoded = dialect) => {
    if (exchange.body.includes('"include_sources":true')) view = { ...view, includeSources: true };
    const after = exchange.query.get("after");
    const cursor = after === null ? null : parseCursor(after);
    const blocks = batchEncoder(
      encoded,
      { ...context, view },
      cursor,
    )(logged.filter(({ seq }) => seq > readFromSeq(encoded, cursor)));
    const head = { "X-Turn-Id": context.turnId, "X-Chat-Id": context.chatId };
    if (blocks.length === 0) return void exchange.response.writeHead(204, head).end();
    exchange.response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8", ...head }).flushHeaders();
    if (!breaks(exchange, blocks)) exchange.response.end(`: open\nretry: 1000\n${blocks.join("")}`);
  };
  return (exchange) => {
    const { method, path: asks, body } = exchange;
    if (asks === `/api/turns/${context.turnId}` && method === "GET") return void state(exchange, turn);
    if (asks === `/api/chats/${context.chatId}/messages`) return void messages(exchange, turn);
    const wantsWhole = method === "POST" && asks === wholePath && !/"stream":true/.test(body);
    if (wantsWhole && route?.fullResponse) return void whole(exchange, turn, route, dialect.failure);
    if (method === "POST" && name === "text") return stream(exchange, registry.find("ai-sdk") ?? dialect);
    stream(exchange);
  };
}

async function metadataOf(turn: TurnChunk[]) {
  const message = await foldChunks(turn);
  const ended = turn.findLast((chunk) => chunk.type === "data-turn");
  const status = ended?.type === "data-turn" && turn.some(isTerminal) ? ended.data.status : "complete";
  const error = ended?.type === "data-turn" ? ended.data.error : undefined;
  return { message, metadata: { ...message.metadata, status, error } };
}

async function state(exchange: Exchange, turn: TurnChunk[]): Promise<void> {
  const { status } = (await metadataOf(turn)).metadata;
  const { turnId, chatId, messageId, userMessageId, createdAt } = context;
  json(exchange, 200, { turnId, chatId, messageId, userMessageId, status, createdAt, endedAt: createdAt });
}

async function messages(exchange: Exchange, turn: TurnChunk[]): Promise<void> {
  const { message, metadata } = await metadataOf(turn);
  json(exchange, 200, { messages: [{ ...message, metadata }], nextCursor: null });
}

async function whole(
  exchange: Exchange,
  turn: TurnChunk[],
  route: TurnRoute,
  failure: NonNullable<ReturnType<typeof registry.find>>["failure"],
): Promise<void> {
  const { message, metadata } = await metadataOf(turn);
  const head = { "X-Turn-Id": context.turnId, "X-Chat-Id": context.chatId };
  const answer = { context, message, metadata } as Parameters<NonNullable<TurnRoute["fullResponse"]>>[0];
  if (!metadata.error) return json(exchange, 200, route.fullResponse?.(answer), head);
  const { code, message: sentence } = metadata.error;
  json(exchange, 502, failure?.({ status: 502, code, message: sentence, requestId: "r" }), head);
}
