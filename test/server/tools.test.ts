// Tools end to end (docs/protocol.md §8): the loop, its limit, failures as data, stops and crashes.
import { randomUUID } from "node:crypto";
import { getToolName, isToolUIPart } from "ai";
import { describe, expect, test } from "vitest";
import { type EventStream, openStream } from "@/test/sse";
import { gateOf, header, newKey, outline, shapes, type TestUser, testCluster, textOf } from "./cluster";

const leaseMs = 2_000;
const cluster = testCluster({ servers: 2, env: { LEASE_MS: String(leaseMs) } });

type Send = Parameters<typeof cluster.send>[1];

const call = (tool: string, input: object) => ({ tool, arguments: JSON.stringify(input).match(/.{1,9}/g) ?? [] });
const calls = { finish: "tool_calls" } as const;
const stop = { finish: "stop" } as const;

async function ask(key: string, options: Send = {}, user = cluster.user): Promise<EventStream> {
  const stream = await cluster.send(key, options, { user });
  expect(await stream.ended).toBe("terminal");
  return stream;
}

/** The result of each call, in order. */
async function resultsOf(stream: EventStream, user = cluster.user) {
  const message = await cluster.answer(header(stream, "x-chat-id"), { user, server: cluster.b });
  return message.parts
    .filter(isToolUIPart)
    .map((part) => [getToolName(part), part.state === "output-error" ? part.errorText : part.output]);
}

async function tasksOf({ userId }: TestUser) {
  return cluster.sql`select number, title, completed_at is not null as done from tasks where user_id = ${userId} order by number`;
}

describe.each(shapes)("over the %s API", (_, model) => {
  test("runs the tool loop: chunks in order, results return to the model, every tool", async () => {
    const user = await cluster.guest();
    const key = newKey();
    cluster.provider.on(
      key,
      [
        { text: "One moment." },
        call("add_task", { title: "Buy milk" }),
        call("add_task", { title: "Call Ann" }),
        calls,
      ],
      [call("complete_task", { task_id: 1 }), call("update_task", { task_id: 2, title: "Call Anna" }), calls],
      [call("delete_task", { task_id: 1 }), call("list_tasks", {}), calls],
      [{ text: "Done." }, stop],
    );
    const stream = await ask(key, { model }, user);
    // How the pieces of a step interleave depends on the API.
    const pieces = /^(text-|tool-input-(start|delta))/;
    const step = ["start-step", "tool-input-available", "tool-output-available", "finish-step"];
    expect(outline(stream.chunks.filter(({ type }) => !pieces.test(type)))).toEqual([
      ...["start", "turn running", "generate active"],
      ...[...step, ...step, ...step],
      ...["start-step", "finish-step"],
      ...["generate done", "message-metadata", "turn complete", "finish"],
    ]);
    const ids = stream.chunks.flatMap((chunk) => (chunk.type === "tool-input-start" ? [chunk.toolCallId] : []));
    expect(new Set(ids).size).toBe(6);
    for (const id of ids) {
      const own = stream.chunks.filter((chunk) => "toolCallId" in chunk && chunk.toolCallId === id);
      expect(outline(own)).toEqual([
        "tool-input-start",
        "tool-input-delta",
        "tool-input-available",
        "tool-output-available",
      ]);
    }
    expect(await resultsOf(stream, user)).toMatchObject([
      ["add_task", { task: { task_id: 1, title: "Buy milk", status: "pending" } }],
      ["add_task", { task: { task_id: 2, title: "Call Ann" } }],
      ["complete_task", { task: { task_id: 1, status: "completed" } }],
      ["update_task", { task: { task_id: 2, title: "Call Anna" } }],
      ["delete_task", { deleted: { task_id: 1 } }],
      ["list_tasks", { tasks: [{ task_id: 2, title: "Call Anna" }], has_more: false }],
    ]);
    expect(await tasksOf(user)).toEqual([{ number: 2, title: "Call Anna", done: false }]);
    expect(stream.text).toBe("One moment.Done.");
    const last = await cluster.provider.request(key, 4);
    expect(JSON.stringify(last.body)).toContain("Call Anna");
    expect(JSON.stringify(last.body.tools)).toContain("list_tasks");

    // The next turn's model sees what was done.
    cluster.provider.on("next turn", [{ text: "Yes." }, stop]);
    await ask("next turn", { model, chatId: header(stream, "x-chat-id") }, user);
    expect(JSON.stringify((await cluster.provider.request("next turn")).body)).toContain("complete_task");
  });

  test("a tool failure is a result: the model sees it, the turn completes", async () => {
    const user = await cluster.guest();
    const other = await cluster.guest();
    const otherKey = newKey();
    cluster.provider.on(otherKey, [call("add_task", { title: "Not yours" }), calls], [{ text: "Done." }, stop]);
    await ask(otherKey, { model }, other);

    const key = newKey();
    cluster.provider.on(
      key,
      [
        call("delete_task", { task_id: 1, user_id: other.userId }),
        call("delete_task", { task_id: 12345 }),
        call("add_task", { title: "x".repeat(201) }),
        { tool: "add_task", arguments: ['{"title": '] },
        call("drop_tables", {}),
        calls,
      ],
      [{ text: "Sorry." }, stop],
    );
    const stream = await ask(key, { model }, user);
    const none = "There is no task with this task_id. list_tasks tells which there are.";
    const wrong = "The arguments do not fit this tool. It did nothing.";
    const results = await resultsOf(stream, user);
    expect(results.toSorted()).toEqual(
      [
        ["delete_task", none],
        ["delete_task", none],
        ["add_task", wrong],
        ["add_task", wrong],
        ["drop_tables", "There is no such tool."],
      ].toSorted(),
    );
    expect(outline(stream.chunks).at(-1)).toBe("finish");
    expect(stream.text).toBe("Sorry.");
    expect(JSON.stringify((await cluster.provider.request(key, 2)).body)).toContain(none);
    expect(await tasksOf(other)).toMatchObject([{ title: "Not yours" }]);
    expect(await tasksOf(user)).toEqual([]);
  });

  test("stops after ten requests", async () => {
    const user = await cluster.guest();
    const key = newKey();
    cluster.provider.on(key, [call("list_tasks", {}), calls]);
    const stream = await ask(key, { model }, user);
    expect(cluster.requestsFor(key)).toHaveLength(10);
    expect(stream.chunks.filter(({ type }) => type === "tool-output-available")).toHaveLength(10);
    expect(outline(stream.chunks).at(-1)).toBe("finish");
  });
});

test("I11: a stop while a tool waits ends the turn at once and closes the call", async () => {
  const user = await cluster.guest();
  const key = newKey();
  const chatId = randomUUID();
  // Creating a chat takes the lock that this test holds.
  expect((await cluster.api("POST", "/api/chats", { body: { id: chatId }, user })).status).toBe(201);
  const script = [{ gate: gateOf(key, 0) }, call("add_task", { title: "Late" }), calls];
  cluster.provider.on(key, script, [{ text: "Never said." }, stop]);
  // So does starting a turn.
  const live = await cluster.send(key, { chatId }, { user });
  await cluster.provider.reached(gateOf(key, 0));
  const stream = await cluster.sql.begin(async (sql) => {
    await sql`select 1 from users where id = ${user.userId} for no key update`;
    cluster.provider.open(gateOf(key, 0));
    await live.until(({ chunks }) => chunks.some(({ type }) => type === "tool-input-available"));
    const stopped = await cluster.api("DELETE", `/api/turns/${header(live, "x-turn-id")}`, { user });
    expect(stopped.body).toMatchObject({ status: "stopped" });
    expect(await live.ended).toBe("terminal");
    return live;
  });
  expect(outline(stream.chunks).slice(-6)).toEqual([
    "tool-output-error",
    "finish-step",
    "generate done",
    "message-metadata",
    "turn stopped",
    "abort",
  ]);
  expect(cluster.requestsFor(key)).toHaveLength(1);
});

test("I4 I5: after a crash between a call and its result, another server seals the turn and closes the call", async () => {
  const user = await cluster.guest();
  const key = newKey();
  cluster.provider.on(key, [call("add_task", { title: "Lost" }), { gate: gateOf(key, 0) }, calls]);
  const live = await cluster.send(key, {}, { user });
  await live.until(({ chunks }) => chunks.some(({ type }) => type === "tool-input-available"));
  const reader = await cluster.follow(header(live, "x-turn-id"), { user, server: cluster.b });
  const { port } = cluster.a;
  await cluster.a.kill("SIGKILL");
  expect(await reader.ended).toBe("terminal");
  expect(outline(reader.chunks).slice(-6)).toEqual([
    "tool-output-error",
    "finish-step",
    "generate done",
    "message-metadata",
    "turn interrupted",
    "error",
  ]);
  expect(await resultsOf(live, user)).toEqual([["add_task", "The answer ended before this tool did."]]);
  expect(await tasksOf(user)).toEqual([]);
  cluster.a = await cluster.start({ port });

  // The chat continues, and the model does not see a call without a result.
  cluster.provider.on("after the crash", [{ text: "Yes." }, stop]);
  expect((await ask("after the crash", { chatId: header(live, "x-chat-id") }, user)).text).toBe("Yes.");
});

describe("in other dialects", () => {
  test("agent: sends calls and results as frames, and in the JSON answer", async () => {
    const user = await cluster.guest();
    const key = newKey();
    const script = [call("add_task", { title: "Buy milk" }), call("complete_task", { task_id: 99 }), calls];
    cluster.provider.on(key, script, [{ text: "Done." }, stop]);
    const stream = await openStream(`${cluster.a.url}/api/${user.userId}/chat/stream`, {
      token: user.token,
      body: { message: key },
      kind: "dialect",
    });
    await stream.ended;
    const frames = stream.frames.filter(({ data }) => data !== "[DONE]").map(({ data }) => JSON.parse(data));
    const started = { type: "tool_call", status: "started", id: expect.any(String) };
    expect(frames).toEqual([
      { type: "start", agent: "Assistant" },
      { ...started, name: "add_task", arguments: { title: "Buy milk", description: "" } },
      { ...started, name: "complete_task", arguments: { task_id: 99 } },
      {
        type: "tool_result",
        name: "add_task",
        id: frames[1].id,
        result: expect.stringContaining("Buy milk"),
        data: { task: expect.objectContaining({ task_id: 1, status: "pending" }) },
      },
      expect.objectContaining({ type: "tool_result", name: "complete_task", data: { error: expect.any(String) } }),
      { type: "text", content: "Done." },
      { type: "done" },
    ]);

    cluster.provider.on(key, [call("list_tasks", {}), calls], [{ text: "One." }, stop]);
    const whole = await cluster.api("POST", `/api/${user.userId}/chat`, { body: { message: key }, user });
    expect(whole.body).toMatchObject({
      response: "One.",
      tool_calls: [{ name: "list_tasks", data: { tasks: [{ title: "Buy milk" }] } }],
    });
  });

  test.each([
    ["/api/v1/chat/stream", (text: string) => ({ text })],
    ["/api/v1/chat", (message: string) => ({ message })],
    ["/chat/1/stream", (question: string) => ({ question })],
    ["/sessions/1/messages/stream", (content: string) => ({ content, role: "user" })],
    [
      "/v1/chat/completions",
      (content: string) => ({ messages: [{ role: "user", content }], metadata: { chat_id: 1 } }),
    ],
  ])("%s: tools work", async (path, body) => {
    const user = await cluster.guest();
    const key = newKey();
    await cluster.api("POST", "/api/chats", { body: {}, user });
    cluster.provider.on(key, [call("add_task", { title: "Buy milk" }), calls], [{ text: "Done." }, stop]);
    const answer = await cluster.api("POST", path, { body: body(key), user });
    expect(answer.status).toBe(200);
    expect(answer.text).toContain("Done.");
    expect(await tasksOf(user)).toMatchObject([{ title: "Buy milk" }]);
  });

  test("openai: a client's own tools replace ours", async () => {
    const key = newKey();
    cluster.provider.on(key, [call("add_task", { title: "For the client" }), calls]);
    const user = await cluster.guest();
    const tools = [
      { type: "function", function: { name: "add_task", parameters: { type: "object", properties: {} } } },
    ];
    const answer = await cluster.api("POST", "/v1/chat/completions", {
      body: { messages: [{ role: "user", content: key }], tools },
      user,
    });
    expect(answer.text).toContain("For the client");
    expect(await tasksOf(user)).toEqual([]);
    expect(JSON.stringify((await cluster.provider.request(key)).body.tools)).not.toContain("list_tasks");
  });
});

test("TOOLS=off offers none", async () => {
  const server = await cluster.start({ env: { TOOLS: "off" } });
  const key = newKey();
  cluster.provider.on(key, [{ text: "Yes." }, stop]);
  const stream = await cluster.send(key, { chatId: randomUUID() }, { server });
  expect(await stream.ended).toBe("terminal");
  expect(textOf(await cluster.answer(header(stream, "x-chat-id")))).toBe("Yes.");
  expect((await cluster.provider.request(key)).body.tools).toBeUndefined();
  expect(await server.stop()).toBe(0);
});

test("a model without tool support answers without them", async () => {
  // A separate server, because it remembers the refusal.
  const server = await cluster.start();
  const key = newKey();
  const refusal = { error: { message: "registry.ollama.ai/library/scripted does not support tools" } };
  cluster.provider.on(key, [{ answer: 400, body: refusal }], [{ text: "Yes." }, stop]);
  const stream = await cluster.send(key, { model: "ollama:scripted" }, { server });
  expect(await stream.ended).toBe("terminal");
  expect(stream.text).toBe("Yes.");
  expect(outline(stream.chunks).at(-1)).toBe("finish");
  expect((await cluster.provider.request(key, 1)).body.tools).toHaveLength(5);
  expect((await cluster.provider.request(key, 2)).body.tools).toBeUndefined();
  expect(await server.stop()).toBe(0);
});
