import { createParser, type EventSourceMessage } from "eventsource-parser";
import fc from "fast-check";
import { expect, it, vi } from "vitest";
import { countCases, sized } from "@/test/chaos/trial";
import { processSingletons } from "./process-singletons";
import { BrokenStream, eventStream, formatFrame, type Layout } from "./sse";

const opening = ": open\n";
const heartbeat = ": heartbeat\n";
const retry = "retry: 1000\n";
/** No heartbeats in tests that are not about them. */
const never = 3_600_000;

/** A stream whose blocks the test hands out one by one; `asked` counts the requests for more. */
function controlled(heartbeatMs = never, layout?: Layout) {
  const waiting: PromiseWithResolvers<string | null>[] = [];
  const closed: unknown[][] = [];
  const asks: (() => void)[] = [];
  const state = { asked: 0 };
  const body = eventStream({
    heartbeatMs,
    layout,
    next: () => {
      state.asked++;
      const answer = Promise.withResolvers<string | null>();
      waiting.push(answer);
      for (const look of asks.splice(0)) look();
      return answer.promise;
    },
    close: (...args) => closed.push(args),
  });
  const reader = body.getReader();
  const decoder = new TextDecoder();
  return {
    state,
    closed,
    reader,
    read: async () => {
      const { done, value } = await reader.read();
      return done ? null : decoder.decode(value);
    },
    /** The n-th request for a block, from 1, once made. */
    async question(n: number) {
      while (waiting.length < n) await new Promise<void>((resolve) => asks.push(resolve));
      return waiting[n - 1] as PromiseWithResolvers<string | null>;
    },
  };
}

/** Lets everything due in this turn of the event loop happen. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

it("writes fields in the order event, data, id, and omits missing ones", () => {
  expect(formatFrame({ event: "e", data: "d", id: "i" })).toBe("event: e\ndata: d\nid: i\n\n");
  expect(formatFrame({ data: "d" })).toBe("data: d\n\n");
  expect(formatFrame({ data: "" })).toBe("data: \n\n");
});

it("escapes characters that some clients treat as line ends", () => {
  const { data } = { data: JSON.stringify("a\u0085b\u2028c\u2029d") };
  const block = formatFrame({ data });
  expect(block).toBe('data: "a\\u0085b\\u2028c\\u2029d"\n\n');
  expect(JSON.parse(block.slice(6))).toBe("a\u0085b\u2028c\u2029d");
});

it("bare format: a block with data has a single data line", async () => {
  expect(formatFrame({ data: "d", id: "i" }, "bare")).toBe("id: i\n\ndata: d\n\n");
  const stream = controlled(never, "bare");
  expect(await stream.read()).toBe(": open\n\nretry: 1000\n\n");
  (await stream.question(1)).resolve("data: d\n\n");
  expect(await stream.read()).toBe("data: d\n\n");
});

/** A client parser's reading of the body in these pieces. */
function parsed(pieces: Uint8Array[]): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onError: (error) => expect.fail(String(error)),
  });
  const decoder = new TextDecoder();
  for (const piece of pieces) parser.feed(decoder.decode(piece, { stream: true }));
  return events;
}

it("I19: every string round-trips, wherever the bytes are cut", (context) => {
  const awkward = ["\r", "\n", "\r\n", "\0", "\ufeff", "\u0085", "\u2028", "\u2029", "\ud800", "\udc00", "👋"];
  const syntax = ["data: ", "data:", "id: 7", "event: x", "retry: 1", ": ", "[DONE]", '"', "\\", "\n\n"];
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) }),
    fc.array(fc.constantFrom(...awkward, ...syntax)).map((all) => all.join("")),
  );
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 3 }), (texts) => {
      const frames = texts.map((each, index) =>
        formatFrame({ event: "e", data: JSON.stringify(each), id: `${index}` }),
      );
      const bytes = new TextEncoder().encode(opening + retry + frames.join(heartbeat));
      const expected = texts.map((data, index) => ({ event: "e", data, id: `${index}` }));
      const read = (pieces: Uint8Array[]) =>
        parsed(pieces).map((event) => ({ ...event, data: JSON.parse(event.data) }));
      for (let cut = 0; cut <= bytes.length; cut++)
        expect(read([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(expected);
      expect(read(Array.from(bytes, (_, at) => bytes.subarray(at, at + 1)))).toEqual(expected);
      countCases(context, bytes.length + 2);
    }),
    { numRuns: sized(100, 1_000) },
  );
});

it("sends the opening comment before awaiting anything", async () => {
  const stream = controlled();
  expect(await stream.read()).toBe(opening);
});

it("I13: pulls more only after the client has read everything", async () => {
  const stream = controlled();
  await settle();
  expect(stream.state.asked).toBe(0);
  await stream.read();
  (await stream.question(1)).resolve("one\n\n");
  await settle();
  expect(stream.state.asked).toBe(1);
  // `retry` alone would be an empty event for some clients.
  expect(await stream.read()).toBe(`${retry}one\n\n`);
  await settle();
  expect(stream.state.asked).toBe(2);
});

it("ends when the source ends, and adds nothing", async () => {
  const stream = controlled();
  await stream.read();
  (await stream.question(1)).resolve(null);
  expect(await stream.read()).toBeNull();
  expect(stream.closed).toEqual([[undefined]]);
  await stream.reader.cancel();
  expect(stream.closed).toHaveLength(1);
});

it("ends after its last blocks, and pulls no more", async () => {
  let asked = 0;
  let closed = 0;
  const body = eventStream({
    heartbeatMs: never,
    next: async () => `data: ${++asked}\n\n`,
    isLast: () => asked === 2,
    close: () => closed++,
  });
  expect(await new Response(body).text()).toBe(`${opening}${retry}data: 1\n\ndata: 2\n\n`);
  expect([asked, closed]).toEqual([2, 1]);
});

it("I6: breaks the connection when the source fails, and reports the error once", async () => {
  const stream = controlled();
  await stream.read();
  const error = new Error("broken");
  (await stream.question(1)).reject(error);
  await expect(stream.read()).rejects.toThrow(BrokenStream);
  expect(stream.closed).toEqual([[error]]);
});

it("I6: breaks the connection when the source aborts it, without reporting an error", async () => {
  const stream = controlled();
  await stream.read();
  (await stream.question(1)).reject(new BrokenStream("the server stops"));
  await expect(stream.read()).rejects.toThrow(BrokenStream);
  expect(stream.closed).toEqual([[undefined]]);
});

it.each<[string, (answer: PromiseWithResolvers<string | null>) => void]>([
  ["brings blocks", (answer) => answer.resolve("late\n\n")],
  ["brings the end", (answer) => answer.resolve(null)],
  ["fails", (answer) => answer.reject(new Error("late"))],
])("closes once when the client leaves, even if the source then %s", async (_, answer) => {
  const stream = controlled();
  await stream.read();
  const question = await stream.question(1);
  await stream.reader.cancel();
  expect(stream.closed).toEqual([[undefined]]);
  answer(question);
  await settle();
  expect(stream.closed).toHaveLength(1);
  expect(stream.state.asked).toBe(1);
});

it("closes when the client leaves before reading anything", async () => {
  const stream = controlled();
  await stream.reader.cancel();
  expect(stream.closed).toHaveLength(1);
});

it("sends heartbeats only after silence, and only while the client reads", async () => {
  vi.useFakeTimers();
  // Replaces the process's one heartbeat timer: the tests above started it on the real clock.
  const heartbeats = processSingletons.get("heartbeats") as { timer: NodeJS.Timeout };
  clearInterval(heartbeats.timer);
  processSingletons.delete("heartbeats");
  try {
    const stream = controlled(1_000);
    const idle = controlled(1_000);
    await stream.read();
    const blocks: (string | null)[] = [];
    const pump = async () => {
      for (let block = await stream.read(); block !== null; block = await stream.read()) blocks.push(block);
    };
    const pumping = pump();
    await vi.advanceTimersByTimeAsync(850);
    expect(blocks).toEqual([]);
    await vi.advanceTimersByTimeAsync(150);
    expect(blocks).toEqual([heartbeat]);
    await vi.advanceTimersByTimeAsync(500);
    (await stream.question(1)).resolve("word\n\n");
    await vi.advanceTimersByTimeAsync(800);
    expect(blocks).toEqual([heartbeat, `${retry}word\n\n`]);
    await vi.advanceTimersByTimeAsync(200);
    expect(blocks).toEqual([heartbeat, `${retry}word\n\n`, heartbeat]);
    (await stream.question(2)).resolve(null);
    await pumping;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(blocks).toHaveLength(3);
    // Five seconds of silence, and only the opening is buffered for the client that did not read.
    expect(await idle.read()).toBe(opening);
    const next = idle.read();
    (await idle.question(1)).resolve("first\n\n");
    expect(await next).toBe(`${retry}first\n\n`);
  } finally {
    vi.useRealTimers();
  }
});
