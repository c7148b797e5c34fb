// Sample bytes of each provider's stream, after its API documentation: an answer with reasoning, a
// tool call, and an error inside the stream.
import { crc32 } from "node:zlib";

export type Wire = {
  contentType: string;
  /** Reasons "Let me think." and says "Hello there." */
  answer: Buffer;
  /** Reasons, then calls `weather` with `{"city":"Oslo"}`. */
  call: Buffer;
  /** Says "Hel", then fails. */
  failure: Buffer;
};

export const anthropic = events({
  answer: [
    anthropicStart(),
    block(0, { type: "thinking", thinking: "", signature: "" }),
    ["ping", { type: "ping" }],
    blockDelta(0, { type: "thinking_delta", thinking: "Let me " }),
    blockDelta(0, { type: "thinking_delta", thinking: "think." }),
    blockDelta(0, { type: "signature_delta", signature: "c2lnbmVk" }),
    blockStop(0),
    block(1, { type: "text", text: "" }),
    blockDelta(1, { type: "text_delta", text: "Hello " }),
    blockDelta(1, { type: "text_delta", text: "there." }),
    blockStop(1),
    ...anthropicEnd("end_turn"),
  ],
  call: [
    anthropicStart(),
    block(0, { type: "thinking", thinking: "", signature: "" }),
    blockDelta(0, { type: "thinking_delta", thinking: "Weather." }),
    blockDelta(0, { type: "signature_delta", signature: "c2lnbmVk" }),
    blockStop(0),
    block(1, { type: "tool_use", id: "toolu_1", name: "weather", input: {} }),
    blockDelta(1, { type: "input_json_delta", partial_json: '{"city":' }),
    blockDelta(1, { type: "input_json_delta", partial_json: '"Oslo"}' }),
    blockStop(1),
    ...anthropicEnd("tool_use"),
  ],
  failure: [
    anthropicStart(),
    block(0, { type: "text", text: "" }),
    blockDelta(0, { type: "text_delta", text: "Hel" }),
    ["error", { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }],
  ],
});

function anthropicStart(): Event {
  const usage = { input_tokens: 12, output_tokens: 1 };
  const message = {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "m",
    content: [],
    stop_reason: null,
    usage,
  };
  return ["message_start", { type: "message_start", message: { ...message, stop_sequence: null } }];
}

function block(index: number, content_block: object): Event {
  return ["content_block_start", { type: "content_block_start", index, content_block }];
}

function blockDelta(index: number, delta: object): Event {
  return ["content_block_delta", { type: "content_block_delta", index, delta }];
}

function blockStop(index: number): Event {
  return ["content_block_stop", { type: "content_block_stop", index }];
}

function anthropicEnd(stop_reason: string): Event[] {
  const delta = { stop_reason, stop_sequence: null };
  return [
    ["message_delta", { type: "message_delta", delta, usage: { output_tokens: 7 } }],
    ["message_stop", { type: "message_stop" }],
  ];
}

export const google = events({
  answer: [
    gemini({ text: "Let me think.", thought: true }),
    gemini({ text: "Hello " }),
    gemini({ text: "there.", thoughtSignature: "c2lnbmVk" }, "STOP"),
  ],
  call: [
    gemini({ text: "Weather.", thought: true }),
    gemini({ functionCall: { name: "weather", args: { city: "Oslo" } }, thoughtSignature: "c2lnbmVk" }, "STOP"),
  ],
  failure: [
    gemini({ text: "Hel" }),
    [null, { error: { code: 503, message: "The model is overloaded.", status: "UNAVAILABLE" } }],
  ],
});

function gemini(part: object, finishReason?: string): Event {
  const candidate = { content: { role: "model", parts: [part] }, index: 0, ...(finishReason && { finishReason }) };
  const usageMetadata = { promptTokenCount: 12, candidatesTokenCount: 5, thoughtsTokenCount: 2, totalTokenCount: 19 };
  return [null, { candidates: [candidate], usageMetadata, modelVersion: "m", responseId: "r" }];
}

const usage = { prompt_tokens: 12, completion_tokens: 7, total_tokens: 19 };
const weatherCall = { id: "call12345", type: "function", function: { name: "weather", arguments: '{"city":"Oslo"}' } };

export const mistral = chat({
  reasoning: (text) => ({ content: [{ type: "thinking", thinking: [{ type: "text", text }] }] }),
  failure: { object: "error", message: "Service unavailable.", type: "service_unavailable", code: "3000" },
});

export const deepseek = chat({
  reasoning: (text) => ({ content: null, reasoning_content: text }),
  failure: { error: { message: "Server overloaded", type: "server_error", param: null, code: "503" } },
});

export const groq = chat({
  reasoning: (text) => ({ reasoning: text }),
  failure: { error: { message: "Over capacity", type: "internal_server_error" } },
  usageIn: (usage) => ({ x_groq: { id: "req_1", usage } }),
});

export const openrouter = chat({
  reasoning: (text) => ({
    content: "",
    reasoning: text,
    reasoning_details: [
      { type: "reasoning.text", text, signature: "c2lnbmVk", format: "anthropic-claude-v1", index: 0 },
    ],
  }),
  failure: { error: { code: 502, message: "Provider returned error" } },
  before: ": OPENROUTER PROCESSING\n\n",
});

type ChatShape = {
  reasoning(text: string): object;
  failure: object;
  usageIn?(usage: object): object;
  before?: string;
};

function chat({ reasoning, failure, usageIn = (usage) => ({ usage }), before = "" }: ChatShape): Wire {
  const chunk = (delta: object, finish_reason: string | null = null, more = {}): Event => [
    null,
    {
      id: "1",
      object: "chat.completion.chunk",
      created: 1,
      model: "m",
      choices: [{ index: 0, delta, finish_reason }],
      ...more,
    },
  ];
  const role = chunk({ role: "assistant", content: "" });
  const wire = events({
    answer: [
      role,
      chunk(reasoning("Let me ")),
      chunk(reasoning("think.")),
      chunk({ content: "Hello " }),
      chunk({ content: "there." }),
      chunk({ content: "" }, "stop", usageIn(usage)),
      [null, "[DONE]"],
    ],
    call: [
      role,
      chunk(reasoning("Weather.")),
      chunk({ content: "", tool_calls: [{ index: 0, ...weatherCall }] }),
      chunk({ content: "" }, "tool_calls", usageIn(usage)),
      [null, "[DONE]"],
    ],
    failure: [role, chunk({ content: "Hel" }), [null, failure]],
  });
  return { ...wire, answer: Buffer.concat([Buffer.from(before), wire.answer]) };
}

export const responses = events({
  answer: [
    ...responseStart(),
    ...reasoningItem("Let me think."),
    item("added", 1, { type: "message", id: "msg_1", role: "assistant", status: "in_progress", content: [] }),
    textDelta("Hello "),
    textDelta("there."),
    item("done", 1, {
      type: "message",
      id: "msg_1",
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text: "Hello there.", annotations: [] }],
    }),
    responseEnd(),
  ],
  call: [
    ...responseStart(),
    ...reasoningItem("Weather."),
    item("added", 1, functionCall("in_progress", "")),
    [
      "response.function_call_arguments.delta",
      { type: "response.function_call_arguments.delta", item_id: "fc_1", output_index: 1, delta: '{"city":"Oslo"}' },
    ],
    [
      "response.function_call_arguments.done",
      { type: "response.function_call_arguments.done", item_id: "fc_1", output_index: 1, arguments: '{"city":"Oslo"}' },
    ],
    item("done", 1, functionCall("completed", '{"city":"Oslo"}')),
    responseEnd(),
  ],
  failure: [
    ...responseStart(),
    item("added", 0, { type: "message", id: "msg_1", role: "assistant", status: "in_progress", content: [] }),
    textDelta("Hel", 0),
    [
      "response.failed",
      {
        type: "response.failed",
        response: { ...response("failed"), error: { code: "server_error", message: "It failed." }, output: [] },
      },
    ],
  ],
});

function response(status: string) {
  return { id: "resp_1", object: "response", created_at: 1, model: "m", status, output: [], incomplete_details: null };
}

function responseStart(): Event[] {
  return [["response.created", { type: "response.created", response: response("in_progress") }]];
}

function responseEnd(): Event {
  const details = {
    input_tokens: 12,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: 7,
    output_tokens_details: { reasoning_tokens: 2 },
    total_tokens: 19,
  };
  return ["response.completed", { type: "response.completed", response: { ...response("completed"), usage: details } }];
}

function reasoningItem(text: string): Event[] {
  const at = { item_id: "rs_1", output_index: 0, summary_index: 0 };
  const part = { type: "summary_text", text };
  const name = (event: string) => `response.reasoning_summary_${event}`;
  return [
    item("added", 0, { type: "reasoning", id: "rs_1", summary: [], status: "in_progress", encrypted_content: null }),
    [name("part.added"), { type: name("part.added"), ...at, part: { type: "summary_text", text: "" } }],
    [name("text.delta"), { type: name("text.delta"), ...at, delta: text }],
    [name("text.done"), { type: name("text.done"), ...at, text }],
    [name("part.done"), { type: name("part.done"), ...at, part }],
    item("done", 0, {
      type: "reasoning",
      id: "rs_1",
      summary: [part],
      status: "completed",
      encrypted_content: "c2lnbmVk",
    }),
  ];
}

function item(state: "added" | "done", output_index: number, content: object): Event {
  return [`response.output_item.${state}`, { type: `response.output_item.${state}`, output_index, item: content }];
}

function textDelta(delta: string, output_index = 1): Event {
  const type = "response.output_text.delta";
  return [type, { type, item_id: "msg_1", output_index, content_index: 0, delta, logprobs: [] }];
}

function functionCall(status: string, input: string) {
  return { type: "function_call", id: "fc_1", call_id: "call_1", name: "weather", arguments: input, status };
}

const bedrockEnd = (stopReason: string) => [
  amazonEvent("messageStop", { stopReason }),
  amazonEvent("metadata", {
    usage: { inputTokens: 12, outputTokens: 7, totalTokens: 19 },
    metrics: { latencyMs: 5 },
  }),
];
const amazonDelta = (contentBlockIndex: number, delta: object) =>
  amazonEvent("contentBlockDelta", { contentBlockIndex, delta });
const amazonStop = (contentBlockIndex: number) => amazonEvent("contentBlockStop", { contentBlockIndex });
const amazonReasoning = (text: string) => [
  amazonDelta(0, { reasoningContent: { text } }),
  amazonDelta(0, { reasoningContent: { signature: "c2lnbmVk" } }),
  amazonStop(0),
];

export const bedrock: Wire = {
  contentType: "application/vnd.amazon.eventstream",
  answer: Buffer.concat([
    amazonEvent("messageStart", { role: "assistant" }),
    ...amazonReasoning("Let me think."),
    amazonDelta(1, { text: "Hello " }),
    amazonDelta(1, { text: "there." }),
    amazonStop(1),
    ...bedrockEnd("end_turn"),
  ]),
  call: Buffer.concat([
    amazonEvent("messageStart", { role: "assistant" }),
    ...amazonReasoning("Weather."),
    amazonEvent("contentBlockStart", {
      contentBlockIndex: 1,
      start: { toolUse: { toolUseId: "tooluse_1", name: "weather" } },
    }),
    amazonDelta(1, { toolUse: { input: '{"city":"Oslo"}' } }),
    amazonStop(1),
    ...bedrockEnd("tool_use"),
  ]),
  failure: Buffer.concat([
    amazonEvent("messageStart", { role: "assistant" }),
    amazonDelta(0, { text: "Hel" }),
    amazonMessage({ ":message-type": "exception", ":exception-type": "throttlingException" }, { message: "Slow down" }),
  ]),
};

function amazonEvent(type: string, payload: object): Buffer {
  return amazonMessage({ ":event-type": type, ":content-type": "application/json", ":message-type": "event" }, payload);
}

/**
 * A message of vnd.amazon.eventstream: lengths, headers of type 7 (string), payload, with checksums
 * of the prelude and of the whole message.
 */
function amazonMessage(headers: Record<string, string>, payload: object): Buffer {
  const head = Buffer.concat(
    Object.entries(headers).map(([name, value]) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(value.length);
      return Buffer.concat([
        Buffer.from([name.length]),
        Buffer.from(name),
        Buffer.from([7]),
        length,
        Buffer.from(value),
      ]);
    }),
  );
  const body = Buffer.from(JSON.stringify(payload));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(16 + head.length + body.length, 0);
  lengths.writeUInt32BE(head.length, 4);
  const before = Buffer.concat([lengths, checksum(lengths), head, body]);
  return Buffer.concat([before, checksum(before)]);
}

function checksum(bytes: Buffer): Buffer {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return sum;
}

type Event = [name: string | null, data: object | string];

function events(lists: Record<"answer" | "call" | "failure", Event[]>): Wire {
  const wire = (list: Event[]) =>
    Buffer.from(
      list
        .map(([name, data], index) => {
          const numbered = name?.startsWith("response.") ? { ...(data as object), sequence_number: index } : data;
          const text = typeof numbered === "string" ? numbered : JSON.stringify(numbered);
          return `${name === null ? "" : `event: ${name}\n`}data: ${text}\n\n`;
        })
        .join(""),
    );
  const { answer, call, failure } = lists;
  return { contentType: "text/event-stream", answer: wire(answer), call: wire(call), failure: wire(failure) };
}
