import { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HoldUntilCommit, Waiting } from "@/lib/next-commit";
import { type ShapeName, writerFor } from "@/test/provider-shapes";
import { joinFrames } from "./join-frames";

const never: HoldUntilCommit = () => false;

/** A loop's turn, in which the network would be looked at. */
const aLook = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What comes out for these reads, one string a read; `look` says when each is there. */
async function through(reads: Uint8Array[], hold = never, look = async () => {}): Promise<string> {
  const left = reads.filter((read) => read.length > 0);
  const source = new Readable({
    highWaterMark: 0,
    read() {
      void look().then(() => this.push(left.shift() ?? null));
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
          const hold: HoldUntilCommit = ({ prepare, release }) => {
            if (!commits[asked++ % commits.length]) return false;
            void aLook().then(prepare).then(aLook).then(release);
            return true;
          };
          expect(meaningOf(await through(cut(Buffer.from(text), at), hold, aLook))).toEqual(meaningOf(text));
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

/** A connection and a log that do what they are told. */
function scripted() {
  /** What the system holds: all of it is handed over when the source reads. */
  const unread: (Buffer | null)[] = [];
  let wanted = false;
  const source = new Readable({
    highWaterMark: 0,
    read() {
      wanted = true;
      arrive();
    },
  });
  function arrive() {
    if (!wanted || unread.length === 0) return;
    wanted = false;
    const bytes = unread.filter((next) => next !== null);
    const ended = bytes.length < unread.length;
    unread.length = 0;
    if (bytes.length > 0) source.push(Buffer.concat(bytes));
    if (ended) source.push(null);
  }

  const held: Waiting[] = [];
  const reader = joinFrames(source, (waiting) => held.push(waiting) > 0).getReader();
  async function put(next: Buffer | null): Promise<void> {
    unread.push(next);
    arrive();
    await aLook();
  }
  return {
    source,
    unread,
    held,
    reader,
    say: (text: string) => put(Buffer.from(text)),
    end: () => put(null),
    /** Of the last that waits: the log is about to begin a commit. */
    async prepare() {
      held.at(-1)?.prepare();
      await aLook();
    },
    release: () => held.at(-1)?.release(),
  };
}

/** One text that was read, one that waits. */
async function waiting(text = "b") {
  const script = scripted();
  const first = script.reader.read();
  await script.say(chat({ content: "a" }));
  expect(await textOf(first)).toBe(chat({ content: "a" }));
  expect(script.held).toHaveLength(0);
  const second = script.reader.read();
  await script.say(chat({ content: text }));
  expect(script.held).toHaveLength(1);
  return { ...script, second };
}

async function textOf(read: Promise<ReadableStreamReadResult<Uint8Array>>): Promise<string> {
  const { value } = await read;
  return Buffer.from(value ?? []).toString();
}

describe("text between two commits", () => {
  it("stays in the system until the log asks for it, goes on as one, and the first never waits", async () => {
    const { unread, second, say, prepare, release } = await waiting("b");
    let given = false;
    void second.then(() => (given = true));
    await say(chat({ content: "c" }));
    await say(chat({ content: "d" }));
    expect(unread).toHaveLength(2);
    await prepare();
    expect(unread).toHaveLength(0);
    await say(chat({ content: "e" }));
    expect([given, unread.length]).toEqual([false, 1]);
    release();
    expect(await textOf(second)).toBe(chat({ content: "bcd" }));
  });

  it("waits again where it had to wait, before the next is read", async () => {
    const { held, reader, unread, second, say, prepare, release } = await waiting("b");
    await say(chat({ content: "c" }));
    await prepare();
    release();
    expect(await textOf(second)).toBe(chat({ content: "bc" }));
    expect(held).toHaveLength(2);
    const third = reader.read();
    await say(chat({ content: "d" }));
    await say(chat({ content: "e" }));
    expect(unread).toHaveLength(2);
    await prepare();
    release();
    expect(await textOf(third)).toBe(chat({ content: "de" }));
  });

  it("is read as it comes after a turn that brought nothing, until it waits anew", async () => {
    const { held, reader, unread, second, say, prepare, release } = await waiting("b");
    for (const _ of ["what waited", "nothing"]) {
      await prepare();
      release();
    }
    await second;
    expect(held).toHaveLength(2);
    const third = reader.read();
    await say(chat({ content: "c" }));
    expect([held.length, unread.length]).toEqual([3, 0]);
    release();
    expect(await textOf(third)).toBe(chat({ content: "c" }));
  });

  const others: [string, string][] = [
    ["a tool call", chat({ tool_calls: [{ index: 0 }] })],
    ["the end of the answer", chat({}, "1", { finish_reason: "stop" })],
    ["another answer's text", chat({ content: "x" }, "2", { logprobs: {} })],
    ["an error", `data: {"error":{"message":"gone"}}\n\n`],
    ["the end mark", "data: [DONE]\n\n"],
  ];

  it.each(others)("goes on with %s as soon as the log asks, each in its place", async (_, next) => {
    const { reader, second, unread, say, prepare } = await waiting("b");
    await say(next);
    expect(unread).toHaveLength(1);
    await prepare();
    expect((await textOf(second)) + (await textOf(reader.read()))).toBe(chat({ content: "b" }) + next);
  });

  it.each(others)("does not wait when %s came with it", async (_, next) => {
    const { reader, held, say } = scripted();
    const first = reader.read();
    await say(chat({ content: "a" }));
    await first;
    await say(chat({ content: "b" }) + next);
    expect(await textOf(reader.read())).toBe(chat({ content: "b" }) + next);
    expect(held).toHaveLength(0);
  });

  it("is text of two answers: the one goes on, the other waits", async () => {
    const { reader, second, say, prepare, release } = await waiting("b");
    await say(chat({ content: "x" }, "2"));
    await prepare();
    expect(await textOf(second)).toBe(chat({ content: "b" }));
    const third = reader.read();
    release();
    expect(await textOf(third)).toBe(chat({ content: "x" }, "2"));
  });

  it("goes on when the source ends", async () => {
    const { reader, second, end, prepare } = await waiting("b");
    await end();
    await prepare();
    expect(await textOf(second)).toBe(chat({ content: "b" }));
    expect((await reader.read()).done).toBe(true);
  });

  it("does not wait when the end came with it", async () => {
    const { source, reader, say } = scripted();
    const first = reader.read();
    await say(chat({ content: "a" }));
    await first;
    const second = reader.read();
    source.push(Buffer.from(chat({ content: "b" })));
    source.push(null);
    expect(await textOf(second)).toBe(chat({ content: "b" }));
    expect((await reader.read()).done).toBe(true);
  });

  it("goes on before a failure", async () => {
    const { reader, second, source, prepare, release } = await waiting("b");
    source.destroy(new Error("reset"));
    expect(await textOf(second)).toBe(chat({ content: "b" }));
    await expect(reader.read()).rejects.toThrow("reset");
    await prepare();
    release();
  });

  it("goes on when there is much of it", async () => {
    const { second, prepare, release } = await waiting("b".repeat(200_000));
    await prepare();
    release();
    expect(await textOf(second)).toBe(chat({ content: "b".repeat(200_000) }));
  });

  it("is let go of when nobody wants it any more, and so is the source", async () => {
    const { source, reader, second, say, prepare, release } = await waiting("b");
    await say(chat({ content: "c" }));
    await reader.cancel("enough");
    expect(source.destroyed).toBe(true);
    await prepare();
    release();
    expect((await second).done).toBe(true);
  });
});

describe("a source", () => {
  it("is not read for nobody", async () => {
    const { reader, unread, source, say } = scripted();
    for (const text of ["a", "b", "c", "d"]) await say(chat({ tool_calls: [text] }));
    expect(unread).toHaveLength(3);
    expect(await textOf(reader.read())).toBe(chat({ tool_calls: ["a"] }));
    await aLook();
    expect(unread).toHaveLength(3);
    expect(source.readableLength).toBe(0);
    expect(await textOf(reader.read())).toBe(["b", "c", "d"].map((name) => chat({ tool_calls: [name] })).join(""));
  });

  it("fails behind what had come before, and without what was not whole", async () => {
    const { reader, source } = scripted();
    await aLook();
    source.push(Buffer.from(`${chat({ content: "a" })}data: {"choi`));
    source.destroy(new Error("reset"));
    await aLook();
    expect(await textOf(reader.read())).toBe(chat({ content: "a" }));
    await expect(reader.read()).rejects.toThrow("reset");
  });

  it("gives its text to the streams behind before its failure", async () => {
    const source = new Readable({ highWaterMark: 0, read() {} });
    // As many as the SDK has.
    let stream = joinFrames(source, never);
    for (let behind = 0; behind < 8; behind++) stream = stream.pipeThrough(new TransformStream());
    const reader = stream.getReader();
    const first = reader.read();
    source.push(Buffer.from(chat({ content: "a" })));
    source.destroy(new Error("reset"));
    expect(await textOf(first)).toBe(chat({ content: "a" }));
    await expect(reader.read()).rejects.toThrow("reset");
  });

  it("that is closed before its end has failed", async () => {
    const { reader, source } = scripted();
    const first = reader.read();
    source.destroy();
    await expect(first).rejects.toMatchObject({ code: "ERR_STREAM_PREMATURE_CLOSE" });
  });

  it("is destroyed when the stream is cancelled before anything came", async () => {
    const { reader, source } = scripted();
    await reader.cancel();
    expect(source.destroyed).toBe(true);
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
