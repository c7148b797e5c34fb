// State that a provider needs back from its answers: in the requests of one turn, in later turns,
// after a broken answer, and never for another model or reader. Real database, real HTTP.
import { v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pool } from "@/db/client";
import { insertUser } from "@/db/users";
import { turnLog } from "@/lib/log/turn-log";
import { listMessages } from "@/lib/services/chats/messages";
import { exportAccount } from "@/lib/services/users/export";
import type { TurnPrompt } from "@/lib/turn/turn-input";
import { testDatabase } from "@/test/database";
import { type Provider, type Script, says, startProvider } from "@/test/provider";
import { followTurn } from "./follow-turn";
import { startTurn } from "./start";
import { type TurnRequest, userMessage } from "./turn-request";

testDatabase();

let provider: Provider;
const runs: Promise<void>[] = [];

beforeAll(async () => {
  provider = await startProvider();
  Object.assign(process.env, {
    MODELS: "openai:gpt-5-mini,openai:gpt-5,ollama:probe",
    OPENAI_BASE_URL: provider.url,
    OPENAI_API: "responses",
    OLLAMA_BASE_URL: provider.url,
  });
});
afterAll(async () => {
  await turnLog().close(0);
  await Promise.all(runs);
  await provider.close();
});

type Item = Record<string, unknown> & { type?: string; role?: string };
type Body = { input?: Item[]; messages?: Item[] };

/** A chat of a new user. */
async function newChat(model: string) {
  const userId = uuidv7();
  const chatId = uuidv7();
  await insertUser({ id: userId, email: null, name: null, passwordHash: null });

  async function run(request: Partial<TurnRequest>, text: string, ...scripts: Script[]) {
    const key = `${text} ${uuidv7()}`;
    const message = { id: uuidv7(), parts: [{ type: "text" as const, text: key }] };
    const before = provider.requests.length;
    if (!request.trigger) provider.on(key, ...scripts);
    const turn = await startTurn(
      userId,
      {
        trigger: "submit-message",
        chatId,
        clientKey: message.id,
        message,
        searchMode: "none",
        model,
        ...request,
      } as TurnRequest,
      (work) => void runs.push(work),
    );
    const reader = await followTurn(turn, null, 0, false);
    while (await reader.next()) {}
    return provider.requests.slice(before).map(({ body }) => body as Body);
  }
  return {
    userId,
    chatId,
    ask: (text: string, ...scripts: Script[]) => run({}, text, ...scripts),
    askOther: (other: string, text: string, ...scripts: Script[]) => run({ model: other }, text, ...scripts),
    askPrompt: (text: string, messages: TurnPrompt["messages"]) =>
      run({ trigger: "answer-prompt", prompt: { messages, instructions: "", settings: {} } }, text),
    /** Plays the next script of the answer. */
    goOn: (other: string) => run({ trigger: "continue-message", model: other }, ""),
  };
}

const addsTask: Script = [{ tool: "add_task", arguments: ['{"title":"Milk"}'] }, { finish: "tool_calls" }];

describe("the Responses API", () => {
  const thinks = (text: string): Script => [{ reasoning: text }];
  const first: [Script, Script] = [
    [...thinks("A task."), ...addsTask],
    [...thinks("Done."), ...says("Added.")],
  ];
  const sealed = { type: "reasoning", encrypted_content: "sealed" };
  const answered = [sealed, { type: "function_call", name: "add_task" }, { type: "function_call_output" }];
  const typesOf = ({ input = [] }: Body = {}) => input.map(({ type, role }) => type ?? role);

  it("gets its encrypted reasoning back with the call it led to, in this turn and later ones", async () => {
    const chat = await newChat("openai:gpt-5-mini");
    const bodies = await chat.ask("buy milk", ...first);
    expect(bodies[1]?.input?.slice(-3)).toMatchObject(answered);
    const later = await chat.ask("and then", says("Nothing."));
    expect(later[0]?.input?.slice(2)).toMatchObject([
      ...answered,
      { ...sealed, summary: [{ text: "Done." }] },
      { role: "assistant", content: "Added." },
      { role: "user" },
    ]);
  });

  it("never gets another model's state", async () => {
    const chat = await newChat("openai:gpt-5-mini");
    await chat.ask("buy bread", ...first);
    const bodies = await chat.askOther("openai:gpt-5", "what did I say", says("Bread."));
    expect(typesOf(bodies[0])).toEqual([
      "developer",
      "user",
      "function_call",
      "function_call_output",
      "assistant",
      "user",
    ]);
    expect(JSON.stringify(bodies)).not.toMatch(/sealed|itemId/);
  });

  it("state is stored in the database and shown to no reader", async () => {
    const chat = await newChat("openai:gpt-5-mini");
    await chat.ask("buy salt", ...first);
    const { sql } = pool();
    const [row] = await sql`select parts::text from messages where chat_id = ${chat.chatId} and role = 'assistant'`;
    expect(row?.parts).toContain("sealed");
    const shown: string[] = [JSON.stringify(await listMessages(chat.userId, chat.chatId))];
    for await (const line of exportAccount(chat.userId)) shown.push(line);
    expect(shown.join("\n")).toContain("Added.");
    expect(shown.join("\n")).not.toMatch(/sealed|itemId/);
  });

  it("is retried without earlier turns' state when it rejects that", async () => {
    const chat = await newChat("openai:gpt-5-mini");
    await chat.ask("buy tea", ...first);
    const error = { message: "The encrypted content for item rs_1 could not be verified.", code: "x" };
    const bodies = await chat.ask("and now", [{ answer: 400, body: { error } }], says("Tea."));
    expect(bodies.map((body) => typesOf(body).filter((type) => type === "reasoning").length)).toEqual([2, 0]);
    expect(typesOf(bodies[1])).toContain("function_call");
  });

  it("continues an interrupted answer with its reasoning", async () => {
    const chat = await newChat("openai:gpt-5-mini");
    await chat.ask("buy oil", first[0], [{ reasoning: "Loose." }], says("Oil."));
    const bodies = await chat.goOn("openai:gpt-5-mini");
    // The API refuses an item without its successor.
    expect(bodies[0]?.input?.slice(2)).toMatchObject(answered);
    const later = await chat.ask("and then", says("Nothing."));
    expect(typesOf(later[0])).toEqual([
      "developer",
      "user",
      "reasoning",
      "function_call",
      "function_call_output",
      "assistant",
      "user",
    ]);
  });

  it("continuing another model's answer gets none of that model's state", async () => {
    const chat = await newChat("openai:gpt-5-mini");
    await chat.ask("buy rice", first[0], [{ text: "Ri" }], says("ce."));
    const bodies = await chat.goOn("openai:gpt-5");
    const later = await chat.askOther("openai:gpt-5", "and then", says("Nothing."));
    expect(JSON.stringify([bodies, later])).not.toContain("sealed");
    expect(JSON.stringify(later)).toContain("Rice.");
  });
});

it("ignores state that a client sends with a message", () => {
  const part = { type: "text", text: "Hello", providerMetadata: { openaiCompatible: { role: "system" } } };
  const { parts } = userMessage.parse({
    id: uuidv7(),
    role: "user",
    parts: [part],
    metadata: { model: "openai:gpt-5" },
  });
  expect(parts).toEqual([{ type: "text", text: "Hello" }]);
});

describe("Chat Completions", () => {
  const chunk = (delta: object, finish_reason: string | null = null) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
  const streamed = (deltas: object[], reason: string): Script => [
    { raw: `${deltas.map((delta) => chunk(delta)).join("")}${chunk({}, reason)}data: [DONE]\n\n` },
  ];
  const call = { index: 0, id: "call_1", type: "function", function: { name: "add_task", arguments: '{"title":"A"}' } };
  const signed = { extra_content: { google: { thought_signature: "c2lnbmF0dXJl" } } };
  const details = [
    { type: "reasoning.text", text: "A task.", index: 0 },
    { type: "reasoning.encrypted", data: "sealed", index: 1 },
  ];
  const calls = { tool_calls: [{ id: "call_1", function: { name: "add_task" } }] };

  const servers: [name: string, thoughts: object[], call: object, inTurn: object, later: object, spoken: object][] = [
    [
      "DeepSeek's reasoning_content",
      [{ reasoning_content: "A " }, { reasoning_content: "task." }],
      call,
      { ...calls, reasoning_content: "A task." },
      { ...calls, reasoning_content: "A task." },
      { content: "Added.", reasoning_content: "A task." },
    ],
    [
      "the reasoning of Ollama, vLLM and Groq, under its own name",
      [{ reasoning: "A " }, { reasoning: "task." }],
      call,
      { ...calls, reasoning: "A task." },
      { ...calls, reasoning: "A task." },
      { content: "Added.", reasoning: "A task." },
    ],
    [
      "OpenRouter's reasoning_details, reassembled",
      [
        { reasoning: "A ", reasoning_details: [{ type: "reasoning.text", text: "A ", index: 0 }] },
        { reasoning: "task.", reasoning_details: [{ type: "reasoning.text", text: "task.", index: 0 }] },
        { reasoning_details: [{ type: "reasoning.encrypted", data: "sealed", index: 1 }] },
      ],
      call,
      { ...calls, reasoning_details: details },
      { ...calls, reasoning_details: details },
      { content: "Added.", reasoning_details: details },
    ],
    [
      "the signature of Gemini's calls",
      [],
      { ...call, ...signed },
      { tool_calls: [{ id: "call_1", ...signed }] },
      { tool_calls: [{ id: "call_1", ...signed }] },
      { content: "Added." },
    ],
    [
      "reasoning from tags, within the turn only",
      [{ content: "<think>A task.</think>" }],
      call,
      { ...calls, reasoning_content: "A task." },
      calls,
      { content: "Added." },
    ],
  ];
  const reasoningOf = ({ reasoning_content, reasoning, reasoning_details }: Item = {}) => ({
    ...(reasoning_content !== undefined && { reasoning_content }),
    ...(reasoning !== undefined && { reasoning }),
    ...(reasoning_details !== undefined && { reasoning_details }),
  });

  it.each(servers)("sends back %s", async (_, thoughts, called, inTurn, later, spoken) => {
    const chat = await newChat("ollama:probe");
    const bodies = await chat.ask(
      "buy milk",
      streamed([...thoughts, { tool_calls: [called] }], "tool_calls"),
      streamed([...thoughts, { content: "Added." }], "stop"),
    );
    expect(bodies[1]?.messages?.[2]).toMatchObject(inTurn);
    const next = await chat.ask("and then", says("Nothing."));
    const messages = next[0]?.messages ?? [];
    expect(messages.map(({ role }) => role)).toEqual(["system", "user", "assistant", "tool", "assistant", "user"]);
    expect([messages[2], messages[4]]).toMatchObject([later, spoken]);
    expect([messages[2], messages[4]].map(reasoningOf)).toEqual(
      [later, spoken].map((each) => reasoningOf(each as Item)),
    );
  });

  it("forwards reasoning that a client with its own tools sends back with their calls", async () => {
    const chat = await newChat("ollama:probe");
    const text = `how late ${uuidv7()}`;
    const clock = { toolCallId: "c", state: "output-available", input: {}, output: "12:00" } as const;
    const [body] = await chat.askPrompt(text, [
      { role: "user", parts: [{ type: "text", text }] },
      {
        role: "assistant",
        parts: [
          { type: "reasoning", text: "The clock." },
          { type: "tool-clock", ...clock },
        ],
      },
    ]);
    expect(body?.messages).toMatchObject([
      { role: "user" },
      { role: "assistant", reasoning_content: "The clock.", tool_calls: [{ id: "c" }] },
      { role: "tool", tool_call_id: "c", content: "12:00" },
    ]);
  });

  it("does not send back plain reasoning of a turn without calls", async () => {
    const chat = await newChat("ollama:probe");
    await chat.ask("hello", streamed([{ reasoning_content: "Hm." }, { content: "Hello." }], "stop"));
    const bodies = await chat.ask("and then", says("Nothing."));
    expect(bodies[0]?.messages?.[2]).toEqual({ role: "assistant", content: "Hello." });
  });
});
