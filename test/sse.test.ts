import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { type OpenOptions, openStream } from "./sse.ts";

const turnId = "01940000-0000-7000-8000-000000000001";
const other = "01940000-0000-7000-8000-000000000002";
const frame = (seq: number | string, chunk: object) => `data: ${JSON.stringify(chunk)}\nid: ${turnId}.${seq}\n\n`;
const delta = (seq: number, text: string) => frame(seq, { type: "text-delta", id: "t", delta: text });
const finish = (seq: number) => frame(seq, { type: "finish" });

let stop: (() => void) | undefined;
afterEach(() => stop?.());

/** A server that answers successive requests with these functions. */
async function serve(...answers: ((response: ServerResponse, lastEventId: string | undefined) => void)[]) {
  const server = createServer((request, response) => {
    response.setHeader("content-type", "text/event-stream; charset=utf-8");
    answers.shift()?.(response, request.headers["last-event-id"] as string | undefined);
  });
  stop = () => {
    server.closeAllConnections();
    server.close();
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

it("reads comments, retry, frames and the terminal", async () => {
  const url = await serve((response) =>
    response.end(
      `: open\nretry: 1000\n\n${delta(1, "ä")}: heartbeat\n\n${finish(2)}data: [DONE]\nid: ${turnId}.2.1\n\n`,
    ),
  );
  const stream = await openStream(url);
  expect(await stream.ended).toBe("terminal");
  expect(stream).toMatchObject({ status: 200, text: "ä", retryMs: 1000, cursor: `${turnId}.2.1` });
  expect(stream.comments.map((comment) => comment.text)).toEqual(["open", "heartbeat"]);
  expect(stream.chunks.map((chunk) => chunk.type)).toEqual(["text-delta", "finish"]);
});

it("reconnects after a broken connection and joins both halves", async () => {
  let resumedAt: string | undefined;
  const url = await serve(
    (response) => response.write(delta(1, "one ") + delta(2, "two ")),
    (response, lastEventId) => {
      resumedAt = lastEventId;
      response.end(delta(3, "three") + finish(4));
    },
  );
  const first = await openStream(url);
  await first.until(({ text }) => text === "one two ");
  first.close();
  expect(await first.ended).toBe("closed");
  const second = await openStream(url, { after: first });
  expect(await second.ended).toBe("terminal");
  expect(resumedAt).toBe(`${turnId}.2`);
  expect(second.text).toBe("one two three");
});

it.each<[string, string, OpenOptions?]>([
  ["a gap", delta(1, "a") + delta(3, "b")],
  ["a repeat", delta(1, "a") + delta(1, "a")],
  ["a start after 1", delta(2, "a")],
  ["another turn", delta(1, "a") + delta(2, "b").replace(turnId, other)],
  ["something after the terminal", finish(1) + delta(2, "late")],
  ["an id before its data", `id: ${turnId}.1\ndata: {"type":"finish"}\n\n`],
  ["two data lines", `data: {\ndata: }\nid: ${turnId}.1\n\n`],
  ["a chunk without an id", 'data: {"type":"finish"}\n\n'],
  ["a carriage return", 'data: {"type":"finish"}\r\n\n'],
  ["a decreasing seq in a dialect", delta(3, "a") + delta(2, "b"), { kind: "dialect" }],
])("refuses %s", async (_, bytes, options) => {
  const url = await serve((response) => response.end(bytes));
  const stream = await openStream(url, options);
  await expect(stream.ended).rejects.toThrow("Protocol breach");
});

it("distinguishes an early end, a reset and a non-stream response", async () => {
  const url = await serve(
    (response) => response.end(delta(1, "a")),
    (response) => response.write(delta(1, "a"), () => response.destroy()),
    (response) => response.writeHead(404, { "content-type": "application/json" }).end('{"error":{}}'),
  );
  expect(await (await openStream(url)).ended).toBe("eof");
  expect(await (await openStream(url)).ended).toBe("reset");
  const refused = await openStream(url);
  expect(refused).toMatchObject({ status: 404, body: '{"error":{}}' });
  expect(await refused.ended).toBe('refused: 404 {"error":{}}');
});

it("allows gaps in seqs for dialects and compacted replays", async () => {
  const url = await serve((response) => response.end(delta(4, "so far") + delta(9, ".") + finish(10)));
  const stream = await openStream(url, { kind: "compacted" });
  expect(await stream.ended).toBe("terminal");
  expect(stream.text).toBe("so far.");
});
