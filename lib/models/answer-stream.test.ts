import { once } from "node:events";
import { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HeldText, HoldUntilCommit } from "@/lib/next-commit";
import { truncatedReason } from "./answer-events";
import { answerStream } from "./answer-stream";
import { ChatReader } from "./chat-reader";
import { Normaliser } from "./normaliser";

const never: HoldUntilCommit = () => false;
const open = (source: Readable, hold: HoldUntilCommit) =>
  answerStream(source, { normaliser: new Normaliser(new ChatReader("http://provider")), hold });

/** One event-loop turn, in which the network would be polled. */
const aLook = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A chunk in canonical form. */
function chat(delta: object, finish_reason: string | null = null): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
}

const usage = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } })}\n\n`;
const stop = chat({}, "stop");

/** The output for these reads, one string per read. */
async function through(reads: Uint8Array[], hold = never): Promise<string[]> {
  const left = reads.filter((read) => read.length > 0);
  const source = new Readable({
    highWaterMark: 0,
    read() {
      void aLook().then(() => this.push(left.shift() ?? null));
    },
  });
  const pieces: string[] = [];
  for await (const piece of open(source, hold)) pieces.push(Buffer.from(piece).toString());
  return pieces;
}

it("joins the texts of one read, and keeps everything else in order", async () => {
  const wire = ["Hel", "lo", " ", "there"].map((content) => chat({ content })).join("") + stop + usage;
  expect(await through([Buffer.from(wire)])).toEqual([chat({ content: "Hello there" }) + stop + usage]);
});

it("has the same content, wherever reads are cut and whenever the log asks", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: "grapheme", minLength: 1 }), { minLength: 1, maxLength: 12 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
      async (texts, at, commits) => {
        const bytes = Buffer.from(`${texts.map((content) => chat({ content })).join("")}${stop}data: [DONE]\n\n`);
        const ends = [...new Set(at.map((place) => place % bytes.length))].sort((x, y) => x - y);
        const reads = [0, ...ends].map((start, index) => bytes.subarray(start, ends[index] ?? bytes.length));
        let asked = 0;
        const hold: HoldUntilCommit = ({ prepare, release }) => {
          if (!commits[asked++ % commits.length]) return false;
          void aLook().then(prepare).then(aLook).then(release);
          return true;
        };
        const frames = (await through(reads, hold)).join("").split("\n\n").filter(Boolean);
        const choices = frames.map((frame) => JSON.parse(frame.slice(6)).choices[0]);
        expect(choices.map(({ delta }) => delta.content ?? "").join("")).toBe(texts.join(""));
        expect(choices.at(-1).finish_reason).toBe("stop");
      },
    ),
  );
});

describe("a complete answer", () => {
  it("ends at its end marker even if the connection stays open, and closes it", async () => {
    const { reader, source, say } = scripted();
    const first = reader.read();
    await say(`${chat({ content: "a" })}${stop}data: [DONE]\n\n`);
    expect(await textOf(first)).toBe(chat({ content: "a" }) + stop);
    expect((await reader.read()).done).toBe(true);
    expect(source.destroyed).toBe(false);
    await once(source, "close");
  });

  it("ends soon after its finish reason, even if nothing follows", async () => {
    const { reader, source, say } = scripted();
    const first = reader.read();
    await say(chat({ content: "a" }) + stop);
    await first;
    expect((await reader.read()).done).toBe(true);
    await once(source, "close");
  });

  it("has its usage, which follows the finish reason", async () => {
    const { reader, say } = scripted();
    const first = reader.read();
    await say(chat({ content: "a" }) + stop);
    await first;
    const second = reader.read();
    await say(`${usage}data: [DONE]\n\n`);
    expect(await textOf(second)).toBe(usage);
    expect((await reader.read()).done).toBe(true);
  });

  it("does not fail when its connection does", async () => {
    const { reader, source, say } = scripted();
    const first = reader.read();
    await say(chat({ content: "a" }) + stop);
    await first;
    source.destroy(new Error("reset"));
    expect((await reader.read()).done).toBe(true);
  });
});

it("is bytes to a reader, and strings to a decoder", async () => {
  const wire = chat({ content: "é\u{1F600}" }) + stop;
  const answer = () => open(Readable.from([Buffer.from(wire)]), never);
  const bytes = answer();
  expect((await bytes.getReader().read()).value).toEqual(new TextEncoder().encode(wire));
  const encoded = answer();
  const decoded = encoded.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>);
  // Nothing stands between them.
  expect(decoded).toBe(encoded);
  expect((await decoded.getReader().read()).value).toBe(wire);
  const other = answer().pipeThrough(new TransformStream());
  expect((await other.getReader().read()).value).toEqual(new TextEncoder().encode(wire));
});

it("a failure reported by the provider follows its text, and closes the connection", async () => {
  const { reader, source, say } = scripted();
  const first = reader.read();
  await say(`${chat({ content: "a" })}data: {"error":{"code":502}}\n\n${chat({ content: "b" })}`);
  expect(await textOf(first)).toBe(chat({ content: "a" }));
  await expect(reader.read()).rejects.toMatchObject({ statusCode: 502 });
  expect(source.destroyed).toBe(true);
});

it("counts any bytes as activity", async () => {
  const source = new Readable({ highWaterMark: 0, read() {} });
  let bytes = 0;
  const normaliser = new Normaliser(new ChatReader("http://provider"));
  const reader = answerStream(source, { normaliser, onBytes: () => bytes++, hold: never }).getReader();
  const first = reader.read();
  for (const text of [": waiting\n\n", "data: {", '"choices":[]}\n\n', chat({ content: "a" })]) {
    source.push(Buffer.from(text));
    await aLook();
  }
  await first;
  expect(bytes).toBe(4);
});

/** A controllable connection and log. */
function scripted() {
  /** Bytes in the system's buffers: all are handed over when the source reads. */
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

  const held: HeldText[] = [];
  const reader = open(source, (waiting) => held.push(waiting) > 0).getReader();
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
    /** Prepares the last held text: the log is about to begin a commit. */
    async prepare() {
      held.at(-1)?.prepare();
      await aLook();
    },
    release: () => held.at(-1)?.release(),
  };
}

/** One text already read, one waiting. */
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

describe("text held between two commits", () => {
  it("stays in the socket until the log asks, then passes as one piece; the first text is never held", async () => {
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

  it("is held again before the next read", async () => {
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

  it("is read as it arrives after a commit without text, until text is held again", async () => {
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
    ["a refusal", chat({ refusal: "no" })],
    ["the finish reason", stop],
    ["reasoning", chat({ reasoning_content: "x" })],
  ];

  it.each(others)("is released with %s when the log asks, in order", async (_, next) => {
    const { second, unread, say, prepare } = await waiting("b");
    await say(next);
    expect(unread).toHaveLength(1);
    await prepare();
    expect(await textOf(second)).toBe(chat({ content: "b" }) + next);
  });

  it.each(others)("is not held when %s arrived with it", async (_, next) => {
    const { reader, held, say } = scripted();
    const first = reader.read();
    await say(chat({ content: "a" }));
    await first;
    await say(chat({ content: "b" }) + next);
    expect(await textOf(reader.read())).toBe(chat({ content: "b" }) + next);
    expect(held).toHaveLength(0);
  });

  it("is released when the source ends", async () => {
    const { reader, second, end, prepare } = await waiting("b");
    await end();
    await prepare();
    expect(await textOf(second)).toBe(chat({ content: "b" }) + chat({}, truncatedReason));
    expect((await reader.read()).done).toBe(true);
  });

  it("is not held when the end arrived with it", async () => {
    const { source, reader, say } = scripted();
    const first = reader.read();
    await say(chat({ content: "a" }));
    await first;
    const second = reader.read();
    source.push(Buffer.from(chat({ content: "b" })));
    source.push(null);
    expect(await textOf(second)).toBe(chat({ content: "b" }) + chat({}, truncatedReason));
    expect((await reader.read()).done).toBe(true);
  });

  it("is released before a failure", async () => {
    const { reader, second, source, prepare, release } = await waiting("b");
    source.destroy(new Error("reset"));
    expect(await textOf(second)).toBe(chat({ content: "b" }));
    await expect(reader.read()).rejects.toThrow("reset");
    await prepare();
    release();
  });

  it("is released even when large", async () => {
    const { second, prepare, release } = await waiting("b".repeat(200_000));
    await prepare();
    release();
    expect(await textOf(second)).toBe(chat({ content: "b".repeat(200_000) }));
  });

  it("is dropped when the reader cancels, and the source is destroyed", async () => {
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
  it("is not read without a reader", async () => {
    const { reader, unread, source, say } = scripted();
    for (const text of ["a", "b", "c", "d"]) await say(chat({ refusal: text }));
    expect(unread).toHaveLength(3);
    expect(await textOf(reader.read())).toBe(chat({ refusal: "a" }));
    await aLook();
    expect(unread).toHaveLength(3);
    expect(source.readableLength).toBe(0);
    expect(await textOf(reader.read())).toBe(["b", "c", "d"].map((name) => chat({ refusal: name })).join(""));
  });

  it("fails after its complete events, and drops an incomplete one", async () => {
    const { reader, source } = scripted();
    await aLook();
    source.push(Buffer.from(`${chat({ content: "a" })}data: {"choi`));
    source.destroy(new Error("reset"));
    await aLook();
    expect(await textOf(reader.read())).toBe(chat({ content: "a" }));
    await expect(reader.read()).rejects.toThrow("reset");
  });

  it("delivers its text through piped streams before its failure", async () => {
    const source = new Readable({ highWaterMark: 0, read() {} });
    // As many as in the SDK.
    let stream = open(source, never);
    for (let behind = 0; behind < 8; behind++) stream = stream.pipeThrough(new TransformStream());
    const reader = stream.getReader();
    const first = reader.read();
    source.push(Buffer.from(chat({ content: "a" })));
    source.destroy(new Error("reset"));
    expect(await textOf(first)).toBe(chat({ content: "a" }));
    await expect(reader.read()).rejects.toThrow("reset");
  });

  it("fails when it is closed before its end", async () => {
    const { reader, source } = scripted();
    const first = reader.read();
    source.destroy();
    await expect(first).rejects.toMatchObject({ code: "ERR_STREAM_PREMATURE_CLOSE" });
  });

  it("is destroyed when the stream is cancelled before anything arrived", async () => {
    const { reader, source } = scripted();
    await reader.cancel();
    expect(source.destroyed).toBe(true);
  });
});
