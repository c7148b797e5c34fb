import { expect, test } from "vitest";
import { bufferText } from "./buffer-text.ts";
import type { ChatEvent } from "./chat-events.ts";

const text = (delta: string): ChatEvent => ({ type: "text", delta });

async function* from(...events: (ChatEvent | Error | Promise<ChatEvent>)[]): AsyncGenerator<ChatEvent, void> {
  for (const event of events) {
    if (event instanceof Error) throw event;
    yield await event;
  }
}

async function all(events: AsyncIterable<ChatEvent>): Promise<ChatEvent[]> {
  const seen: ChatEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

test("flushes by count, in order, without losing the rest at the end", async () => {
  const status: ChatEvent = { type: "status", label: "…", done: false };
  const events = from(text("a"), text("b"), text("c"), status, text("d"), { type: "done" });
  expect(await all(bufferText(events, { pieces: 2, intervalMs: 60_000 }))).toEqual([
    text("ab"),
    text("c"),
    status,
    text("d"),
    { type: "done" },
  ]);
  expect(await all(bufferText(from(text("a"), text("b")), { intervalMs: 60_000 }))).toEqual([text("ab")]);
});

test("flushes by time while nothing more arrives", async () => {
  let go: (event: ChatEvent) => void = () => {};
  const later = new Promise<ChatEvent>((resolve) => {
    go = resolve;
  });
  const events = bufferText(from(text("a"), text("b"), later, text("c")), { intervalMs: 5 });
  expect(await events.next()).toEqual({ done: false, value: text("ab") });
  go(text("z"));
  expect(await all(events)).toEqual([text("zc")]);
});

test("a failure follows the text before it", async () => {
  const seen: ChatEvent[] = [];
  const reading = (async () => {
    for await (const event of bufferText(from(text("a"), text("b"), new Error("gone")), { intervalMs: 60_000 }))
      seen.push(event);
  })();
  await expect(reading).rejects.toThrow("gone");
  expect(seen).toEqual([text("ab")]);
});

test("leaving the loop closes the source", async () => {
  let left = false;
  async function* endless(): AsyncGenerator<ChatEvent, void> {
    try {
      for (;;) yield text("x");
    } finally {
      left = true;
    }
  }
  for await (const _ of bufferText(endless(), { pieces: 3, intervalMs: 60_000 })) break;
  expect(left).toBe(true);
});
