import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HoldUntilCommit } from "@/lib/next-commit";
import { type ShapeName, writerFor } from "@/test/provider-shapes";
import { joinFrames } from "./join-frames";

const never: HoldUntilCommit = () => false;

/** What comes out for these reads, one string a read. */
async function through(reads: Uint8Array[], hold = never): Promise<string> {
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const read of reads) controller.enqueue(read);
      controller.close();
    },
  });
  const pieces: Uint8Array[] = [];
  for await (const piece of joinFrames(source, hold)) pieces.push(piece);
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
        fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
        async (texts, at, commits) => {
          const text = answer(shape, texts);
          let asked = 0;
          const hold: HoldUntilCommit = (release) => {
            if (commits[asked++ % commits.length]) setImmediate(release);
            else return false;
            return true;
          };
          expect(meaningOf(await through(cut(Buffer.from(text), at), hold))).toEqual(meaningOf(text));
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

describe("text between two commits", () => {
  /** A source and a log that do what they are told. */
  function scripted() {
    let source!: ReadableStreamDefaultController<Uint8Array>;
    let release: (() => void) | undefined;
    const cancelled: unknown[] = [];
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        source = controller;
      },
      cancel: (reason) => void cancelled.push(reason),
    });
    const asked = { times: 0 };
    const reader = joinFrames(body, (given) => {
      asked.times++;
      release = given;
      return true;
    }).getReader();
    return {
      asked,
      cancelled,
      reader,
      /** Said, and read by whoever reads. */
      async say(text: string): Promise<void> {
        source.enqueue(Buffer.from(text));
        await new Promise((resolve) => setImmediate(resolve));
      },
      end: () => source.close(),
      fail: (error: Error) => source.error(error),
      commit: () => release?.(),
    };
  }

  async function textOf(read: Promise<ReadableStreamReadResult<Uint8Array>>): Promise<string> {
    const { value } = await read;
    return Buffer.from(value ?? []).toString();
  }

  it("is gathered until the log asks for it, once, and the first never waits", async () => {
    const { asked, reader, say, commit } = scripted();
    const first = reader.read();
    await say(chat({ content: "a" }));
    expect(await textOf(first)).toBe(chat({ content: "a" }));
    expect(asked.times).toBe(0);

    const second = reader.read();
    await say(chat({ content: "b" }));
    await say(chat({ content: "c" }));
    await say(chat({ content: "d" }));
    expect(asked.times).toBe(1);
    commit();
    expect(await textOf(second)).toBe(chat({ content: "bcd" }));
  });

  it.each([
    ["a tool call", chat({ tool_calls: [{ index: 0 }] })],
    ["the end of the answer", chat({}, "1", { finish_reason: "stop" })],
    ["another answer's text", chat({ content: "x" }, "2", { logprobs: {} })],
    ["an error", `data: {"error":{"message":"gone"}}\n\n`],
    ["the end mark", "data: [DONE]\n\n"],
  ])("goes on at once before %s", async (_, next) => {
    const { reader, say } = scripted();
    const first = reader.read();
    await say(chat({ content: "a" }));
    await first;
    const second = reader.read();
    await say(chat({ content: "b" }));
    await say(next);
    expect((await textOf(second)) + (await textOf(reader.read()))).toBe(chat({ content: "b" }) + next);
  });

  /** One text that was read, one that waits. */
  async function waiting(text: string) {
    const script = scripted();
    const first = script.reader.read();
    await script.say(chat({ content: "a" }));
    await first;
    const second = script.reader.read();
    await script.say(chat({ content: text }));
    return { ...script, second };
  }

  it("goes on when the source ends", async () => {
    const { reader, second, end } = await waiting("b");
    end();
    expect(await textOf(second)).toBe(chat({ content: "b" }));
    expect((await reader.read()).done).toBe(true);
  });

  it("goes on before a failure", async () => {
    const { reader, second, fail } = await waiting("b");
    fail(new Error("reset"));
    expect(await textOf(second)).toBe(chat({ content: "b" }));
    await expect(reader.read()).rejects.toThrow("reset");
  });

  it("goes on when there is much of it", async () => {
    const { second } = await waiting("b".repeat(20_000));
    expect(await textOf(second)).toBe(chat({ content: "b".repeat(20_000) }));
  });

  it("is let go of when nobody wants it any more", async () => {
    const { reader, say, commit, cancelled } = scripted();
    const first = reader.read();
    await say(chat({ content: "a" }));
    await first;
    const second = reader.read();
    await say(chat({ content: "b" }));
    await reader.cancel("enough");
    commit();
    expect((await second).done).toBe(true);
    expect(cancelled).toEqual(["enough"]);
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
