// A model without a provider: it answers with the sentences of the passages that fit the question,
// and says plainly if none do. It never invents content; lib/models/extract.ts selects the
// sentences. An AI SDK LanguageModelV4, so a run treats it like any other.
import { setTimeout as sleep } from "node:timers/promises";
import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
} from "@ai-sdk/provider";
import { z } from "zod";
import { truncate } from "@/lib/words";
import { extract } from "./extract";

const localOptions = z.object({
  question: z.string(),
  /** The answer so far; generation continues after it. */
  said: z.string().default(""),
  sources: z.array(
    z.object({
      ordinal: z.number().int().positive(),
      title: z.string(),
      /** Headings above the passage; used for selection, never quoted. */
      heading: z.string().optional(),
      text: z.string(),
    }),
  ),
});

/** Passed by a run as `providerOptions: {rivulet: …}`; JSON only. Other providers ignore it. */
export type LocalOptions = z.input<typeof localOptions>;

/** Throws a ZodError: invalid options are a bug of ours. */
export function parseLocalOptions(value: unknown): z.output<typeof localOptions> {
  return localOptions.parse(value);
}

/**
 * Characters of a question that are read; a longer one is pasted text whose topic is clear by then.
 */
const questionLength = 2_000;

/** Ten times reading speed, slow enough to look like a stream, and about one word per commit. */
const wordsPerSecond = 50;

const noAnswer =
  "None of the passages in your documents answers this. " +
  "No language model is connected to this server, so it can only quote your documents. " +
  "To connect one, set OPENAI_API_KEY or OLLAMA_BASE_URL and restart the server.";

const stop: LanguageModelV4FinishReason = { unified: "stop", raw: "stop" };

/**
 * Streams word by word, the first one immediately. An abort rejects the pending read with the
 * signal's AbortError. Ignores tools, settings and all of the prompt but the last user message.
 */
export function localModel(): LanguageModelV4 {
  return {
    specificationVersion: "v4",
    provider: "local",
    modelId: "local",
    supportedUrls: {},

    async doGenerate(options) {
      const { text, usage } = answer(options);
      return { content: [{ type: "text", text }], finishReason: stop, usage, warnings: [] };
    },

    async doStream({ abortSignal, ...options }) {
      abortSignal?.throwIfAborted();
      return { stream: streamOf(partsOf(answer(options), abortSignal)) };
    },
  };
}

type Answer = { text: string; usage: LanguageModelV4Usage };

async function* partsOf(
  { text, usage }: Answer,
  signal: AbortSignal | undefined,
): AsyncGenerator<LanguageModelV4StreamPart> {
  yield { type: "stream-start", warnings: [] };
  yield { type: "text-start", id: "0" };
  const started = performance.now();
  let sent = 0;
  for (const delta of text.match(/\S+\s*|\s+/g) ?? []) {
    // Measured from the start, so that timer delays do not add up.
    const waitMs = started + (sent * 1000) / wordsPerSecond - performance.now();
    if (waitMs > 0) await sleep(waitMs, undefined, { signal });
    signal?.throwIfAborted();
    yield { type: "text-delta", id: "0", delta };
    sent++;
  }
  yield { type: "text-end", id: "0" };
  yield { type: "finish", finishReason: stop, usage };
}

/**
 * Pulls one part at a time; cancelling ends the generator. (`ReadableStream.from` has no type in
 * the DOM library.)
 */
function streamOf(parts: AsyncGenerator<LanguageModelV4StreamPart>): ReadableStream<LanguageModelV4StreamPart> {
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await parts.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

function answer({ prompt, providerOptions }: LanguageModelV4CallOptions): Answer {
  const { question, said, sources } = parseLocalOptions(
    providerOptions?.rivulet ?? { question: lastQuestion(prompt), sources: [] },
  );
  const text = remainderAfter(said, extract(truncate(question, questionLength), sources) ?? noAnswer);
  return { text, usage: usageOf([question, ...sources.map((source) => source.text)].join(" "), text) };
}

/** The rest of an answer after `partial`; the whole as a new paragraph if `partial` is something else. */
function remainderAfter(partial: string, text: string): string {
  if (text.startsWith(partial)) return text.slice(partial.length);
  return `\n\n${text}`;
}

function lastQuestion(prompt: LanguageModelV4CallOptions["prompt"]): string {
  const message = prompt.findLast(({ role }) => role === "user");
  if (message?.role !== "user") return "";
  return message.content.map((part) => (part.type === "text" ? part.text : "")).join(" ");
}

/** Counts words: there is no tokenizer, and nobody is billed. */
function usageOf(input: string, output: string): LanguageModelV4Usage {
  const [inputTokens, outputTokens] = [countWords(input), countWords(output)];
  return {
    inputTokens: { total: inputTokens, noCache: inputTokens, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: outputTokens, text: outputTokens, reasoning: 0 },
  };
}

function countWords(text: string): number {
  let count = 0;
  for (const _ of text.matchAll(/\S+/g)) count += 1;
  return count;
}
