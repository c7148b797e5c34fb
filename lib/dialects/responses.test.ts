// The parts of dialect `responses` beyond its encoder: request parsing and the whole response.
import { describe, expect, test } from "vitest";
import type { AppError } from "@/lib/errors";
import { parseInput } from "@/lib/http";
import type { LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { foldChunks } from "@/lib/turn/fold";
import type { ReferencedMessage, ResolvedReferences } from "@/lib/turn/turn-context";
import type { TurnInput, TurnView } from "@/lib/turn/turn-input";
import { context, turns } from "@/test/dialects/dialect.contract";
import type { TurnRoute } from "./dialect";
import { responses } from "./responses";
import { inputItemsOf, itemId, parseItemId } from "./responses-items";

const [route] = responses.routes as [TurnRoute];

function parse(body: object, known: ResolvedReferences = { messages: new Map() }) {
  const asked = route.parseRequest({
    body: parseInput(route.body, body),
    references: known,
    accept: "",
    messageId: "new",
  });
  return { ...asked, ...(asked.request as TurnInput & { trigger: "answer-prompt" }) };
}

function refusal(body: object, known?: ResolvedReferences): string {
  try {
    parse(body, known);
  } catch (error) {
    return `${(error as AppError).code} ${(error as AppError).message}`;
  }
  return "taken";
}

const state = { openai: { reasoningEncryptedContent: "sealed" } };
const answer: ReferencedMessage = {
  id: "01940000-0000-7000-8000-0000000000aa",
  role: "assistant",
  parts: [
    { type: "step-start" },
    { type: "reasoning", text: "Hm.", providerMetadata: state },
    { type: "text", text: "Wait." },
    { type: "tool-weather", toolCallId: "c1", state: "output-error", input: { city: "Oslo" }, errorText: "none" },
  ],
  status: "complete",
  createdAt: "2026-01-02T03:04:05.678Z",
  metadata: { model: "openai:scripted" },
  parentId: "question",
};
const known: ResolvedReferences = {
  messages: new Map([[answer.id, answer]]),
  turn: { chatId: "chat", view: { clientTools: true, system: "For good." }, answer },
};
const previous_response_id = "resp_01940000-0000-7000-8000-000000000001";
const output = { type: "function_call_output", call_id: "c1", output: "-4" };

test.each(turns)("%s: a later read equals the last event", async (_, chunks) => {
  const encode = responses.encoder(context, {});
  const frames = chunks.flatMap((chunk, index) => encode({ seq: index + 1, chunk, json: "" } as LoggedChunk));
  const message = await foldChunks(chunks);
  const last = JSON.parse(frames.at(-1)?.data ?? "{}");
  const whole = route.fullResponse?.({ context, message, metadata: message.metadata ?? {} });
  expect(JSON.parse(JSON.stringify(whole))).toEqual(last.response);
});

test.each(["text", "reasoning"] as const)("an empty %s delta is no event", (kind) => {
  const encode = responses.encoder(context, {});
  const eventsOf = (chunk: TurnChunk) => encode({ seq: 1, chunk, json: "" } as LoggedChunk);
  eventsOf({ type: `${kind}-start`, id: "1" });
  expect(eventsOf({ type: `${kind}-delta`, id: "1", delta: "" })).toEqual([]);
  expect(eventsOf({ type: `${kind}-delta`, id: "1", delta: "a" })).not.toEqual([]);
});

describe("what goes before", () => {
  test("outputs go into a copy of the answer, which takes its place with its provider's state", () => {
    const { prompt, parentId, chat } = parse({ previous_response_id, input: [output] }, known);
    expect([parentId, chat]).toEqual(["question", { id: "chat" }]);
    expect(prompt.instructions).toBe("For good.");
    expect(prompt.messages).toEqual([
      {
        role: "assistant",
        metadata: { model: "openai:scripted" },
        parts: [
          ...answer.parts.slice(0, 3),
          {
            type: "tool-weather",
            toolCallId: "c1",
            state: "output-available",
            input: { city: "Oslo" },
            output: "-4",
          },
        ],
      },
    ]);
    expect(answer.parts[3]).toMatchObject({ state: "output-error" });
  });

  test("reject a call without an output, an output without a call, and a response that is not stored", () => {
    expect(refusal({ previous_response_id, input: "Well?" }, known)).toMatch(/^bad_request input: .*c1/);
    expect(refusal({ previous_response_id, input: [output, output] }, known)).toMatch(
      /^bad_request input\.1\.call_id: /,
    );
    expect(refusal({ input: [{ role: "user", content: "Hi" }, output] })).toMatch(/^bad_request input\.1\.call_id: /);
    expect(refusal({ input: [{ role: "assistant", content: "Hi" }] })).toBe(
      "bad_request input: must hold a user message",
    );
    for (const item of ["Hi", null, []]) expect(refusal({ input: [item] })).toMatch(/^bad_request .*input\.0/);
    expect(refusal({ previous_response_id, input: "Hi" })).toMatch(/^not_found previous_response_id: /);
    const unkept = { ...known, turn: { chatId: "chat", view: { kept: false }, answer } };
    expect(refusal({ previous_response_id, input: [output] }, unkept)).toMatch(/^not_found previous_response_id: /);
  });

  test("sent by the server become the stored parts; others are taken from the client", () => {
    const given = (type: "reasoning" | "message" | "function_call", index: number) => itemId(type, answer.id, index);
    const call = { type: "function_call", call_id: "c1", name: "weather", arguments: '{"city":"Oslo"}' };
    const input = [
      { role: "user", content: "Hi" },
      { type: "reasoning", id: given("reasoning", 0), summary: [], encrypted_content: given("reasoning", 0) },
      { id: given("message", 1) },
      { ...call, id: given("function_call", 2) },
      output,
      { role: "assistant", content: "Cold.", id: given("message", 1) },
    ];
    const { messages } = parse({ input }, known).prompt;
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "assistant"]);
    expect(messages[1]?.parts).toMatchObject([
      { type: "reasoning", providerMetadata: state },
      { type: "text", text: "Wait." },
      { toolCallId: "c1", output: "-4" },
    ]);
    expect(messages[1]?.metadata).toEqual({ model: "openai:scripted" });
    expect(messages[2]).toEqual({ role: "assistant", parts: [{ type: "text", text: "Cold." }] });
    expect(refusal({ input: [{ role: "user", content: "Hi" }, { id: "msg_unknown_0" }] }, known)).toMatch(
      /^not_found /,
    );
  });

  test("arguments that are invalid JSON are sent back as the model wrote them", () => {
    const call = { type: "function_call", call_id: "c1", name: "weather", arguments: '{"city":' };
    const { messages } = parse({ input: [{ role: "user", content: "Hi" }, call, output] }).prompt;
    expect(messages[1]?.parts).toMatchObject([{ input: '{"city":', output: "-4" }]);
    const noArguments = [{ role: "user", content: "Hi" }, { ...call, arguments: " " }, output];
    expect(parse({ input: noArguments }).prompt.messages[1]?.parts[0]).toHaveProperty("input", {});
  });
});

test("nothing of the server's is offered, searched or listed unless asked for", () => {
  const plain = parse({ input: "Hi" });
  expect(plain).toMatchObject({ searchMode: "none", listed: false, prompt: { tools: [], instructions: "" } });
  expect(parse({ input: "Hi", search_mode: "all", store: true })).toMatchObject({ searchMode: "all", listed: true });
});

test("the response repeats what was asked for, defaults filled in and nulls left out", () => {
  const tool = { type: "function", name: "a", parameters: { type: "object", properties: {} } };
  const { prompt, view } = parse({
    input: "Hi",
    instructions: "Be brief.",
    tools: [tool, { ...tool, name: "b", strict: true }],
    text: { verbosity: "low" },
    temperature: 0.5,
    top_p: null,
    service_tier: "auto",
    reasoning: { effort: "low" },
  });
  expect(prompt.echo).toEqual({
    instructions: "Be brief.",
    tools: [
      expect.objectContaining({ name: "a", strict: false }),
      expect.objectContaining({ name: "b", strict: true }),
    ],
    text: { format: { type: "text" }, verbosity: "low" },
  });
  expect(view?.echo).toEqual({ temperature: 0.5, reasoning: { effort: "low", summary: null } });
});

test("allowed_tools offers only those tools; a chosen tool must exist", () => {
  const tools = ["a", "b"].map((name) => ({ type: "function", name }));
  const choice = { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "b" }] };
  const { prompt } = parse({ input: "Hi", tools, tool_choice: choice });
  expect([prompt.tools?.map(({ name }) => name), prompt.toolChoice]).toEqual([["b"], "required"]);
  expect(refusal({ input: "Hi", tools, tool_choice: { type: "function", name: "c" } })).toMatch(
    /^bad_request tool_choice: /,
  );
});

test("a user's file is passed on, and other roles take only text", () => {
  const file = { type: "input_file", file_data: "data:application/pdf;base64,AAAA", filename: "a.pdf" };
  const { messages } = parse({ input: [{ role: "user", content: [file] }] }).prompt;
  expect(messages[0]?.parts).toEqual([
    { type: "file", mediaType: "application/pdf", url: file.file_data, filename: "a.pdf" },
  ]);
  expect(refusal({ input: [{ role: "system", content: [file] }] })).toMatch(/^bad_request input\.0/);
});

test("system messages before the conversation are instructions; later ones keep their place", () => {
  const system = { role: "system", content: "Be brief." };
  const user = { role: "user", content: "Hi" };
  expect(parse({ instructions: "Be kind.", input: [system, user] }).prompt).toMatchObject({
    instructions: "Be kind.\n\nBe brief.",
  });
  const { prompt } = parse({ input: [user, system] });
  expect([prompt.instructions, prompt.notes?.map(({ text }) => text)]).toEqual(["", ["Be brief."]]);
});

test("calls that the client runs are items of type function_call", () => {
  const chunk: TurnChunk = { type: "tool-input-available", toolCallId: "c", toolName: "clock", input: { a: 1 } };
  const typesOf = (view: TurnView) => {
    const encode = responses.encoder({ ...context, view }, {});
    const events = encode({ seq: 1, chunk, json: "" } as LoggedChunk).map(({ data }) => JSON.parse(data));
    return new Set(events.flatMap(({ item }) => (item ? [item.type] : [])));
  };
  expect(typesOf({ clientTools: true })).toEqual(new Set(["function_call"]));
  expect(typesOf({})).toEqual(new Set(["mcp_call"]));
});

test("a failure names this API's field", () => {
  const refused = (message: string, param: string) =>
    responses.failure?.({ status: 400, code: "bad_request", message, requestId: "r", details: { param } });
  const named = (param: string) => ({ error: expect.objectContaining({ param }) });
  expect(refused("response_format: no", "response_format")).toEqual(named("text.format"));
  expect(refused("temperature: no", "temperature")).toEqual(named("temperature"));
});

test("the input items of an answer are its texts, reasoning and calls with their outputs", () => {
  const answered = { type: "tool-clock", toolCallId: "c2", state: "output-available", input: {}, output: { h: 12 } };
  const parts = [...answer.parts, answered] as typeof answer.parts;
  const call = { type: "function_call", status: "completed" };
  expect(inputItemsOf({ id: "m", role: "assistant", parts })).toMatchObject([
    { id: "rs_m_0", type: "reasoning", summary: [{ type: "summary_text", text: "Hm." }] },
    { id: "msg_m_1", type: "message", role: "assistant", content: [{ type: "output_text", text: "Wait." }] },
    { id: "fc_m_2", ...call, call_id: "c1", name: "weather", arguments: '{"city":"Oslo"}' },
    { id: "fc_m_2_output", type: "function_call_output", call_id: "c1", output: "none" },
    { id: "fc_m_3", ...call, call_id: "c2", name: "clock", arguments: "{}" },
    { id: "fc_m_3_output", type: "function_call_output", call_id: "c2", output: '{"h":12}' },
  ]);
  const image = { type: "file", mediaType: "image/png", url: "https://example.org/a.png" } as const;
  const pdf = { type: "file", mediaType: "application/pdf", url: "data:application/pdf;base64,AAAA" } as const;
  expect(inputItemsOf({ id: "q", role: "user", parts: [{ type: "text", text: "Hi" }, image, pdf] })).toMatchObject([
    {
      id: "msg_q_0",
      role: "user",
      content: [
        { type: "input_text", text: "Hi" },
        { type: "input_image", image_url: image.url },
        { type: "input_file", file_data: pdf.url, filename: null },
      ],
    },
  ]);
});

test("an item id can be decoded for any message id", () => {
  expect(parseItemId(itemId("message", "my_message_7", 3))).toEqual({ messageId: "my_message_7", index: 3 });
  for (const id of ["", "msg_", "msg_x", "x_y_1", "msg_x_1_output"]) expect(parseItemId(id)).toBeNull();
});

test.each([
  ["messages", "input"],
  ["max_completion_tokens", "max_output_tokens"],
  ["temperature", "temperature"],
  ["toString", "toString"],
  ["__proto__", "__proto__"],
])("a refusal that names %s names %s in its sentence and its param", (theirs, ours) => {
  const details = { param: theirs };
  const refusal = {
    status: 400,
    code: "bad_request",
    message: `${theirs}: not here`,
    requestId: "r",
    details,
  } as const;
  expect(responses.failure?.(refusal)).toMatchObject({ error: { message: `${ours}: not here`, param: ours } });
});
