import { expect, test } from "vitest";
import { shortTurn, streamAfter, turnId } from "@/test/client/turn-script";
import type { Wake } from "./backoff.ts";
import { type Frame, StreamConnection } from "./stream-connection.ts";

const encoder = new TextEncoder();
const wire = streamAfter(shortTurn, null);
const expected = [
  ...shortTurn.map((chunk, index) => ({ data: JSON.stringify(chunk), id: `${turnId}.${index + 1}` })),
  { data: "[DONE]" },
];

/** A response whose body arrives in exactly these pieces. */
function response(pieces: Uint8Array[], type = "text/event-stream; charset=utf-8"): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
  return new Response(body, { headers: { "Content-Type": type } });
}

async function read(from: Response): Promise<Frame[]> {
  const signal = new AbortController().signal;
  const line = new StreamConnection({ signal, firstByteMs: 60_000, silenceMs: 60_000, wake: () => () => {} });
  const frames: Frame[] = [];
  try {
    for await (const frame of line.frames(from)) frames.push(frame);
  } finally {
    line.close();
  }
  return frames;
}

test.each([
  ["LF", wire],
  ["CRLF", wire.replaceAll("\n", "\r\n")],
  ["CR", wire.replaceAll("\n", "\r")],
  ["comments", wire.replaceAll("data:", ": one\n:two\ndata:").replaceAll("\n\n", "\n\n: heartbeat\n\n")],
  ["a byte order mark", `\uFEFF${wire}`],
])("reads %s, split at every byte", async (_name, text) => {
  const bytes = encoder.encode(text);
  expect(await read(response(Array.from(bytes, (byte) => Uint8Array.of(byte))))).toEqual(expected);
  for (let at = 0; at <= bytes.length; at++)
    expect(await read(response([bytes.slice(0, at), bytes.slice(at)]))).toEqual(expected);
});

test("rejects an HTML page instead of a stream", async () => {
  const page = response([encoder.encode("<html>Sign in</html>")], "text/html");
  await expect(read(page)).rejects.toMatchObject({ code: "bad_response", status: 200 });
});

test("hiding the page parks an open stream, but not a request in flight", async () => {
  let tell: Parameters<Wake>[0] = () => {};
  const wake: Wake = (listener) => {
    tell = listener;
    return () => {};
  };
  const line = new StreamConnection({
    signal: new AbortController().signal,
    firstByteMs: 60_000,
    silenceMs: 60_000,
    wake,
  });
  tell("hidden");
  expect(line.signal.aborted).toBe(false);
  const first = await line.frames(response([encoder.encode(wire)])).next();
  expect(first.value).toEqual(expected[0]);
  expect(line.parked).toBe(true);
  expect(line.signal.aborted).toBe(true);
});

test("keeps the stream of a page that became visible before its response", async () => {
  let tell: Parameters<Wake>[0] = () => {};
  const wake: Wake = (listener) => {
    tell = listener;
    return () => {};
  };
  const line = new StreamConnection({
    signal: new AbortController().signal,
    firstByteMs: 60_000,
    silenceMs: 60_000,
    wake,
  });
  tell("hidden");
  tell("visible");
  await line.frames(response([encoder.encode(wire)])).next();
  expect(line.parked).toBe(false);
  line.close();
});
