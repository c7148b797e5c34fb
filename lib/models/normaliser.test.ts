// Answers as the servers of the field stream them (docs/providers.md names them), read whole, byte by byte, and cut at every byte.
import { describe, expect, it } from "vitest";
import { brokenOff, type JsonObject } from "./answer-events";
import { ChatEvents } from "./chat-events";
import { framesOf, Normaliser, type Said } from "./normaliser";
import { ResponsesEvents } from "./responses-events";

type Call = { id?: string; name?: string; arguments: string; extra?: unknown };
type Meaning = {
  text: string;
  reasoning: string;
  calls: Call[];
  finish: string | null;
  tokens: number | undefined;
  pages: string[];
  failed: number | true | null;
};

type Frame = {
  choices: { delta: JsonObject; finish_reason: string | null }[];
  usage?: { total_tokens?: number };
};

const frame = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const chunk = (delta: object, finish_reason: unknown = null, more: object = {}) =>
  frame({ id: "c", object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }], ...more });
const stop = chunk({}, "stop");
const done = "data: [DONE]\n\n";
const usage = frame({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 } });
const hello = chunk({ content: "Hello " }) + chunk({ content: "world." });
const call = (value: object) => chunk({ tool_calls: [value] });
const milk = { name: "add_task", arguments: '{"title":"Milk"}' };

function read(pieces: Iterable<Uint8Array>): { frames: string; normaliser: Normaliser } {
  const normaliser = new Normaliser(new ChatEvents("http://provider/v1/chat/completions"));
  const said: Said[] = [];
  for (const piece of pieces) said.push(...normaliser.read(piece));
  said.push(...normaliser.finish(false));
  return { frames: framesOf(said), normaliser };
}

function meaningOf(pieces: Iterable<Uint8Array>): Meaning {
  const { frames, normaliser } = read(pieces);
  const failure = normaliser.failure as { statusCode?: number } | null;
  const meaning: Meaning = {
    text: "",
    reasoning: "",
    calls: [],
    finish: null,
    tokens: undefined,
    pages: [],
    failed: failure && (failure.statusCode ?? true),
  };
  for (const block of frames.split("\n\n").filter(Boolean)) {
    const { choices, usage: used } = JSON.parse(block.slice("data: ".length)) as Frame;
    meaning.tokens = used?.total_tokens ?? meaning.tokens;
    for (const { delta, finish_reason } of choices) {
      meaning.text += delta.content ?? "";
      meaning.reasoning += delta.reasoning_content ?? "";
      meaning.finish = finish_reason ?? meaning.finish;
      for (const { url } of (delta.annotations ?? []) as { url: string }[]) meaning.pages.push(url);
      for (const each of (delta.tool_calls ?? []) as (JsonObject & { index: number; function: Partial<Call> })[]) {
        const known = meaning.calls[each.index] ?? { arguments: "" };
        meaning.calls[each.index] = {
          ...known,
          ...(each.id !== undefined && { id: each.id as string }),
          ...(each.function.name && { name: each.function.name }),
          ...(each.extra_content !== undefined && { extra: each.extra_content }),
          arguments: known.arguments + each.function.arguments,
        };
      }
    }
  }
  return meaning;
}

const whole = (text: string) => meaningOf([Buffer.from(text)]);
const bytewise = (text: string) => meaningOf(Array.from(Buffer.from(text), (byte) => Uint8Array.of(byte)));

const good: Partial<Meaning> = { text: "Hello world.", finish: "stop", failed: null };
const ran: Partial<Meaning> = { calls: [{ id: "a", ...milk }], finish: "tool_calls", failed: null };

/** What a server sends, and what it means. */
const answers: [name: string, wire: string, meaning: Partial<Meaning>][] = [
  [
    "OpenAI's own form",
    chunk({ role: "assistant", content: "" }) + hello + stop + usage + done,
    { ...good, tokens: 7 },
  ],
  ["reasoning_content", chunk({ reasoning_content: "Hm." }) + hello + stop + done, { ...good, reasoning: "Hm." }],
  ["reasoning", chunk({ content: "", reasoning: "Hm." }) + hello + stop + done, { ...good, reasoning: "Hm." }],
  ["thinking", chunk({ thinking: "Hm." }) + hello + stop + done, { ...good, reasoning: "Hm." }],
  [
    "think tags at the beginning",
    ["<thi", "nk>\nHm", ".</th", "ink>", "\n\nHello", " world."].map((content) => chunk({ content })).join("") + stop,
    { ...good, reasoning: "Hm." },
  ],
  [
    "a tag later, which is text",
    chunk({ content: "See <think>" }) + stop + done,
    { text: "See <think>", reasoning: "" },
  ],
  ["an angle bracket at the end", chunk({ content: "a" }) + chunk({ content: " <" }) + stop + done, { text: "a <" }],
  ["what might have been a tag", chunk({ content: "<thi" }) + stop + done, { text: "<thi", reasoning: "" }],
  [
    "content in parts",
    chunk({ content: [{ type: "thinking", thinking: [{ type: "text", text: "Hm." }] }] }) +
      chunk({ content: [{ type: "text", text: "Hello " }, "world."] }) +
      stop,
    { ...good, reasoning: "Hm." },
  ],
  [
    "a role, usage and another id in each delta",
    ["Hello ", "world."]
      .map((content, id) =>
        chunk({ role: "assistant", content }, null, { id, created: `${id}`, usage: { total_tokens: id } }),
      )
      .join("") + stop,
    { ...good, tokens: 1 },
  ],
  [
    "usage in strings, details in lists",
    hello +
      stop +
      frame({ choices: [], usage: { total_tokens: "7", prompt_tokens: "3", prompt_tokens_details: [1] } }) +
      done,
    { ...good, tokens: 7 },
  ],
  ["usage without choices", hello + stop + frame({ usage: { total_tokens: 7 } }) + done, { ...good, tokens: 7 }],
  [
    "usage with choices null",
    hello + stop + frame({ choices: null, usage: { total_tokens: 7 } }) + done,
    { ...good, tokens: 7 },
  ],
  ["choices without index", frame({ choices: [{ delta: { content: "Hello world." } }] }) + stop + done, good],
  ["comments", `: ping\n\n${hello}: ping\n\n${stop}${done}`, good],
  [
    "named pings",
    `${chunk({ content: "Hello " })}event: ping\ndata: {"type":"ping"}\n\nevent: ping\ndata: word\n\n${chunk({ content: "world." })}${stop}${done}`,
    good,
  ],
  ["data that is empty, or a comment", `data:\n\ndata: : keepalive\n\n${hello}${stop}${done}`, good],
  ["an object behind the reason", `${hello}${stop}data: {"cost":"0.01"}\n\n${done}`, good],
  ["garbage behind the reason", `${hello}${stop}data: {nope\n\n`, good],
  ["an error behind the reason", hello + stop + frame({ error: { code: 500 } }), good],
  ["DONE without brackets", `${hello}${stop}data: DONE\n\n`, good],
  ["[DONE] without a reason", hello + done, good],
  ["the last event without its empty line", (hello + stop).trimEnd(), good],
  ["CR LF", (hello + stop + done).replaceAll("\n", "\r\n"), good],
  [
    "CR LF and LF mixed, and characters of several bytes",
    `: x\r\n\r\n${chunk({ content: "Grüße " })}${chunk({ content: "日本語" })}${stop}`,
    { text: "Grüße 日本語" },
  ],
  ["an empty reason in each delta", chunk({ content: "Hello world." }, "") + done, good],
  ["another word for the end", hello + chunk({}, "end_turn") + done, good],
  ["an answer that is cut off by its length", hello + chunk({}, "max_tokens") + done, { finish: "length" }],
  ["an answer that is filtered", hello + chunk({}, "SAFETY") + done, { finish: "content_filter" }],
  ["an end that nobody knows", hello + chunk({}, "odd") + done, { finish: "odd" }],
  ["nothing but the end of the connection", hello, { text: "Hello world.", finish: brokenOff, failed: null }],
  ["an empty reason and the end of the connection", chunk({ content: "Hello " }, ""), { finish: brokenOff }],
  ["[DONE] and nothing else", done, { finish: brokenOff }],
  [
    "pages that are cited",
    hello +
      chunk({
        annotations: [
          { type: "url_citation", url_citation: { url: "https://a.example/", title: "A" } },
          { type: "file", file: {} },
          { url: "no url" },
        ],
      }) +
      stop,
    { ...good, pages: ["https://a.example/"] },
  ],
  [
    "a call in pieces",
    call({ index: 0, id: "a", function: { name: "add_task", arguments: "" } }) +
      call({ index: 0, function: { arguments: '{"title"' } }) +
      call({ index: 0, function: { arguments: ':"Milk"}' } }) +
      chunk({}, "tool_calls"),
    ran,
  ],
  [
    "arguments as an object",
    call({ index: 0, id: "a", type: "function", function: { name: "add_task", arguments: { title: "Milk" } } }) +
      chunk({}, "tool_calls"),
    ran,
  ],
  ["an empty type and no index", call({ id: "a", type: "", function: milk }) + chunk({}, "tool_calls"), ran],
  [
    "pieces without index and id",
    call({ id: "a", function: { name: "add_task", arguments: '{"title"' } }) +
      call({ function: { arguments: ':"Milk"}' } }) +
      chunk({}, "tool_calls"),
    ran,
  ],
  [
    "a name that comes late",
    call({ index: 0, id: "a", function: { name: "", arguments: "" } }) +
      call({ index: 0, function: milk }) +
      chunk({}, "tool_calls"),
    ran,
  ],
  [
    "a number as id",
    call({ index: 0, id: 7, function: milk }) + chunk({}, "tool_calls"),
    { calls: [{ id: "7", ...milk }] },
  ],
  [
    "no id at all",
    call({ index: 0, function: milk }) + chunk({}, "tool_calls"),
    { calls: [{ id: "call_0", ...milk }] },
  ],
  [
    "two calls of index 0",
    call({ index: 0, id: "a", function: milk }) + call({ index: 0, id: "b", function: milk }) + chunk({}, "tool_calls"),
    {
      calls: [
        { id: "a", ...milk },
        { id: "b", ...milk },
      ],
    },
  ],
  [
    "two calls at once without index",
    chunk({
      tool_calls: [
        { id: "a", function: milk },
        { id: "b", function: milk },
      ],
    }) + done,
    {
      calls: [
        { id: "a", ...milk },
        { id: "b", ...milk },
      ],
      finish: "tool_calls",
    },
  ],
  ["a call and the reason stop", call({ index: 0, id: "a", function: milk }) + stop, ran],
  ["a call and the reason tool_use", call({ index: 0, id: "a", function: milk }) + chunk({}, "tool_use"), ran],
  ["a call and an empty reason", call({ index: 0, id: "a", function: milk }) + chunk({}, "") + done, ran],
  [
    "a call in the old form",
    chunk({ function_call: milk }) + chunk({}, "function_call"),
    { calls: [{ id: "call_0", ...milk }], finish: "tool_calls" },
  ],
  [
    "a call with a signature",
    call({ index: 0, id: "a", function: milk, extra_content: { google: { thought_signature: "s" } } }) + stop,
    { calls: [{ id: "a", ...milk, extra: { google: { thought_signature: "s" } } }] },
  ],
];

describe("an answer with", () => {
  it.each(answers)("%s is read", (_, wire, meaning) => {
    expect(whole(wire)).toMatchObject(meaning);
  });

  it.each(answers)("%s means the same byte by byte", (_, wire) => {
    expect(bytewise(wire)).toEqual(whole(wire));
  });

  it.each(answers)("%s, cut at any byte, has broken off or is right", (_, wire) => {
    const right = whole(wire);
    const bytes = Buffer.from(wire);
    for (let end = 0; end < bytes.length; end++) {
      const cut = meaningOf([bytes.subarray(0, end)]);
      const settled = cut.finish !== null && cut.finish !== brokenOff && cut.failed === null;
      const told = { text: cut.text, calls: cut.calls, finish: cut.finish };
      // Behind the reason only usage is missing.
      expect([end, settled ? told : right.text.startsWith(cut.text)]).toEqual([
        end,
        settled ? { text: right.text, calls: right.calls, finish: right.finish } : true,
      ]);
    }
  });
});

describe("a failure", () => {
  it.each<[string, string, Partial<Meaning>]>([
    ["in an event", hello + frame({ error: { code: 502, message: "x" } }), { text: "Hello world.", failed: 502 }],
    [
      "in a choice",
      hello + frame({ choices: [{ index: 0, delta: {}, finish_reason: "stop", error: { code: 502 } }] }),
      { failed: 502 },
    ],
    ["beside empty choices", frame({ choices: [], error: { code: 400, message: "too long" } }) + done, { failed: 400 }],
    ["in an event of that name", `${hello}event: error\ndata: {"code":"rate_limit_exceeded"}\n\n`, { failed: 429 }],
    ["in a field of its own", 'error: {"code":400,"message":"x"}\n\ndata: [DONE]\n\n', { failed: 400 }],
    ["as a reason", hello + chunk({}, "error"), { failed: 500 }],
    ["by its type", frame({ error: { type: "authentication_error" } }), { failed: 401 }],
    ["as a broken object", `${hello}data: {"choices":[{\n\n`, { text: "Hello world.", failed: true }],
    ["as bytes that are no text", `${hello}data: \ufffd\n\n`, { text: "Hello world.", failed: true }],
    ["as a broken list", `${hello}data: [[[\n\n`, { text: "Hello world.", failed: true }],
    ["as a long text without a form", `${hello}data: ${"x".repeat(1_000)}\n\n`, { failed: true }],
    ["as another API's objects alone", 'data: {"answer":"Hello"}\n\n', { failed: true }],
  ])("%s ends the answer, and its text is kept", (_, wire, meaning) => {
    expect(whole(wire)).toMatchObject(meaning);
    expect(bytewise(wire)).toMatchObject(meaning);
  });

  it("of an event without an end is noticed before it fills the memory", () => {
    const normaliser = new Normaliser(new ChatEvents("http://provider"));
    const piece = Buffer.from("x".repeat(1_048_576));
    normaliser.read(Buffer.from("data: "));
    for (let count = 0; count < 20 && !normaliser.failure; count++) normaliser.read(piece);
    expect(normaliser.failure).toBeTruthy();
  });
});

it("reads one JSON body in place of a stream", () => {
  const normaliser = new Normaliser(new ChatEvents("http://provider"));
  const message = { role: "assistant", content: "Hello world." };
  const body = { choices: [{ index: 0, message, finish_reason: "stop" }], usage: { total_tokens: 3 } };
  expect(framesOf(normaliser.readWhole(body) ?? [])).toMatch(
    /"content":"Hello world."[\s\S]*"finish_reason":"stop"[\s\S]*"total_tokens":3/,
  );
  expect(normaliser.whole).toBe(true);
  expect(new Normaliser(new ChatEvents("x")).readWhole({ page: "<html>" })).toBeNull();
});

describe("the Responses API", () => {
  const event = (type: string, more: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
  const readResponses = (wire: string) => {
    const normaliser = new Normaliser(new ResponsesEvents("http://provider/v1/responses"));
    return { frames: framesOf(normaliser.read(Buffer.from(wire))), normaliser };
  };

  it("gets what its imitators leave out", () => {
    const { frames } = readResponses(
      event("response.created", { response: { id: "r" } }) +
        event("response.output_item.added", { output_index: 0, item: { id: "m", type: "message" } }) +
        event("response.output_text.delta", { output_index: 0, delta: "Hi" }),
    );
    expect(frames).toContain('"created_at":0,"model":"","id":"r"');
    expect(frames).toMatch(/"delta":"Hi","item_id":"m"|"item_id":"m"[^\n]*"delta":"Hi"/);
  });

  it("loses what is no event of it, and ends with its last one", () => {
    const { frames, normaliser } = readResponses(
      `event: ping\ndata: {}\n\n${event("response.completed", { response: {} })}${event("response.output_text.delta", { delta: "late" })}`,
    );
    expect(frames).toBe(event("response.completed", { response: {} }));
    expect(normaliser.whole).toBe(true);
  });

  it("is known to think from its beginning to what it shows", () => {
    const normaliser = new Normaliser(new ResponsesEvents("x"));
    const thinking = (wire: string) => {
      normaliser.read(Buffer.from(wire));
      return normaliser.thinking;
    };
    expect(thinking(event("response.created", { response: {} }))).toBe(true);
    expect(thinking(event("response.output_item.added", { output_index: 0, item: { type: "reasoning" } }))).toBe(true);
    expect(thinking(event("response.output_item.added", { output_index: 1, item: { type: "message" } }))).toBe(false);
  });
});
