// The examples' two parsers, with every split of a stream into two parts and all three line
// endings.
import { execFileSync } from "node:child_process";
import { ReadableStream } from "node:stream/web";
import { describe, expect, test } from "vitest";
import { sseEvents } from "./sse-events.mjs";

const lines = [
  ": a comment",
  "retry: 1000",
  "",
  'data: {"text":"日本 👋🏽 é\u2028 data: x"}',
  "id: turn.1",
  "",
  ": a heartbeat",
  "",
  "event: status",
  "data:no space",
  "data:  two lines, two spaces",
  "id:turn.2.1",
  "",
  "data",
  "",
  "id: turn.3",
  "",
  "data: [DONE]",
  "",
  "data: cut off",
];
const events = [
  { event: "message", data: '{"text":"日本 👋🏽 é\u2028 data: x"}', id: "turn.1" },
  { event: "status", data: "no space\n two lines, two spaces", id: "turn.2.1" },
  { event: "message", data: "", id: "turn.2.1" },
  { event: "message", data: "[DONE]", id: "turn.3" },
];

const script = `
import json, sys
from sse_events import SseParser
body = sys.stdin.buffer.read()
results = []
for at in range(len(body) + 1):
    parser = SseParser()
    results.append([vars(event) for part in (body[:at], body[at:]) for event in parser.feed(part)])
print(json.dumps([result for i, result in enumerate(results) if result not in results[:i]]))
`;

describe.each([
  ["LF", "\n"],
  ["CRLF", "\r\n"],
  ["CR", "\r"],
])("lines that end in %s", (_, end) => {
  const body = Buffer.from(`\ufeff${lines.join(end)}`);

  test("sse-events.mjs", async () => {
    for (let at = 0; at <= body.length; at++) {
      const read: unknown[] = [];
      const pieces = [body.subarray(0, at), body.subarray(at)];
      for await (const event of sseEvents(ReadableStream.from(pieces))) read.push(event);
      expect(read).toEqual(events);
    }
  });

  test("sse_events.py", () => {
    const read = execFileSync("/usr/bin/python3", ["-B", "-c", script], { cwd: import.meta.dirname, input: body });
    expect(JSON.parse(String(read))).toEqual([events]);
  });
});
