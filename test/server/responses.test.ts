// OpenAI's Responses with its own client and the AI SDK's, unmodified, against two production
// servers on one database: created, followed, resumed at every event on either server, stopped,
// deleted, continued.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI from "openai";
import type { Response as ApiResponse, ResponseStreamEvent } from "openai/resources/responses/responses";
import { afterEach, describe, expect, test } from "vitest";
import { gated, gateOf, newKey, type TestServer, testCluster } from "./cluster";

const leaseMs = 2_000;
const cluster = testCluster({ servers: 2, env: { LEASE_MS: String(leaseMs) } });

afterEach(async () => {
  const alive = await fetch(`${cluster.a.url}/api/health`).then(
    ({ ok }) => ok,
    () => false,
  );
  if (!alive) cluster.a = await cluster.start({ port: cluster.a.port });
});

function client({ server = cluster.a, token = cluster.user.token } = {}): OpenAI {
  return new OpenAI({ apiKey: token, maxRetries: 0, baseURL: `${server.url}/v1` });
}

const says = (text: string) => [{ text }, { finish: "stop" as const, usage: { input: 3, output: 2 } }];
const city = { type: "object", properties: { city: { type: "string" } } };
const weather = { type: "function" as const, name: "weather", parameters: city, strict: false };

async function all(events: AsyncIterable<ResponseStreamEvent>): Promise<ResponseStreamEvent[]> {
  const list: ResponseStreamEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}

function lastOf(events: ResponseStreamEvent[]): ApiResponse {
  const last = events.at(-1);
  if (!last || !("response" in last)) throw new Error(`the last event is ${last?.type}`);
  return last.response;
}

/** The data blocks, as bytes. */
async function blocks(path: string, { server = cluster.a } = {}): Promise<string[]> {
  const { status, text } = await cluster.api("GET", path, { server });
  expect(status).toBe(200);
  return text
    .replace(/^(?::|retry:).*\n/gm, "")
    .split(/(?<=\n\n)/)
    .filter(Boolean);
}

describe("created", () => {
  test("whole: returns text, usage and the request's options; the provider gets the prompt verbatim", async () => {
    const key = newKey();
    cluster.provider.on(key, says("Four."));
    const { data: response, response: http } = await client()
      .responses.create({
        model: "ollama:scripted",
        instructions: "Be brief.",
        input: [
          { role: "user", content: "One and one?" },
          { role: "assistant", content: "Two." },
          { role: "user", content: [{ type: "input_text", text: `Twice that? ${key}` }] },
        ],
        temperature: 0.5,
        max_output_tokens: 77,
        metadata: { topic: "sums" },
        user: "somebody",
      })
      .withResponse();
    expect(response).toMatchObject({
      id: expect.stringMatching(/^resp_/),
      object: "response",
      status: "completed",
      output_text: "Four.",
      model: "ollama:scripted",
      instructions: "Be brief.",
      temperature: 0.5,
      max_output_tokens: 77,
      metadata: { topic: "sums" },
      user: "somebody",
      error: null,
      incomplete_details: null,
      usage: {
        input_tokens: 3,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 2,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 5,
      },
      output: [{ type: "message", status: "completed", role: "assistant" }],
    });
    const { body } = await cluster.provider.request(key);
    expect(body).toMatchObject({
      temperature: 0.5,
      max_tokens: 77,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "One and one?" },
        { role: "assistant", content: "Two." },
        { role: "user", content: `Twice that? ${key}` },
      ],
    });
    expect(body).not.toHaveProperty("tools");
    const chats = await cluster.api<{ chats: { id: string }[] }>("GET", "/api/chats");
    expect(chats.body.chats.map(({ id }) => id)).not.toContain(http.headers.get("x-chat-id"));
    expect(await client({ server: cluster.b }).responses.retrieve(response.id)).toEqual(response);
  });

  test("streamed: every event of a text in order, ending with what retrieve returns", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Hel" }, { gate: key }, { text: "lo." }, { finish: "stop" }]);
    const stream = await client().responses.create({ model: "scripted", input: key, stream: true });
    const events: ResponseStreamEvent[] = [];
    for await (const event of stream) {
      events.push(event);
      if (event.type === "response.output_text.delta") cluster.provider.open(key);
    }
    expect(events.map(({ type }) => type)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
    const retrieved = await client().responses.retrieve(lastOf(events).id);
    expect(retrieved.output_text).toBe("Hello.");
    expect(retrieved).toMatchObject(lastOf(events));
  });

  test("the client's own helper accumulates the same answer", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ reasoning: "Hm." }, { text: "Yes." }, { finish: "stop" }]);
    const stream = client().responses.stream({ model: "scripted", input: key });
    const final = await stream.finalResponse();
    expect(final.output_text).toBe("Yes.");
    expect(final.output).toMatchObject([
      { type: "reasoning", summary: [{ text: "Hm." }] },
      { type: "message", content: [{ text: "Yes." }] },
    ]);
    const replayed = client({ server: cluster.b }).responses.stream({ response_id: final.id, starting_after: 3 });
    expect((await replayed.finalResponse()).output_text).toBe("Yes.");
  });

  test("forwards effort, verbosity, schema, strict tools, one call at a time and images to the provider", async () => {
    const key = newKey();
    cluster.provider.on(key, says('{"n":4}'));
    const schema = {
      type: "object",
      properties: { n: { type: "number" } },
      required: ["n"],
      additionalProperties: false,
    };
    const image_url = "data:image/png;base64,iVBORw0KGgo=";
    const response = await client().responses.create({
      model: "ollama:scripted",
      input: [
        {
          role: "user",
          content: [
            { type: "input_text", text: key },
            { type: "input_image", image_url, detail: "auto" },
          ],
        },
      ],
      reasoning: { effort: "low" },
      text: { format: { type: "json_schema", name: "sum", schema, strict: true }, verbosity: "low" },
      tools: [{ ...weather, strict: true }],
      parallel_tool_calls: false,
    });
    expect(response).toMatchObject({
      output_text: '{"n":4}',
      reasoning: { effort: "low" },
      text: { format: { type: "json_schema", name: "sum" }, verbosity: "low" },
      parallel_tool_calls: false,
      tools: [{ name: "weather", strict: true }],
    });
    const { body } = await cluster.provider.request(key);
    expect(body).toMatchObject({
      reasoning_effort: "low",
      verbosity: "low",
      response_format: { type: "json_schema", json_schema: { name: "sum", schema, strict: true } },
      tools: [{ function: { name: "weather", strict: true } }],
      parallel_tool_calls: false,
    });
    expect(JSON.stringify(body)).toContain(image_url);
  });

  test.each([
    ["length", "max_output_tokens"],
    ["content_filter", "content_filter"],
  ] as const)("an answer ended by %s is incomplete, and so is its last item", async (finish, reason) => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { finish }]);
    const events = await all(await client().responses.create({ model: "ollama:scripted", input: key, stream: true }));
    expect(events.at(-1)?.type).toBe("response.incomplete");
    expect(lastOf(events)).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason },
      output: [{ status: "incomplete", content: [{ text: "Half" }] }],
    });
  });

  test("a failure is failed in the stream and on retrieve, and an error for a client that waits", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { error: "overloaded" }]);
    const events = await all(await client().responses.create({ model: "scripted", input: key, stream: true }));
    expect(events.at(-1)?.type).toBe("response.failed");
    expect(lastOf(events)).toMatchObject({ status: "failed", error: { code: "server_error" } });
    const kept = await client().responses.retrieve(lastOf(events).id);
    expect(kept).toMatchObject({ status: "failed", output_text: "Half" });
    const whole = client().responses.create({ model: "scripted", input: key });
    await expect(whole).rejects.toMatchObject({ status: expect.any(Number), message: expect.any(String) });
  });

  test.each([
    ["conversation", { conversation: "conv_1" }],
    ["prompt", { prompt: { id: "pmpt_1" } }],
    ["nothing_of_this", { nothing_of_this: 1 }],
    ["top_logprobs", { top_logprobs: 3 }],
    ["tools.0.type", { tools: [{ type: "web_search" }] }],
    ["input.0.content.0.file_data", { input: [{ role: "user", content: [{ type: "input_file", file_id: "f" }] }] }],
    ["input.0.type", { input: [{ type: "computer_call", id: "x" }] }],
    ["background", { background: true, store: false }],
    ["service_tier", { service_tier: "flex" }],
    ["reasoning.effort", { model: "local", reasoning: { effort: "high" } }],
    ["text.format", { model: "local", text: { format: { type: "json_object" } } }],
  ])("400 names the field %s", async (param, fields) => {
    const refused = client().responses.create({ model: "scripted", input: "Hi", ...fields } as never);
    await expect(refused).rejects.toMatchObject({ status: 400, type: "invalid_request_error", param });
  });
});

describe("client tools", () => {
  test("are called and answered by the next response; the earlier one stays and can be answered again", async () => {
    const key = newKey();
    const call = [{ tool: "weather", arguments: ['{"city":', '"Oslo"}'] }, { finish: "tool_calls" as const }];
    cluster.provider.on(key, call, says("Cold."), says("Warm."));
    const asked = { model: "scripted", tools: [weather] };
    const events = await all(await client().responses.create({ ...asked, input: key, stream: true }));
    const first = lastOf(events);
    const [item] = first.output;
    if (item?.type !== "function_call") throw new Error(`no call: ${item?.type}`);
    expect(item).toMatchObject({ name: "weather", status: "completed" });
    expect(JSON.parse(item.arguments)).toEqual({ city: "Oslo" });
    const deltas = events.flatMap((event) =>
      event.type === "response.function_call_arguments.delta" ? [event.delta] : [],
    );
    expect(deltas.join("")).toBe(item.arguments);
    const answer = (output: string) =>
      client({ server: cluster.b }).responses.create({
        ...asked,
        previous_response_id: first.id,
        input: [{ type: "function_call_output", call_id: item.call_id, output }],
      });
    const cold = await answer("-4");
    expect([cold.output_text, cold.previous_response_id]).toEqual(["Cold.", first.id]);
    expect((await answer("24")).output_text).toBe("Warm.");
    const [, second, third] = cluster.requestsFor(key).map(({ body }) => JSON.stringify(body));
    expect(second).toContain("-4");
    expect(third).toContain("24");
    expect(third).not.toContain("-4");
    expect(await client().responses.retrieve(first.id)).toMatchObject({ output: first.output });
    await expect(
      client().responses.create({ ...asked, previous_response_id: first.id, input: "Well?" }),
    ).rejects.toMatchObject({ status: 400, message: expect.stringContaining(item.call_id) });
  });

  test("work stateless: the client sends its whole history", async () => {
    const key = newKey();
    const call = [{ tool: "weather", arguments: ['{"city":"Oslo"}'] }, { finish: "tool_calls" as const }];
    cluster.provider.on(key, call, says("Cold."));
    const asked = { model: "scripted", tools: [weather], store: false };
    const first = await client().responses.create({ ...asked, input: key });
    const [item] = first.output;
    if (item?.type !== "function_call") throw new Error(`no call: ${item?.type}`);
    const second = await client().responses.create({
      ...asked,
      input: [
        { role: "user", content: key },
        item,
        { type: "function_call_output", call_id: item.call_id, output: "-4" },
      ],
    });
    expect(second.output_text).toBe("Cold.");
    await expect(client().responses.retrieve(second.id)).rejects.toMatchObject({ status: 404 });
  });
});

describe("continued", () => {
  test("the conversation continues from any response, twice as siblings; instructions are dropped, system messages kept", async () => {
    const key = newKey();
    cluster.provider.on(key, says("One."), says("Two."), says("Three."));
    const first = await client().responses.create({
      model: "ollama:scripted",
      instructions: "Only now.",
      input: [
        { role: "developer", content: "For good." },
        { role: "user", content: `A ${key}` },
      ],
    });
    const next = (input: string) =>
      client({ server: cluster.b }).responses.create({
        model: "ollama:scripted",
        previous_response_id: first.id,
        input: `${input} ${key}`,
      });
    const second = await next("B");
    expect([second.output_text, (await next("C")).output_text]).toEqual(["Two.", "Three."]);
    const [, ...later] = cluster.requestsFor(key).map(({ body }) => body.messages);
    expect(later).toEqual(
      ["B", "C"].map((text) => [
        { role: "system", content: "For good." },
        { role: "user", content: `A ${key}` },
        { role: "assistant", content: "One." },
        { role: "user", content: `${text} ${key}` },
      ]),
    );
    const items = await client().responses.inputItems.list(second.id, { order: "asc", limit: 2 });
    const texts = [];
    for await (const each of items) texts.push((each as { content: { text: string }[] }).content[0]?.text);
    expect(texts).toEqual([`A ${key}`, "One.", `B ${key}`]);
  });

  test("unknown and foreign responses are 404 in OpenAI's format", async () => {
    const mine = await client().responses.create({ model: "local", input: "Hi" });
    const stranger = client({ token: (await cluster.guest()).token });
    const unknown = "resp_01940000-0000-7000-8000-000000000001";
    for (const [who, id] of [
      [stranger, mine.id],
      [client(), unknown],
      [client(), "resp_x"],
    ] as const) {
      const calls = [
        () => who.responses.retrieve(id),
        () => who.responses.retrieve(id, { stream: true }),
        () => who.responses.cancel(id),
        () => who.responses.delete(id),
        () => who.responses.inputItems.list(id),
        () => who.responses.create({ model: "local", input: "Hi", previous_response_id: id }),
        () => who.responses.create({ model: "local", input: [{ type: "item_reference", id: "msg_x_0" }] }),
      ];
      for (const call of calls)
        await expect(call()).rejects.toMatchObject({ status: 404, type: "invalid_request_error" });
    }
    expect((await client().responses.retrieve(mine.id)).status).toBe("completed");
  });
});

describe("resumed", () => {
  test("after every event, during and after the run, on both servers: the same bytes", async () => {
    const key = newKey();
    cluster.provider.on(key, [
      { reasoning: "Hm." },
      { text: "One" },
      { gate: `${key} first` },
      { text: " two" },
      { tool: "weather", arguments: ['{"city":', '"Oslo"}'] },
      { gate: `${key} second` },
      { finish: "tool_calls" },
    ]);
    const started = await client().responses.create({
      model: "scripted",
      input: key,
      background: true,
      tools: [weather],
    });
    expect(started).toMatchObject({ status: "in_progress", output: [], background: true });
    const path = (after: number) => `/v1/responses/${started.id}?stream=true&starting_after=${after}`;
    // One reader after each event of the first half, on each server, while the answer pauses.
    const early = [cluster.a, cluster.b].flatMap((server) =>
      Array.from({ length: 8 }, (_, after) => ({ after, blocks: blocks(path(after), { server }) })),
    );
    await cluster.provider.reached(`${key} first`);
    cluster.provider.open(`${key} first`);
    await cluster.provider.reached(`${key} second`);
    cluster.provider.open(`${key} second`);
    const whole = await blocks(`/v1/responses/${started.id}?stream=true`);
    expect(whole.length).toBeGreaterThan(15);
    for (const reader of early) expect(await reader.blocks).toEqual(whole.slice(reader.after + 1));
    for (const server of [cluster.a, cluster.b])
      for (let after = 0; after < whole.length; after++)
        expect(await blocks(path(after), { server })).toEqual(whole.slice(after + 1));
    const events = await all(
      await client({ server: cluster.b }).responses.retrieve(started.id, { stream: true, starting_after: 4 }),
    );
    expect(events.map((event) => event.sequence_number)).toEqual(whole.slice(5).map((_, index) => index + 5));
    expect(await all(await client().responses.retrieve(started.id, { stream: true, starting_after: 999 }))).toEqual([]);
  });

  test("when its server is killed, a reader on the other server sees failed, never completed", async () => {
    const key = newKey();
    cluster.provider.on(key, gated(key, ["One", " two", " three"]));
    const started = await client().responses.create({ model: "scripted", input: key, background: true });
    cluster.provider.open(gateOf(key, 0));
    const stream = await client({ server: cluster.b }).responses.retrieve(started.id, { stream: true });
    const events: ResponseStreamEvent[] = [];
    for await (const event of stream) {
      events.push(event);
      if (event.type === "response.output_text.delta" && event.delta.includes("two")) await cluster.a.kill("SIGKILL");
    }
    expect(events.at(-1)?.type).toBe("response.failed");
    expect(lastOf(events)).toMatchObject({
      status: "failed",
      error: { code: "server_error", message: expect.stringContaining("interrupted") },
      output: [{ status: "incomplete", content: [{ text: "One two" }] }],
    });
    expect(await client({ server: cluster.b }).responses.retrieve(started.id)).toMatchObject(lastOf(events));
  });
});

test("cancel ends a response on either server; the stream, retrieve and cancel agree", async () => {
  const key = newKey();
  cluster.provider.on(key, gated(key, ["One", " two"]));
  const started = await client().responses.create({ model: "scripted", input: key, background: true, stream: true });
  let cancelled: ApiResponse | undefined;
  const events: ResponseStreamEvent[] = [];
  for await (const event of started) {
    events.push(event);
    if (event.type === "response.output_text.delta" && event.delta.includes("One")) {
      const id = (events[0] as { response: ApiResponse }).response.id;
      cancelled = await client({ server: cluster.b }).responses.cancel(id);
    }
  }
  expect(lastOf(events)).toMatchObject({ status: "cancelled", output: [{ content: [{ text: "One" }] }] });
  expect(cancelled).toMatchObject(lastOf(events));
  expect(await client().responses.retrieve(lastOf(events).id)).toMatchObject(lastOf(events));
});

test("deleting removes the response and its chat, and keeps those that continue from it", async () => {
  const first = await client().responses.create({ model: "local", input: "Hi" });
  const second = await client().responses.create({ model: "local", input: "Again", previous_response_id: first.id });
  expect(await cluster.api("DELETE", `/v1/responses/${first.id}`)).toMatchObject({
    status: 200,
    body: { id: first.id, object: "response", deleted: true },
  });
  await expect(client().responses.retrieve(first.id)).rejects.toMatchObject({ status: 404 });
  await expect(client().responses.delete(first.id)).rejects.toMatchObject({ status: 404 });
  expect((await client().responses.retrieve(second.id)).status).toBe("completed");
  const { data: alone, response } = await client().responses.create({ model: "local", input: "Hi" }).withResponse();
  await client().responses.delete(alone.id);
  expect((await cluster.api("GET", `/api/chats/${response.headers.get("x-chat-id")}`)).status).toBe(404);
});

describe("@ai-sdk/openai, its default model", () => {
  const model = (name = "scripted", server: TestServer = cluster.a) =>
    createOpenAI({ apiKey: cluster.user.token, baseURL: `${server.url}/v1` })(name);

  test("streams text and usage", async () => {
    const key = newKey();
    cluster.provider.on(key, [
      { text: "Hello" },
      { text: " there." },
      { finish: "stop", usage: { input: 3, output: 2 } },
    ]);
    const result = streamText({ model: model(), prompt: key });
    expect(await result.text).toBe("Hello there.");
    expect(await result.usage).toMatchObject({ inputTokens: 3, outputTokens: 2 });
    expect(await result.finishReason).toBe("stop");
  });

  test("runs its own tool and continues, with references to earlier items", async () => {
    const key = newKey();
    const call = [
      { text: "Wait." },
      { tool: "weather", arguments: ['{"city":"Oslo"}'] },
      { finish: "tool_calls" as const },
    ];
    cluster.provider.on(key, call, says("Cold."));
    const cities: unknown[] = [];
    const result = await generateText({
      model: model(),
      prompt: key,
      tools: {
        weather: tool({
          inputSchema: jsonSchema<{ city: string }>(city),
          execute: ({ city: name }) => {
            cities.push(name);
            return "-4";
          },
        }),
      },
      stopWhen: ({ steps }) => steps.length === 3,
    });
    expect([result.text, cities]).toEqual(["Cold.", ["Oslo"]]);
    const [, second] = cluster.requestsFor(key).map(({ body }) => JSON.stringify(body));
    expect(second).toContain("Wait.");
    expect(second).toContain("-4");
  });

  test("reports a failed answer as an error", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { error: "overloaded" }]);
    const errors: unknown[] = [];
    const result = streamText({
      model: model(),
      prompt: key,
      maxRetries: 0,
      onError: ({ error }) => void errors.push(error),
    });
    await result.consumeStream();
    expect(errors).toHaveLength(1);
  });
});
