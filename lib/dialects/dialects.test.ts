// Every dialect against the contract. Per-dialect knowledge lives only here: how to read its text,
// and which client's parser reads it.
import { asSchema, parseJsonEventStream, uiMessageChunkSchema } from "ai";
import fc from "fast-check";
import { Stream } from "openai/core/streaming";
import { describe, expect, test } from "vitest";
import type { TurnChunk } from "@/lib/turn/chunks";
import type { TurnContext } from "@/lib/turn/turn-context";
import type { TurnView } from "@/lib/turn/turn-input";
import { dialectContract, type ReadEvent, type Reading } from "@/test/dialects/dialect.contract";
import { agent } from "./agent";
import { aiSdk } from "./ai-sdk";
import { content } from "./content";
import type { Dialect, TurnRoute } from "./dialect";
import { openai } from "./openai";
import { promptOf } from "./openai-prompt";
import { rag } from "./rag";
import { createRegistry, registry } from "./registry";
import { responses } from "./responses";
import { snapshot } from "./snapshot";
import { text } from "./text";
import { token } from "./token";
import { WordGroups } from "./word-groups";

/** Formats whose events carry a `type`. */
const typed =
  (type: string, field = "content") =>
  ({ data }: ReadEvent): string => {
    if (data === "[DONE]") return "";
    const value = JSON.parse(data);
    return value.type === type ? value[field] : "";
  };

const readings: Reading[] = [
  {
    dialect: aiSdk,
    textOf: typed("text-delta", "delta"),
    readAll: async (body) => {
      const values: unknown[] = [];
      for await (const part of readerOf(
        parseJsonEventStream({ stream: body, schema: asSchema(uiMessageChunkSchema) }),
      )) {
        if (!part.success) throw part.error;
        values.push(part.value);
      }
      return values;
    },
  },
  { dialect: text, textOf: ({ data }) => JSON.parse(data) },
  { dialect: snapshot, textOf: ({ event, data }) => (event ? "" : JSON.parse(data).delta) },
  { dialect: content, textOf: typed("content") },
  { dialect: agent, textOf: typed("text") },
  { dialect: rag, textOf: typed("chunk") },
  { dialect: token, textOf: typed("token") },
  { dialect: token, textOf: typed("token"), pacing: { chunkWords: 2 } },
  {
    dialect: openai,
    textOf: ({ data }) => (data === "[DONE]" ? "" : (JSON.parse(data).choices?.[0]?.delta.content ?? "")),
    readAll: async (body) => {
      const values: unknown[] = [];
      try {
        for await (const chunk of Stream.fromSSEResponse(new Response(body), new AbortController())) values.push(chunk);
      } catch (error) {
        // An error frame, which the client throws.
        values.push(String(error));
      }
      return values;
    },
  },
  {
    dialect: responses,
    textOf: typed("response.output_text.delta", "delta"),
    readAll: async (body) => {
      const values: unknown[] = [];
      for await (const event of Stream.fromSSEResponse(new Response(body), new AbortController())) values.push(event);
      return values;
    },
  },
];

describe.each(readings.map((reading) => [nameOf(reading), reading] as const))("%s", (_, reading) => {
  dialectContract(reading);
});

test("every registered dialect runs against the contract", () => {
  expect(new Set(readings.map(({ dialect }) => dialect))).toEqual(new Set(registry.dialects));
});

describe("the registry", () => {
  const plain = (name: string, path: string): Dialect => ({
    ...text,
    name,
    routes: [{ kind: "models", path, list: () => [] }],
  });

  test("finds the route of a path, with or without a trailing slash, and no other", () => {
    expect(registry.match("/chat/7/stream/")).toMatchObject({ dialect: rag, params: { sessionId: "7" } });
    expect(registry.match("/api/u%2F1/chat")).toMatchObject({ dialect: agent, params: { userId: "u/1" } });
    expect(registry.match("/api/%/chat")).toMatchObject({ params: { userId: "%" } });
    expect(registry.match("/v1/models")).toMatchObject({ dialect: openai });
    for (const path of ["/chat/7", "/chat/7/stream//", "/chat//stream", "/x/v1/models", "/v1xmodels", "/"])
      expect(registry.match(path)).toBeNull();
  });

  test("finds a dialect by its exact name only", () => {
    for (const dialect of registry.dialects) expect(registry.find(dialect.name)).toBe(dialect);
    for (const name of ["", "TEXT", "toString", "__proto__"]) expect(registry.find(name)).toBeNull();
  });

  test("rejects two dialects with one name or path", () => {
    expect(() => createRegistry([plain("a", "/x"), plain("a", "/y")])).toThrow("name");
    expect(() => createRegistry([plain("a", "/x/:one"), plain("b", "/x/:two")])).toThrow("path");
  });
});

test("word groups keep the text and group size, resume, and never resume past undelivered text", () => {
  const piece = fc.oneof(fc.string(), fc.constantFrom(" ", "\n\n", "word", "one two ", "日本語の文", "👋🏽"));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.integer({ min: 1, max: 5 }), (pieces, words) => {
      const groups = new WordGroups(words);
      const given = [
        ...pieces.flatMap((each, index) => groups.take(index + 1, each, false)),
        ...groups.take(0, "", true),
      ];
      expect(given.map((group) => group.text).join("")).toBe(pieces.join(""));
      for (const group of given.slice(0, -1)) expect(group.text.trim().split(/\s+/).length).toBeLessThanOrEqual(words);
      given.reduce((sent, group) => {
        const sofar = sent + group.text;
        const claimed = pieces.slice(0, group.at.seq).join("");
        expect(sofar.startsWith(claimed)).toBe(true);
        return sofar;
      }, "");
    }),
  );
});

function nameOf({ dialect, pacing }: Reading): string {
  return pacing ? `${dialect.name} in groups of ${pacing.chunkWords}` : dialect.name;
}

async function* readerOf<T>(stream: ReadableStream<T>): AsyncGenerator<T> {
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}

test("provider-private state appears in no frame, and sources stay unchanged", () => {
  const providerMetadata = { openai: { reasoningEncryptedContent: "sealed" } };
  const chunks: TurnChunk[] = [
    { type: "reasoning-start", id: "r", providerMetadata },
    { type: "reasoning-end", id: "r", providerMetadata },
    { type: "tool-input-available", toolCallId: "c", toolName: "clock", input: {}, providerMetadata },
    {
      type: "source-document",
      sourceId: "1",
      mediaType: "text/plain",
      title: "T",
      providerMetadata: { retrieval: {} },
    },
  ];
  const context = { view: {}, chat: { messages: [] } } as unknown as TurnContext;
  for (const { dialect } of readings) {
    const encode = dialect.encoder(context, {});
    const frames = chunks.flatMap((chunk) => encode({ seq: 1, chunk, json: JSON.stringify(chunk) }));
    expect(JSON.stringify(frames)).not.toContain("sealed");
  }
  const [reasoning, , call, source] = chunks.map((chunk) =>
    JSON.parse(aiSdk.encoder(context, {})({ seq: 1, chunk, json: JSON.stringify(chunk) })[0]?.data ?? ""),
  );
  expect(reasoning).toEqual({ type: "reasoning-start", id: "r" });
  const called = { type: "tool-input-available", toolCallId: "c", toolName: "clock", input: {} };
  expect(call).toEqual({ ...called, providerExecuted: true });
  expect(source).toEqual(chunks[3]);
});

test("a tool call is marked as executed by the server unless the client runs the tools", () => {
  const chunk: TurnChunk = { type: "tool-input-available", toolCallId: "c", toolName: "clock", input: {} };
  const shown = (view: TurnView) => {
    const encode = aiSdk.encoder({ view } as TurnContext, {});
    return JSON.parse(encode({ seq: 1, chunk, json: JSON.stringify(chunk) })[0]?.data ?? "");
  };
  expect(shown({})).toEqual({ ...chunk, providerExecuted: true });
  expect(shown({ clientTools: true })).toEqual(chunk);
});

test("a client's reasoning precedes the call it led to", () => {
  const called = { id: "c", type: "function", function: { name: "clock", arguments: "{}" } } as const;
  const { messages } = promptOf([
    { role: "user", content: "How late is it?" },
    { role: "assistant", content: null, reasoning_content: "The clock.", tool_calls: [called] },
    { role: "tool", tool_call_id: "c", content: "12:00" },
  ]);
  expect(messages[1]?.parts).toMatchObject([
    { type: "reasoning", text: "The clock." },
    { type: "tool-clock", toolCallId: "c", output: "12:00" },
  ]);
});

const unresolved = { references: { messages: new Map() }, messageId: "message-0001" };

test("an answer streams if the body asks for it, else as the Accept header says", () => {
  const [route] = content.routes as [TurnRoute];
  const streams = (stream: boolean | undefined, accept: string) =>
    route.parseRequest({ body: { message: "Hi", stream }, accept, ...unresolved }).stream;
  const stream = "text/event-stream, */*";
  expect([streams(true, "*/*"), streams(undefined, stream)]).toEqual([true, true]);
  expect([streams(false, stream), streams(undefined, "application/json")]).toEqual([false, false]);
});

test("the snapshot's request keeps the client's metadata", () => {
  const [route] = snapshot.routes as [TurnRoute];
  const metadata = { client: "docs" };
  expect(route.parseRequest({ body: { text: "Hi", metadata }, accept: "", ...unresolved })).toMatchObject({
    request: { metadata },
  });
});
