// I23: every pass over text from users, documents or models is linear; otherwise one message could
// block the event loop for everybody. Each pass gets each text at doubling lengths, from 8 kB to 1
// MB, and may take at most 2.3 times the CPU for twice the text, on average.
import { Readable } from "node:stream";
import { InvalidResponseDataError, type ModelMessage } from "ai";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { citations } from "@/components/chat/answer/citation-marks";
import { undeclaredHost } from "@/components/chat/answer/claimed-host";
import { visibleTexts } from "@/components/chat/conversation/visible-texts";
import { batchEncoder } from "@/lib/dialects/encode";
import { promptOf } from "@/lib/dialects/openai-prompt";
import { registry } from "@/lib/dialects/registry";
import { piecesOf } from "@/lib/dialects/segments";
import { readForm, readJson } from "@/lib/http";
import { describeError } from "@/lib/logger";
import { answerStream } from "@/lib/models/answer-stream";
import { ChatReader } from "@/lib/models/chat-reader";
import { extract } from "@/lib/models/extract";
import { localModel } from "@/lib/models/local";
import { Normaliser } from "@/lib/models/normaliser";
import { countTokens } from "@/lib/models/token-count";
import { ground } from "@/lib/retrieval/ground";
import { firstHeading, splitPassages, TooManyPassages } from "@/lib/retrieval/passages";
import { titleOf } from "@/lib/services/turns/store-send";
import type { LoggedChunk, Source, TurnChunk } from "@/lib/turn/chunks";
import { foldChunks } from "@/lib/turn/fold";
import { visibleLine, visibleText } from "@/lib/turn/foreign-text";
import { compactChunks } from "@/lib/turn/merge";
import { truncateToolResults } from "@/lib/turn/prompt-size";
import { quotePassages } from "@/lib/turn/quote-passages";
import { modelSteps, StepsEnd } from "@/lib/turn/steps";
import { contentWords, sentences, withoutMarkup } from "@/lib/words";
import { StreamConnection } from "@/packages/client/src/stream-connection";
import { context } from "./dialect-server";

/** Runs of characters that make parsers look ahead or backtrack, all of equal length. */
const alphabets: Record<string, string[]> = {
  "white space": ["# a", " ", "b\n", "\t", "\n", "x\n", "\r\n", "\u2028", "\u00a0", "\r"],
  "brackets that never close": ["![", "\n", "[", "\n", "[a](", "\n", "![](", "\n", "<a ", "\n", "(", "\n", "{"],
  brackets: ["[[", "]", "](", ")", "[1] ", "[1, 1]", "[1,", "[1]: ", "[^1]: x\n", "<b>", "{}"],
  "emphasis and code": ["**", "*a", " **a", "__a", "_", "~~a", "`", "` `", "``` a\n", "~~~~~~\n", "a\n"],
  "fences that never close": ["~~~ a", "b", "\n", "c\n\n", "word "],
  headings: ["#", "\n", "# ", "\n# a", "#".repeat(3), "\n", "###### h\n", "# h\na\n", "- a\n", "> ", "| a ", "\n---\n"],
  "one long heading": ["# ", "long ", "\n\n", "text. "],
  words: ["word ", "repeated repeated ", "different", "snake_case_", "a'", "1,000.", "10", "A.B."],
  sentences: ["A. ", "a.", "1. ", "?! ", "Mr. ", ". (", '."', "…", "Fine words [1]. "],
  scripts: ["漢字", "かな。", "ภาษาไทย", "မြန်မာ", "한국어 ", "🙂", "👩‍👩‍👧", "é", "ß"],
  marks: ["a\u0301", "\u0301", "\u200d", "\ufe0f", "\ud83d", "\udc00", "\u202e", "\0", "\u0001"],
  "data and code": ["data: ", "\n\n", '{"a":', "[{", '\\"', '"', "\\", '"x":0,', "data: {}\n\n", "://", "x@y."],
};

function textOf(units: string[], length: number): string {
  // Units are repeated to fill equal shares; one longer than its share appears once.
  const share = Math.ceil(length / units.length);
  return units.map((unit) => unit.repeat(Math.max(1, Math.floor(share / unit.length)))).join("");
}

const source = (ordinal: number, text: string): Source => ({
  sourceId: `${ordinal}`,
  mediaType: "text/plain",
  title: "Notes",
  filename: "notes.txt",
  ordinal,
  score: 1,
  text,
  documentId: "d",
  chunkId: "c",
  metadata: { position: 1 },
});

/** In pieces, as from a provider or a log. */
function* pieces(text: string, length: number): Generator<string> {
  for (let at = 0; at < text.length; at += length) yield text.slice(at, at + length);
}

function logOf(text: string, length = 500): LoggedChunk[] {
  const chunks: TurnChunk[] = [
    { type: "start", messageId: "m" },
    { type: "start-step" },
    { type: "text-start", id: "t" },
    ...Array.from(pieces(text, length), (delta): TurnChunk => ({ type: "text-delta", id: "t", delta })),
    { type: "text-end", id: "t" },
    { type: "finish-step" },
    { type: "finish" },
  ];
  return chunks.map((chunk, index) => ({ seq: index + 1, chunk, json: JSON.stringify(chunk) }));
}

const chunksOf = (text: string, length?: number) => logOf(text, length).map(({ chunk }) => chunk);

/** As many parts as a text of this length has pieces; their content does not matter. */
function partsOf(text: string): TurnChunk[] {
  return Array.from(pieces(text, 500)).flatMap((delta, index): TurnChunk[] => [
    { type: "text-start", id: `${index}` },
    { type: "text-delta", id: `${index}`, delta },
    { type: "text-end", id: `${index}` },
  ]);
}

function toolChunksOf(text: string): TurnChunk[] {
  const begin: TurnChunk = { type: "tool-input-start", toolCallId: "c", toolName: "t" };
  const deltas = Array.from(
    pieces(text, 1_000),
    (inputTextDelta): TurnChunk => ({ type: "tool-input-delta", toolCallId: "c", inputTextDelta }),
  );
  return [begin, ...deltas];
}

async function ignore(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items) {
  }
}

async function refused(work: Promise<unknown>): Promise<void> {
  await expect(work).rejects.toMatchObject({ code: "bad_request" });
}

/** One model call that streams the text in parts with the same id. */
async function stepsOf(text: string): Promise<void> {
  const parts = Array.from(pieces(text, 500)).flatMap((delta) => [
    { type: "text-start", id: "0" },
    { type: "text-delta", id: "0", delta },
    { type: "text-end", id: "0" },
  ]);
  const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
  const all = [...parts, { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage }];
  const stream = new ReadableStream({
    start(controller) {
      for (const part of all) controller.enqueue(part);
      controller.close();
    },
  });
  const model = { ...localModel(), doStream: async () => ({ stream }) } as ReturnType<typeof localModel>;
  const prompt = { fit: async () => ({ messages: [{ role: "user" as const, content: "?" }] }), shrink: () => false };
  const input = { model, prompt, providerOptions: {} };
  await ignore(modelSteps(input, new StepsEnd(), new AbortController().signal));
}

function chatEvents(text: string): Buffer[] {
  return Array.from(pieces(text, 200), (content) =>
    Buffer.from(`data: ${JSON.stringify({ id: "1", choices: [{ index: 0, delta: { content } }] })}\n\n`),
  );
}

function callEvents(text: string): Buffer[] {
  return Array.from(pieces(text, 200), (input, index) => {
    const call = { index: 0, function: { ...(index === 0 && { name: "call" }), arguments: input } };
    return Buffer.from(`data: ${JSON.stringify({ choices: [{ delta: { tool_calls: [call] } }] })}\n\n`);
  });
}

function answered(reads: Buffer[]): Promise<void> {
  const normaliser = new Normaliser(new ChatReader("http://provider"));
  return ignore(answerStream(Readable.from(reads, { objectMode: false }), { normaliser, hold: () => false })).catch(
    unread,
  );
}

/** Invalid answers are refused; the time of that is measured. */
function unread(error: unknown): void {
  if (!InvalidResponseDataError.isInstance(error)) throw error;
}

function lineOf(reads: Iterable<string>): Promise<void> {
  const line = new StreamConnection({
    signal: new AbortController().signal,
    firstByteMs: 60_000,
    silenceMs: 60_000,
    wake: () => () => {},
  });
  const body = Readable.toWeb(Readable.from(Array.from(reads, (read) => Buffer.from(read)))) as ReadableStream;
  const response = new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  return ignore(line.frames(response)).finally(() => line.close());
}

function toolResult(text: string): ModelMessage {
  const output = { type: "json" as const, value: { text } };
  return { role: "tool", content: [{ type: "tool-result", toolCallId: "c", toolName: "t", output }] };
}

/** Counted texts are cached and would cost nothing. */
let counted = 0;

const post = (body: BodyInit, type: string) =>
  new Request("http://localhost/", { method: "POST", body, headers: { "Content-Type": type } });

const passes: Record<string, (text: string) => unknown> = {
  sentences,
  contentWords,
  withoutMarkup,
  titleOf,
  firstHeading,
  "splitPassages, Markdown": (text) => splitPassages(text, { markdown: true }).catch(tooMany),
  "splitPassages, plain": (text) => splitPassages(text, { markdown: false }).catch(tooMany),
  "ground, of an answer": (text) => ground(text, [source(1, "Fine words")]),
  "ground, of a source": (text) => ground("Fine words [1].", [source(1, text)]),
  "extract, from a passage": (text) => extract("fine words", [{ ordinal: 1, title: "", text }]),
  "the local model's question": (text) =>
    localModel().doGenerate({
      prompt: [],
      providerOptions: { rivulet: { question: text, sources: [{ ordinal: 1, title: "", text: "Fine words." }] } },
    }),
  "a provider's text": (text) => answered(chatEvents(text)),
  "a provider's text behind a tag": (text) => answered(chatEvents(`<think>${text}`)),
  "a provider's call": (text) => answered(callEvents(text)),
  "a provider's broken object": (text) => answered([Buffer.from(`data: {"a":${text}\n\n`)]),
  "a provider's bytes": (text) => answered(Array.from(pieces(text, 1_000), (piece) => Buffer.from(piece))),
  "a provider's line": (text) => answered(Array.from(pieces(`data: ${text}`, 200), (piece) => Buffer.from(piece))),
  "a call's parts": stepsOf,
  "foldChunks, text": (text) => foldChunks(chunksOf(text)),
  "foldChunks, parts": (text) => foldChunks(partsOf(text)),
  "foldChunks, a tool's input": (text) => foldChunks(toolChunksOf(text)),
  compactChunks: (text) => compactChunks(logOf(text)),
  describeError: (text) => describeError(new Error(text)),
  promptOf: (text) =>
    promptOf([
      { role: "system", content: text },
      { role: "user", content: text },
    ]),
  "readJson, one string": (text) => readJson(post(JSON.stringify({ text }), "application/json"), z.object({})),
  "readJson, not JSON": (text) => refused(readJson(post(`[1 ${text}`, "application/json"), z.object({}))),
  "readForm, a file": (text) => {
    const form = new FormData();
    form.append("file", new File([text], "a.md"));
    const { headers, body } = new Response(form);
    return readForm(
      new Request("http://localhost/", { method: "POST", headers, body, duplex: "half" } as RequestInit),
      1e8,
    );
  },
  "readForm, no form": (text) => refused(readForm(post(`--x\r\n${text}`, "multipart/form-data; boundary=x"), 1e8)),
  "a stream's events in the browser": (text) => lineOf(pieces(text, 1_000)),
  countTokens: (text) => countTokens(text + counted++),
  "a tool's result, shortened": (text) => truncateToolResults([toolResult(text)]),
  visibleText,
  piecesOf: (text) => piecesOf(text),
  visibleLine,
  quotePassages: (text) => quotePassages([{ ...source(1, text), title: text }], "9f04c1d2"),
  "what a link claims": (text) => undeclaredHost(text, new URL("https://example.org")),
  "visible texts in a page": (text) => visibleTexts()({ type: "root", children: [{ type: "text", value: text }] }),
  "citations in a page": (text) => citations()({ type: "root", children: [{ type: "text", value: text }] }),
};
for (const dialect of registry.dialects)
  passes[`dialect ${dialect.name}`] = (text) => batchEncoder(dialect, context, null)(logOf(text));
passes["words in groups"] = (text) =>
  batchEncoder(registry.find("token") as (typeof registry.dialects)[0], context, null, { chunkWords: 50 })(
    logOf(text, 100),
  );

function tooMany(error: unknown): void {
  expect(error).toBeInstanceOf(TooManyPassages);
}

const shortest = 8_000;
const longest = 1_024_000;
const maxGrowth = 2.3;
/** Below this, CPU clock granularity and GC pauses are as large as the work. */
const floorMs = 30;
/** Far more than any linear pass takes, and low enough that others fail quickly. */
const ceilingMs = 5_000;
/**
 * Over this many doublings the noise of a loaded machine is small, while superlinear growth shows
 * all the more.
 */
const enough = 5;
/** Noise only lengthens a measurement: the shortest of several counts. */
const attempts = 4;

async function cpuMs(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

type Measured = { text: string; ms: number };

/** Doublings since the first length that took measurable CPU. */
function doublings(measured: Measured[]): number {
  const from = measured.findIndex(({ ms }) => ms >= floorMs);
  return from < 0 ? 0 : measured.length - 1 - from;
}

/**
 * Average growth in CPU per doubling. A single one says too little: GC may run in one of its two
 * lengths; quadratic cost shows in the next.
 */
function growth(measured: Measured[]): number {
  const [first, last] = [measured.find(({ ms }) => ms >= floorMs), measured.at(-1)];
  if (!first || !last || doublings(measured) < 2) return 1;
  return last.ms > ceilingMs ? Number.POSITIVE_INFINITY : (last.ms / first.ms) ** (1 / doublings(measured));
}

describe.each(Object.entries(passes))("I23: %s is linear", (_, pass) => {
  it.each(Object.entries(alphabets))("on %s", { timeout: 120_000 }, async (_, units) => {
    const measured: Measured[] = [];
    const seemsSlow = () => growth(measured) > maxGrowth;
    const isJudged = () => doublings(measured) >= enough || growth(measured) === Number.POSITIVE_INFINITY;
    // A text that seems slow is doubled until the result is certain.
    for (let length = shortest; length <= longest || (seemsSlow() && !isJudged()); length *= 2) {
      const text = textOf(units, length);
      measured.push({ text, ms: await cpuMs(() => pass(text)) });
      for (let attempt = 1; attempt < attempts && seemsSlow() && isJudged(); attempt++)
        for (const each of measured) each.ms = Math.min(each.ms, await cpuMs(() => pass(each.text)));
      if (isJudged()) expect(growth(measured), `up to ${length} characters`).toBeLessThanOrEqual(maxGrowth);
    }
  });
});
