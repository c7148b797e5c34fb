import { generateText, streamText } from "ai";
import { describe, expect, it } from "vitest";
import { underLoad } from "@/test/under-load";
import { type LocalOptions, localModel, parseLocalOptions } from "./local";

const sources: LocalOptions["sources"] = [
  {
    ordinal: 1,
    title: "Protocol",
    heading: "Protocol › SSE rules",
    text: [
      "- A comment line goes out at once, then one after every **15 s** of silence (`: heartbeat`).",
      "- One block = one write.",
      "",
      "A live turn is never answered with a status other than 200 on resume.",
      "",
      "```",
      "heartbeat seconds silence comment",
      "```",
    ].join("\n"),
  },
  {
    ordinal: 2,
    title: "Operations",
    text: "Heartbeats keep a proxy from closing an idle connection. Their interval is set with `HEARTBEAT_MS`. Backups are made with pg_dump.",
  },
];

const options = (question: string, passages: LocalOptions["sources"], said?: string) => ({
  model: localModel(),
  prompt: question || " ",
  providerOptions: { rivulet: { question, sources: passages, ...(said && { said }) } },
});
/** Not streamed, so that nothing waits for the pacing of words. */
const ask = (question: string, passages = sources) => generateText(options(question, passages));
const stream = (question: string) => streamText(options(question, sources));

describe("an answer", () => {
  it("quotes only fitting sentences, each with its passage", async () => {
    const text = (await ask("How often is a heartbeat comment sent during silence?")).text;
    expect(text).toBe(
      "A comment line goes out at once, then one after every 15 s of silence (: heartbeat) [1]. One block = one write [1].",
    );
  });

  it("prefers the passage that answers over the one that comes first", async () => {
    const text = (await ask("How are backups made?")).text;
    expect(text).toContain("Backups are made with pg_dump [2].");
    expect(text).not.toContain("[1]");
  });

  it.each([
    ["nothing fits", "Who painted the Mona Lisa?", sources],
    ["there are no sources", "How often is a heartbeat sent?", []],
    ["it is a greeting", "Hello!", []],
    ["the question is empty", "", sources],
  ])("admits it when %s", async (_, question, passages) => {
    const text = (await ask(question, passages)).text;
    expect(text).toContain("None of the passages in your documents answers this.");
    expect(text).toContain("set OPENAI_API_KEY or OLLAMA_BASE_URL and restart");
    expect(text).not.toMatch(/\[\d/);
  });

  it("does not repeat a sentence", async () => {
    const text = "Fencing keeps an old writer from appending to the log.";
    const twice = [1, 2].map((ordinal) => ({ ordinal, title: "T", text }));
    expect((await ask("What does fencing keep an old writer from?", twice)).text).toBe(
      "Fencing keeps an old writer from appending to the log [1].",
    );
  });

  it("reads a table row when that is where the answer is", async () => {
    const table = "| variable | default | meaning |\n|---|---|---|\n| `PORT` | 3000 | where the server listens |";
    const text = (await ask("On which port does the server listen?", [{ ordinal: 1, title: "Settings", text: table }]))
      .text;
    expect(text).toBe("PORT – 3000 – where the server listens [1].");
  });

  it("has a finish reason and counts words", async () => {
    const { finishReason, rawFinishReason, usage, text } = await ask("How are backups made?");
    expect({ finishReason, rawFinishReason }).toEqual({ finishReason: "stop", rawFinishReason: "stop" });
    expect(usage.outputTokens).toBe(text.split(/\s+/).length);
  });

  it("takes the question from the prompt when there are no passages", async () => {
    const { usage, text } = await generateText({ model: localModel(), prompt: "Four words are here" });
    expect(text).toContain("None of the passages");
    expect(usage.inputTokens).toBe(4);
  });
});

describe("a continued answer", () => {
  const question = "How are backups made?";
  const goOn = async (said: string) => (await streamText(options(question, sources, said)).text) as string;

  it("adds the rest, wherever it was cut", async () => {
    const { text } = await ask(question);
    // Within words, between them, and at both ends.
    for (const at of [0, 1, 7, 8, 9, text.length - 1, text.length])
      expect(text.slice(0, at) + (await goOn(text.slice(0, at)))).toBe(text);
  });

  it("adds all of it after another model's text", async () => {
    expect(await goOn("Backups are a")).toBe(`\n\n${(await ask(question)).text}`);
  });
});

describe("the stream", () => {
  it("sends the first word at once and the rest word by word", async () => {
    const arrivals: number[] = [];
    const startMs = performance.now();
    for await (const _ of stream("How are backups made?").textStream) arrivals.push(performance.now() - startMs);
    expect(arrivals.length).toBeGreaterThan(5);
    expect(arrivals[0]).toBeLessThan(underLoad(100));
    // 20 ms per word; timers may be late, but never early by more than a millisecond per word.
    expect(arrivals.at(-1)).toBeGreaterThan((arrivals.length - 1) * 19);
  });

  it("equals the non-streamed answer", async () => {
    const question = "How are backups made?";
    const result = stream(question);
    expect(await result.text).toBe((await ask(question)).text);
    expect(await result.rawFinishReason).toBe("stop");
  });

  it("ends at once when aborted", async () => {
    const abort = new AbortController();
    const { stream } = await localModel().doStream({
      prompt: [],
      abortSignal: abort.signal,
      providerOptions: { rivulet: { question: "How are backups made?", sources } },
    });
    const reader = stream.getReader();
    await reader.read();
    await reader.read();
    await reader.read();
    const next = reader.read();
    abort.abort();
    await expect(next).rejects.toMatchObject({ name: "AbortError" });
  });
});

it("accepts only its own options", () => {
  expect(parseLocalOptions({ question: "q", sources: [] })).toEqual({ question: "q", said: "", sources: [] });
  expect(() => parseLocalOptions({ question: 1 })).toThrow();
  expect(() => parseLocalOptions({ question: "q", sources: [{ ordinal: 0, title: "t", text: "x" }] })).toThrow();
});
