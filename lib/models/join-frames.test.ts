import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ShapeName, writerFor } from "@/test/provider-shapes";
import { joinFrames } from "./join-frames";

/** What comes out for these reads, one string a read. */
async function through(reads: Uint8Array[]): Promise<string> {
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const read of reads) controller.enqueue(read);
      controller.close();
    },
  });
  const pieces: Uint8Array[] = [];
  for await (const piece of joinFrames(source)) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

type Event = {
  type?: string;
  delta?: unknown;
  choices?: { delta: Record<string, unknown>; finish_reason: unknown }[];
};

function eventsOf(text: string): (Event | string)[] {
  return text
    .split("\n\n")
    .filter(Boolean)
    .map((event) => event.split("\n").findLast((line) => line.startsWith("data: ")) ?? event)
    .map((line) => (line.startsWith("data: {") ? (JSON.parse(line.slice(6)) as Event) : line));
}

/** Everything an answer says: its text as one, and whatever else there is in its place between. */
function meaningOf(text: string): unknown[] {
  const meaning: unknown[] = [];
  for (const event of eventsOf(text)) {
    const delta =
      typeof event === "string"
        ? null
        : event.type === "response.output_text.delta"
          ? event.delta
          : event.choices?.[0]?.delta.content;
    const last = meaning.at(-1) as { text?: string } | undefined;
    if (typeof delta === "string" && last?.text !== undefined) last.text += delta;
    else meaning.push(typeof delta === "string" ? { text: delta } : event);
  }
  return meaning;
}

function answer(shape: ShapeName, texts: string[]): string {
  const writer = writerFor(shape, 1, "scripted", true);
  const half = Math.ceil(texts.length / 2);
  return [
    writer.open(),
    ...texts.slice(0, half).map((text) => writer.text(text)),
    ...writer.tool("add_task", ['{"title"', ':"Milk"}']),
    ...texts.slice(half).map((text) => writer.text(text)),
    writer.finish("stop", { input: 1, output: texts.length }),
  ].join("");
}

function cut(bytes: Buffer, at: number[]): Buffer[] {
  const ends = [...new Set(at.map((place) => place % bytes.length))].sort((x, y) => x - y);
  return [0, ...ends].map((start, index) => bytes.subarray(start, ends[index] ?? bytes.length));
}

describe.each<ShapeName>(["chat", "responses"])("%s", (shape) => {
  it("joins the deltas that one read brings, and keeps everything else in its place", async () => {
    const text = answer(shape, ["Hel", "lo", " ", "there"]);
    const joined = await through([Buffer.from(text)]);
    expect(meaningOf(joined)).toEqual(meaningOf(text));
    expect(eventsOf(joined).length).toBe(eventsOf(text).length - 2);
  });

  it("means the same, wherever the reads are cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: "grapheme" }), { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        async (texts, at) => {
          const text = answer(shape, texts);
          expect(meaningOf(await through(cut(Buffer.from(text), at)))).toEqual(meaningOf(text));
        },
      ),
    );
  });

  it("passes one event a read as it is", async () => {
    const writer = writerFor(shape, 1, "scripted", true);
    const events = [writer.open(), writer.text("a"), writer.text("b")];
    expect(await through(events.map((event) => Buffer.from(event)))).toBe(events.join(""));
  });
});

it.each([
  ["two answers in one", `${chat({ content: "a" }, "1")}${chat({ content: "b" }, "2")}`],
  ["an event with its log probabilities", `${chat({ content: "a" })}${chat({ content: "b" }, "1", { logprobs: {} })}`],
  ["an event that is the last", `${chat({ content: "a" })}${chat({ content: "b" }, "1", { finish_reason: "stop" })}`],
  ["an event that says more than text", `${chat({ content: "a" })}${chat({ content: "b", refusal: "no" })}`],
  ["no JSON", `data: {"choices":[\n\ndata: {"choices":[\n\n${chat({ content: "a" })}`],
  [
    "an error in the stream",
    `${chat({ content: "a" })}data: {"error":{"message":"gone"}}\n\n${chat({ content: "b" })}`,
  ],
  ["lines that end with CR LF", chat({ content: "a" }).repeat(2).replaceAll("\n", "\r\n")],
  ["an end in the middle of an event", `${chat({ content: "a" })}data: {"choi`],
  ["comments", `: waiting\n\n${chat({ content: "a" })}: waiting\n\n`],
  ["HTML", "<html>\n\n<p>Bad gateway</p>\n\n</html>"],
])("leaves %s alone", async (_, text) => {
  expect(await through([Buffer.from(text)])).toBe(text);
});

it("keeps characters whole that reads cut in two", async () => {
  const text = chat({ content: "日本" }).repeat(3);
  const bytes = Buffer.from(text);
  const reads = Array.from(bytes, (byte) => Buffer.from([byte]));
  expect(await through(reads)).toBe(text);
});

function chat(delta: object, id = "1", choice: object = {}): string {
  return `data: ${JSON.stringify({ id, choices: [{ index: 0, delta, finish_reason: null, ...choice }] })}\n\n`;
}
