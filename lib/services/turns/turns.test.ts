// Starting, following and stopping turns against a real database, with the local model and a
// scripted provider.
import { v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { pool } from "@/db/client";
import { findTurn, insertTurn, type TurnRow } from "@/db/turns";
import { insertUser } from "@/db/users";
import { turnLog } from "@/lib/log/turn-log";
import { createChat, deleteChat, findChat, listChats } from "@/lib/services/chats/chats";
import { listMessages } from "@/lib/services/chats/messages";
import { type ChatMessage, isTerminal, type LoggedChunk } from "@/lib/turn/chunks";
import { foldChunks, textOf } from "@/lib/turn/fold";
import { continueInstruction } from "@/lib/turn/prompt";
import type { TurnPrompt } from "@/lib/turn/turn-input";
import { noCeilings, testDatabase } from "@/test/database";
import { logged } from "@/test/logged";
import { type Provider, says, startProvider } from "@/test/provider";
import { execute } from "./execute";
import { findTurnToFollow, followTurn, requireTurn } from "./follow-turn";
import { startTurn } from "./start";
import { stopChat, stopTurn } from "./stop";
import type { TurnRequest } from "./turn-request";

testDatabase();

let provider: Provider;
/** Detached runs: none may outlive its test file. */
const runs: Promise<void>[] = [];
const keepAlive = (work: Promise<void>) => void runs.push(work);

beforeAll(async () => {
  provider = await startProvider();
  Object.assign(process.env, {
    MODELS: "openai:scripted,local",
    OPENAI_BASE_URL: provider.url,
    OPENAI_API: "chat",
    MAX_RUNNING_TURNS: "100",
  });
});
afterAll(async () => {
  await turnLog().close(0);
  await Promise.all(runs);
  await provider.close();
});

async function newUser(): Promise<string> {
  const id = uuidv7();
  await insertUser({ id, email: null, name: null, passwordHash: null });
  return id;
}

/** A question in a chat; its id is its idempotency key. */
function ask(text: string, chatId = uuidv7(), id = uuidv7()): TurnRequest & { trigger: "submit-message" } {
  const message = { id, parts: [{ type: "text" as const, text }] };
  return { trigger: "submit-message", chatId, clientKey: id, message, searchMode: "none" };
}

const again = (chatId: string, messageId?: string): TurnRequest => ({
  trigger: "regenerate-message",
  chatId,
  clientKey: uuidv7(),
  searchMode: "none",
  ...(messageId ? { messageId } : {}),
});

async function read(turn: TurnRow, afterSeq = 0, compact = false): Promise<LoggedChunk[]> {
  const reader = await followTurn(turn, null, afterSeq, compact);
  const all: LoggedChunk[] = [];
  for (let batch = await reader.next(); batch; batch = await reader.next()) all.push(...batch);
  return all;
}

/** Follows until the text so far equals this, then closes. */
async function readUntil(turn: TurnRow, text: string): Promise<void> {
  const reader = await followTurn(turn, null, 0, false);
  let seen = "";
  while (seen !== text) {
    const batch = await reader.next();
    if (!batch) throw new Error(`The turn ended with ${JSON.stringify(seen)}.`);
    for (const { chunk } of batch) if (chunk.type === "text-delta") seen += chunk.delta;
  }
  reader.close();
}

const requestsFor = (key: string) => provider.requests.filter(({ prompt }) => prompt.includes(key)).length;

describe("starting", () => {
  it("creates chat, question and answer, and the message equals the log", async () => {
    const userId = await newUser();
    provider.on("first question", says("The answer."));
    const request = ask("A first question,\n in   two lines");
    const turn = await startTurn(userId, request, keepAlive);
    const logged = await read(turn);
    expect(logged.map(({ seq }) => seq)).toEqual(logged.map((_, index) => index + 1));
    expect(logged.filter(({ chunk }) => isTerminal(chunk))).toEqual([logged.at(-1)]);
    expect(await findChat(userId, request.chatId)).toMatchObject({
      number: 1,
      title: "A first question, in two lines",
    });
    const [question, answer] = (await listMessages(userId, request.chatId)).messages;
    expect(question).toMatchObject({ id: request.message.id, role: "user", parts: request.message.parts });
    expect(answer).toEqual(JSON.parse(JSON.stringify(await foldChunks(logged.map(({ chunk }) => chunk)))));
    expect(answer).toMatchObject({ id: turn.messageId, metadata: { status: "complete", turnId: turn.id } });
    expect(await requireTurn(userId, turn.id)).toMatchObject({ state: "complete", lastSeq: logged.length });
  });

  it("lets the provider's text wait for the log's next commit", async () => {
    const hold = vi.spyOn(turnLog(), "hold");
    const gate = "second text";
    provider.on("held text", [{ text: "One, " }, { gate }, { text: "two" }, { gate: "end" }, { finish: "stop" }]);
    const turn = await startTurn(await newUser(), ask("held text"), keepAlive);
    await readUntil(turn, "One, ");
    provider.open(gate);
    await readUntil(turn, "One, two");
    provider.open("end");
    await read(turn);
    expect(hold).toHaveBeenCalled();
    hold.mockRestore();
  });

  it("I7: concurrent sends with one key are one turn and one request", async () => {
    const userId = await newUser();
    provider.on("asked in parallel", says("Once."));
    const request = ask("asked in parallel");
    const turns = await Promise.all(Array.from({ length: 20 }, () => startTurn(userId, request, keepAlive)));
    expect(new Set(turns.map(({ id }) => id)).size).toBe(1);
    const logs = await Promise.all(turns.map((turn) => read(turn)));
    for (const log of logs) expect(log).toEqual(logs[0]);
    // And later, long after it ended.
    expect(await startTurn(userId, request, keepAlive)).toMatchObject({ id: turns[0]?.id, state: "complete" });
    expect(requestsFor("asked in parallel")).toBe(1);
    expect((await listMessages(userId, request.chatId)).messages).toHaveLength(2);
    expect(await findChat(userId, request.chatId)).toMatchObject({ number: 1 });
  });

  it("I7: a second turn in a busy chat is refused with the running turn, and nothing of it is stored", async () => {
    const userId = await newUser();
    provider.on("a long answer", [{ text: "Well" }, { gate: "long" }, { finish: "stop" }]);
    const first = ask("a long answer");
    const turn = await startTurn(userId, first, keepAlive);
    for (const request of [ask("impatient", first.chatId), again(first.chatId)])
      await expect(startTurn(userId, request, keepAlive)).rejects.toMatchObject({
        code: "turn_running",
        details: { turnId: turn.id },
      });
    expect((await listMessages(userId, first.chatId)).messages).toHaveLength(2);
    provider.open("long");
    await read(turn);
    const next = await startTurn(userId, ask("patient", first.chatId), keepAlive);
    await read(next);
    expect((await listMessages(userId, first.chatId)).messages).toHaveLength(4);
    expect(requestsFor("impatient")).toBe(0);
  });

  it("different concurrent questions in a new chat: one wins, the other gets the running turn", async () => {
    const userId = await newUser();
    provider.on("racing", [{ gate: "race" }, { text: "x" }, { finish: "stop" }]);
    const chatId = uuidv7();
    const results = await Promise.allSettled(
      [1, 2, 3].map((n) => startTurn(userId, ask(`racing ${n}`, chatId), keepAlive)),
    );
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
    for (const result of results.filter((each) => each.status === "rejected"))
      expect(result.reason).toMatchObject({ code: "turn_running" });
    provider.open("race");
    expect((await listMessages(userId, chatId)).messages).toHaveLength(2);
  });

  it("I9: a send that waited while another message was stored is placed after it", async () => {
    const userId = await newUser();
    const first = ask("before");
    const answered = await startTurn(userId, first, keepAlive);
    await read(answered);
    const { chatId } = first;
    const sent = await pool().sql.begin(async (sql) => {
      await sql`update chats set updated_at = now() where user_id = ${userId} and id = ${chatId}`;
      const waiting = startTurn(userId, ask("behind", chatId), keepAlive);
      const locks = () => pool().sql`
        select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into turns%'`;
      await expect.poll(async () => (await locks()).length, { interval: 10, timeout: 10_000 }).toBe(1);
      await sql`
        insert into messages (user_id, id, chat_id, parent_id, role, parts)
        values (${userId}, 'between', ${chatId}, ${answered.messageId}, 'user', '[{"type":"text","text":"between"}]')`;
      return { waiting };
    });
    await read(await sent.waiting);
    expect((await listMessages(userId, chatId)).messages.filter(({ role }) => role === "user").map(textOf)).toEqual([
      "before",
      "between",
      "behind",
    ]);
  });

  it("new chats skip numbers that clients took, and a refused send takes none", async () => {
    const userId = await newUser();
    const numbered = { ...ask("numbered"), chatNumber: 2 };
    await read(await startTurn(userId, numbered, keepAlive));
    const begin = async (request: TurnRequest) => {
      await read(await startTurn(userId, request, keepAlive));
      return (await findChat(userId, request.chatId))?.number;
    };
    const numbers = await Promise.all(Array.from({ length: 6 }, (_, index) => begin(ask(`around ${index}`))));
    expect(numbers.sort()).toEqual([1, 3, 4, 5, 6, 7]);
    const used = { ...ask("refused", uuidv7(), numbered.message.id), clientKey: uuidv7() };
    await expect(startTurn(userId, used, keepAlive)).rejects.toMatchObject({ code: "bad_request" });
    const wanted = { ...ask("wanted", uuidv7(), numbered.message.id), clientKey: uuidv7(), chatNumber: 20 };
    await expect(startTurn(userId, wanted, keepAlive)).rejects.toMatchObject({ code: "bad_request" });
    expect(await begin(ask("next"))).toBe(8);
    expect(await findChat(userId, wanted.chatId)).toBeNull();
  });

  it("I20: another user's chat id creates a new chat of one's own", async () => {
    const [owner, other] = [await newUser(), await newUser()];
    const request = ask("mine");
    await read(await startTurn(owner, request, keepAlive));
    const turn = await startTurn(other, { ...ask("theirs", request.chatId), clientKey: request.clientKey }, keepAlive);
    await read(turn);
    expect((await listMessages(owner, request.chatId)).messages.map(textOf)[0]).toBe("mine");
    expect((await listMessages(other, request.chatId)).messages.map(textOf)[0]).toBe("theirs");
    await expect(requireTurn(owner, turn.id)).rejects.toMatchObject({ status: 404 });
    await expect(stopTurn(owner, turn.id)).rejects.toMatchObject({ status: 404 });
  });

  it("a message id already in use is refused along with its turn", async () => {
    const userId = await newUser();
    const request = ask("once");
    await read(await startTurn(userId, request, keepAlive));
    const reused = { ...ask("twice", uuidv7(), request.message.id), clientKey: uuidv7() };
    await expect(startTurn(userId, reused, keepAlive)).rejects.toMatchObject({ code: "bad_request" });
    expect(await findChat(userId, reused.chatId)).toBeNull();
  });

  it("concurrently created chats are numbered 1, 2, 3 …, and a refused one takes no number", async () => {
    const userId = await newUser();
    const chats = await Promise.all(Array.from({ length: 8 }, () => createChat(userId, {})));
    expect(chats.map(({ number }) => number).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const id = chats[0]?.id as string;
    await expect(createChat(userId, { id })).rejects.toMatchObject({ code: "conflict" });
    expect(await createChat(userId, {})).toMatchObject({ number: 9 });
  });

  it("a key with other content is refused, even after its turn was pruned; equal content joins", async () => {
    const userId = await newUser();
    const request = ask("bound to its key");
    const [turn] = await Promise.all([1, 2, 3].map(() => startTurn(userId, { ...request }, keepAlive)));
    await read(turn as TurnRow);
    const others: TurnRequest[] = [
      { ...request, message: { ...request.message, parts: [{ type: "text", text: "another question" }] } },
      { ...request, chatId: uuidv7() },
      { ...request, chatIsNew: true },
      { ...request, model: "local" },
      { ...request, searchMode: "all" },
      { ...request, metadata: { client: "x" } },
      { ...again(request.chatId), clientKey: request.clientKey },
    ];
    for (const other of others)
      await expect(startTurn(userId, other, keepAlive)).rejects.toMatchObject({ code: "key_reused", status: 422 });
    await pool().sql`delete from turn_chunks where turn_id = ${(turn as TurnRow).id}`;
    await pool().sql`update turns set pruned_at = now() where id = ${(turn as TurnRow).id}`;
    await expect(startTurn(userId, others[0] as TurnRequest, keepAlive)).rejects.toMatchObject({ code: "key_reused" });
    // With another key, the message's id is not part of its content.
    const renamed = { ...request, message: { ...request.message, id: uuidv7() } };
    expect(await startTurn(userId, renamed, keepAlive)).toMatchObject({ id: turn?.id });
    expect((await listMessages(userId, request.chatId)).messages).toHaveLength(2);
    expect(requestsFor("another question")).toBe(0);
  });

  it("different concurrent questions with one key: one is answered, the others are refused with key_reused", async () => {
    const userId = await newUser();
    const clientKey = uuidv7();
    const results = await Promise.allSettled(
      [1, 2, 3, 4].map((n) => startTurn(userId, { ...ask(`one key ${n}`), clientKey }, keepAlive)),
    );
    const refused = results.filter((each) => each.status === "rejected").map(({ reason }) => reason.code);
    expect(refused).toEqual(["key_reused", "key_reused", "key_reused"]);
    expect(await pool().sql`select from turns where user_id = ${userId}`).toHaveLength(1);
  });

  it("a turn stored without a fingerprint by an older version is joined by key alone", async () => {
    const userId = await newUser();
    const request = ask("before fingerprints");
    const turn = await startTurn(userId, request, keepAlive);
    await read(turn);
    await pool().sql`update turns set fingerprint = null where id = ${turn.id}`;
    expect(await startTurn(userId, { ...request, model: "local" }, keepAlive)).toMatchObject({ id: turn.id });
  });

  it("passes the output cap on; a client can lower it but not raise it", async () => {
    const userId = await newUser();
    const prompt = (text: string, maxOutputTokens?: number): TurnRequest => ({
      trigger: "answer-prompt",
      chatId: uuidv7(),
      clientKey: uuidv7(),
      prompt: {
        messages: [{ role: "user", parts: [{ type: "text", text }] }],
        instructions: "",
        settings: { maxOutputTokens },
      },
    });
    for (const [request, cap] of [
      [ask("capped by default"), 16_384],
      [prompt("capped prompt"), 16_384],
      [prompt("asks for less", 50), 50],
      [prompt("asks for more", 50_000), 16_384],
    ] as const) {
      await read(await startTurn(userId, request, keepAlive));
      expect(provider.requests.at(-1)?.body.max_tokens).toBe(cap);
    }
  });

  it("a stateless call's chat is unlisted until continued, unless the client asks for it", async () => {
    const userId = await newUser();
    provider.on("stateless", says("A heron."));
    const prompt = (listed?: boolean): TurnRequest => ({
      trigger: "answer-prompt",
      chatId: uuidv7(),
      clientKey: uuidv7(),
      prompt: {
        messages: [{ role: "user", parts: [{ type: "text", text: "stateless" }] }],
        instructions: "",
        settings: {},
      },
      ...(listed !== undefined && { listed }),
    });
    const [hidden, wanted] = [prompt(), prompt(true)];
    for (const request of [hidden, wanted]) await read(await startTurn(userId, request, keepAlive));
    const listed = async (q?: string) => (await listChats(userId, q ? { q } : {})).chats.map(({ id }) => id);
    expect([await listed(), await listed("stateless")]).toEqual([[wanted.chatId], [wanted.chatId]]);
    expect(await findChat(userId, hidden.chatId)).toMatchObject({ title: "stateless" });

    await read(await startTurn(userId, ask("stateless, and more", hidden.chatId), keepAlive));
    expect(await listed()).toEqual([hidden.chatId, wanted.chatId]);
  });

  it("a request over the character limit is 413, counting a prompt's instructions, tools and calls", async () => {
    const userId = await newUser();
    const text = "x".repeat(400_000);
    const part = { type: "text" as const, text };
    const prompt: TurnPrompt = { messages: [{ role: "user", parts: [part] }], instructions: text, settings: {} };
    const chatId = uuidv7();
    const shared = { chatId, clientKey: uuidv7(), trigger: "answer-prompt" } as const;
    const tools = [{ name: "t", description: text, parameters: {} }];
    const called = { type: "tool-t" as const, toolCallId: "c", state: "input-available" as const, input: { text } };
    const tooLong: TurnRequest[] = [
      { ...ask("long", chatId), message: { id: uuidv7(), parts: [part, part, part] } },
      { ...shared, prompt: { ...prompt, tools } },
      { ...shared, prompt: { ...prompt, messages: [...prompt.messages, { role: "assistant", parts: [called] }] } },
    ];
    for (const request of tooLong)
      await expect(startTurn(userId, request, keepAlive)).rejects.toMatchObject({ code: "too_large", status: 413 });
    expect(await findChat(userId, chatId)).toBeNull();
    await read(await startTurn(userId, { ...shared, model: "local", prompt }, keepAlive));
  });

  it("rate-limits only new turns", async () => {
    const userId = await newUser();
    const request = ask("quota");
    const turn = await startTurn(userId, request, keepAlive);
    await read(turn);
    // The chat is the same, busy or not: the limit counts requests for turns.
    const refusals: unknown[] = [];
    for (let i = 0; i < 60; i++)
      await startTurn(userId, again("no-such-chat"), keepAlive).catch((error: unknown) => refusals.push(error));
    expect(refusals.at(-1)).toMatchObject({ code: "rate_limited", retryAfter: expect.any(Number) });
    expect(refusals.at(0)).toMatchObject({ code: "not_found" });
    expect(await startTurn(userId, request, keepAlive)).toMatchObject({ id: turn.id });
    expect(await read(turn)).not.toEqual([]);
  });

  it("rejects an unknown model", async () => {
    const userId = await newUser();
    const request = { ...ask("which model"), model: "unknown" };
    await expect(startTurn(userId, request, keepAlive)).rejects.toMatchObject({ code: "bad_request" });
    expect(await findChat(userId, request.chatId)).toBeNull();
  });

  it("never splits a character when shortening a title", async () => {
    const userId = await newUser();
    const request = ask(`${"x".repeat(78)}😀 and more`);
    await read(await startTurn(userId, request, keepAlive));
    expect(await findChat(userId, request.chatId)).toMatchObject({ title: `${"x".repeat(78)}…` });
  });
});

describe("regenerating", () => {
  it("adds a sibling answer with the same history, and the newest is in view", async () => {
    const userId = await newUser();
    provider.on("say it", says("First."), says("Second."), says("Third."));
    const request = ask("say it");
    const first = await startTurn(userId, request, keepAlive);
    await read(first);
    const second = await startTurn(userId, again(request.chatId, first.messageId), keepAlive);
    await read(second);
    const third = await startTurn(userId, again(request.chatId), keepAlive);
    await read(third);
    expect(second).toMatchObject({ userMessageId: request.message.id });
    expect((await listMessages(userId, request.chatId)).messages.map(textOf)).toEqual(["say it", "Third."]);
    const answers = await pool().sql`
      select id, parent_id from messages where user_id = ${userId} and role = 'assistant' order by position`;
    expect(answers.map((row) => [row.id, row.parent_id])).toEqual(
      [first, second, third].map(({ messageId }) => [messageId, request.message.id]),
    );
    const { messages } = (await provider.request("say it", 3)).body as { messages: { role: string }[] };
    expect(messages.map(({ role }) => role)).toEqual(["system", "user"]);
  });

  it("continues from the answer in view", async () => {
    const userId = await newUser();
    provider.on("begin", says("One."), says("Two."));
    provider.on("go on", says("Three."));
    const request = ask("begin");
    const first = await startTurn(userId, request, keepAlive);
    await read(first);
    await read(await startTurn(userId, again(request.chatId, request.message.id), keepAlive));
    await read(await startTurn(userId, ask("go on", request.chatId), keepAlive));
    expect((await listMessages(userId, request.chatId)).messages.map(textOf)).toEqual([
      "begin",
      "Two.",
      "go on",
      "Three.",
    ]);
    const prompt = JSON.stringify((await provider.request("go on")).body.messages);
    expect(prompt).toContain("Two.");
    expect(prompt).not.toContain("One.");
  });

  it("needs a chat and one of its messages", async () => {
    const userId = await newUser();
    const [request, other] = [ask("here"), ask("elsewhere")];
    await read(await startTurn(userId, request, keepAlive));
    const turn = await startTurn(userId, other, keepAlive);
    await read(turn);
    for (const wrong of [again(uuidv7()), again(request.chatId, uuidv7()), again(request.chatId, turn.messageId)])
      await expect(startTurn(userId, wrong, keepAlive)).rejects.toMatchObject({ status: 404 });
  });
});

describe("continuing", () => {
  const goOn = (chatId: string, messageId?: string): TurnRequest => ({
    trigger: "continue-message",
    chatId,
    clientKey: uuidv7(),
    ...(messageId ? { messageId } : {}),
  });
  const cutOff = async (text: string, said: string) => {
    const userId = await newUser();
    provider.on(text, [{ text: said }]);
    const request = ask(text);
    const turn = await startTurn(userId, request, keepAlive);
    await read(turn);
    return { userId, chatId: request.chatId, turn };
  };

  it("appends to the same text in a sibling whose log begins with the kept part", async () => {
    const { userId, chatId, turn } = await cutOff("tell me all", "Once upon a ti");
    provider.on(continueInstruction, says("me there was a river."));
    const next = await startTurn(userId, goOn(chatId), keepAlive);
    const logged = await read(next);
    expect(logged.map(({ seq }) => seq)).toEqual(logged.map((_, index) => index + 1));
    expect(logged[0]?.chunk).toMatchObject({
      type: "start",
      messageId: next.messageId,
      messageMetadata: { turnId: next.id, continues: turn.messageId },
    });
    const [question, answer] = (await listMessages(userId, chatId)).messages as [ChatMessage, ChatMessage];
    expect(answer).toEqual(JSON.parse(JSON.stringify(await foldChunks(logged.map(({ chunk }) => chunk)))));
    expect(answer.id).toBe(next.messageId);
    expect(answer.parts.filter(({ type }) => type === "text")).toMatchObject([
      { text: "Once upon a time there was a river.", state: "done" },
    ]);
    expect(answer.metadata).toMatchObject({ status: "complete", continues: turn.messageId });
    expect(next).toMatchObject({ userMessageId: question.id });
    const [, ...prompt] = (await provider.request(continueInstruction)).body.messages as object[];
    expect(prompt).toMatchObject([
      { role: "user", content: "tell me all" },
      { role: "assistant", content: "Once upon a ti" },
      { role: "user", content: continueInstruction },
    ]);
  });

  it("continues a complete answer that reached its length limit, but not a filtered one", async () => {
    const userId = await newUser();
    provider.on("a long story", [{ text: "Once upon a ti" }, { finish: "length" }]);
    provider.on("a rude story", [{ text: "Once upon a ti" }, { finish: "content_filter" }]);
    provider.on(continueInstruction, says("me there was a river."));
    const [long, rude] = [ask("a long story"), ask("a rude story")];
    for (const request of [long, rude]) await read(await startTurn(userId, request, keepAlive));
    await read(await startTurn(userId, goOn(long.chatId), keepAlive));
    const answer = (await listMessages(userId, long.chatId)).messages.at(-1) as ChatMessage;
    expect(textOf(answer)).toBe("Once upon a time there was a river.");
    expect(answer.metadata).toMatchObject({ status: "complete", finishReason: "stop" });
    await expect(startTurn(userId, goOn(rude.chatId), keepAlive)).rejects.toMatchObject({ code: "bad_request" });
  });

  it("later questions see the whole answer, without the old one or the continuation prompt", async () => {
    const { userId, chatId } = await cutOff("two halves", "First ha");
    provider.on(continueInstruction, says("lf."));
    await read(await startTurn(userId, goOn(chatId), keepAlive));
    provider.on("and then", says("Then."));
    await read(await startTurn(userId, ask("and then", chatId), keepAlive));
    const [, ...prompt] = (await provider.request("and then")).body.messages as object[];
    expect(prompt).toMatchObject([
      { role: "user", content: "two halves" },
      { role: "assistant", content: "First half." },
      { role: "user", content: "and then" },
    ]);
  });

  it("is only for answers that ended early, and gives the reason for others", async () => {
    const { userId, chatId, turn } = await cutOff("only halves", "Ha");
    const other = await newUser();
    for (const [user, request] of [
      [other, goOn(chatId)],
      [userId, goOn(uuidv7())],
      [userId, goOn(chatId, uuidv7())],
      [other, goOn(chatId, turn.messageId)],
    ] as const)
      await expect(startTurn(user, request, keepAlive)).rejects.toMatchObject({ status: 404 });
    await expect(startTurn(userId, goOn(chatId, turn.userMessageId), keepAlive)).rejects.toMatchObject({
      code: "bad_request",
      publicMessage: expect.stringContaining("question"),
    });
    provider.on(continueInstruction, [{ text: "lf" }, { gate: "half way" }, { finish: "stop" }]);
    const next = await startTurn(userId, goOn(chatId, turn.messageId), keepAlive);
    await expect(startTurn(userId, goOn(chatId), keepAlive)).rejects.toMatchObject({
      code: "turn_running",
      details: { turnId: next.id },
    });
    provider.open("half way");
    await read(next);
    await expect(startTurn(userId, goOn(chatId), keepAlive)).rejects.toMatchObject({
      code: "bad_request",
      publicMessage: expect.stringContaining("complete"),
    });
    provider.on("nothing at all", [{ answer: 400, body: {} }]);
    const failed = ask("nothing at all");
    await read(await startTurn(userId, failed, keepAlive));
    await expect(startTurn(userId, goOn(failed.chatId), keepAlive)).rejects.toMatchObject({
      code: "bad_request",
      publicMessage: expect.stringContaining("regenerate-message"),
    });
  });

  it("with one key, concurrent requests are one turn", async () => {
    const { userId, chatId } = await cutOff("once only", "One ");
    provider.on(continueInstruction, says("time."));
    const request = goOn(chatId);
    const turns = await Promise.all(Array.from({ length: 10 }, () => startTurn(userId, request, keepAlive)));
    expect(new Set(turns.map(({ id }) => id)).size).toBe(1);
    await read(turns[0] as TurnRow);
    expect(textOf((await listMessages(userId, chatId)).messages.at(-1) ?? { parts: [] })).toBe("One time.");
  });
});

describe("following", () => {
  it("a loaded turn has its age by the database's clock", async () => {
    const userId = await newUser();
    const turn = await startTurn(userId, ask("how old"), keepAlive);
    await pool().sql`update turns set created_at = created_at - interval '1 hour' where id = ${turn.id}`;
    const { ageMs } = await requireTurn(userId, turn.id);
    expect(ageMs).toBeGreaterThanOrEqual(3_600_000);
    expect(ageMs).toBeLessThan(7_200_000);
    await read(turn);
  });

  it("I18: finds the live turn, shows the text so far, and compacts the stored chunks", async () => {
    const userId = await newUser();
    const words = ["One ", "two ", "three "];
    provider.on("follow me", [
      ...words.map((text) => ({ text })),
      { gate: "follow" },
      { text: "four" },
      { finish: "stop" },
    ]);
    const request = ask("follow me");
    await startTurn(userId, request, keepAlive);
    const live = (await findTurnToFollow(userId, request.chatId, null)) as TurnRow;
    await readUntil(live, "One two three ");
    const [, answer] = (await listMessages(userId, request.chatId)).messages;
    expect(answer).toMatchObject({ id: live.messageId, parts: [{}, {}, { type: "text", text: "One two three " }] });
    const now = (await findTurnToFollow(userId, request.chatId, null)) as TurnRow;
    const compacted = read(now, 0, true);
    provider.open("follow");
    const [whole, short] = [await read(now), await compacted];
    const message = await foldChunks(whole.map(({ chunk }) => chunk));
    expect(await foldChunks(short.map(({ chunk }) => chunk))).toEqual(message);
    expect(textOf(message)).toBe("One two three four");
    expect(short.find(({ chunk }) => chunk.type === "text-delta")?.chunk).toMatchObject({ delta: "One two three " });
    expect(short.at(-1)).toEqual(whole.at(-1));
    expect(await findTurnToFollow(userId, request.chatId, null)).toBeNull();
  });

  it("I20: a forged cursor is unknown, and so is another chat's or user's", async () => {
    const userId = await newUser();
    const request = ask("cursor");
    const turn = await startTurn(userId, request, keepAlive);
    await read(turn);
    const ended = (await findTurn(userId, turn.id)) as TurnRow;
    const at = (seq: number) => ({ turnId: turn.id, seq, n: 0 });
    await expect(followTurn(ended, at(ended.lastSeq + 1), 0, false)).rejects.toMatchObject({ status: 404 });
    expect(await findTurnToFollow(userId, request.chatId, at(1))).toMatchObject({ id: turn.id });
    await expect(findTurnToFollow(userId, "another-chat", at(1))).rejects.toMatchObject({ status: 404 });
    await expect(findTurnToFollow(await newUser(), request.chatId, at(1))).rejects.toMatchObject({ status: 404 });
    expect(await findTurnToFollow(userId, "another-chat", null)).toBeNull();
    for (const id of [uuidv7(), "no uuid", ""])
      await expect(requireTurn(userId, id)).rejects.toMatchObject({ status: 404 });
  });

  it("I18: after its log is pruned, the turn replays from its message with the same terminal", async () => {
    const userId = await newUser();
    provider.on("pruned", says("Kept for ever."));
    const turn = await startTurn(userId, ask("pruned"), keepAlive);
    const whole = await read(turn);
    await pool().sql`delete from turn_chunks where turn_id = ${turn.id}`;
    await pool().sql`update turns set pruned_at = now() where id = ${turn.id}`;
    const pruned = (await findTurn(userId, turn.id)) as TurnRow;
    const short = await read(pruned);
    const plain = async (logged: LoggedChunk[]) =>
      JSON.parse(JSON.stringify(await foldChunks(logged.map(({ chunk }) => chunk))));
    expect(await plain(short)).toEqual(await plain(whole));
    expect(short.at(-1)).toEqual(whole.at(-1));
    const seqs = short.map(({ seq }) => seq);
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    const at = (seq: number) => followTurn(pruned, { turnId: turn.id, seq, n: 0 }, seq - 1, false);
    expect(await (await at(pruned.lastSeq)).next()).toBeNull();
    await expect(at(pruned.lastSeq - 1)).rejects.toMatchObject({ status: 404 });
  });
});

describe("stopping", () => {
  it("I11 I12: keeps the text seen, ends the provider request, and repeats the same result", async () => {
    const userId = await newUser();
    provider.on("stop this", [{ text: "Seen " }, { text: "words" }, { hang: true }]);
    const request = ask("stop this");
    const turn = await startTurn(userId, request, keepAlive);
    await readUntil(turn, "Seen words");
    const stopped = { turnId: turn.id, status: "stopped" };
    expect(await Promise.all([stopChat(userId, request.chatId), stopTurn(userId, turn.id)])).toEqual([
      stopped,
      stopped,
    ]);
    expect(await stopTurn(userId, turn.id)).toEqual(stopped);
    expect(await (await provider.request("stop this")).closed).toBe("client");
    expect(textOf((await listMessages(userId, request.chatId)).messages.at(-1) ?? { parts: [] })).toBe("Seen words");
    expect((await read(turn)).at(-1)?.chunk).toEqual({ type: "abort", reason: "stopped" });
  });

  it("I11: a late stop is not reported as a stop", async () => {
    const userId = await newUser();
    const request = ask("finished");
    const turn = await startTurn(userId, request, keepAlive);
    await read(turn);
    expect(await stopChat(userId, request.chatId)).toEqual({ turnId: turn.id, status: "complete" });
    const chat = await createChat(userId, {});
    expect(await stopChat(userId, chat.id)).toEqual({ turnId: null, status: null });
    await expect(stopChat(userId, uuidv7())).rejects.toMatchObject({ status: 404 });
  });
});

describe("deleting a chat", () => {
  it("while it answers deletes every row and ends the request", async () => {
    const userId = await newUser();
    provider.on("delete me", [{ text: "Gone " }, { gate: "deleted" }, { tokens: "and still talking" }, { hang: true }]);
    const request = ask("delete me");
    const turn = await startTurn(userId, request, keepAlive);
    await readUntil(turn, "Gone ");
    await deleteChat(userId, request.chatId);
    provider.open("deleted");
    expect(await (await provider.request("delete me")).closed).toBe("client");
    await Promise.all(runs);
    const [left] = await pool().sql`
      select (select count(*)::int from turn_chunks where turn_id = ${turn.id}) as chunks,
             (select count(*)::int from turns where id = ${turn.id}) as turns,
             (select count(*)::int from messages where user_id = ${userId}) as messages`;
    expect(left).toEqual({ chunks: 0, turns: 0, messages: 0 });
    await expect(deleteChat(userId, request.chatId)).rejects.toMatchObject({ status: 404 });
  });

  it("while a turn starts in it leaves no orphaned chunks", async () => {
    const userId = await newUser();
    for (let round = 0; round < 12; round++) {
      const chat = await createChat(userId, {});
      const outcome = startTurn(userId, { ...ask("raced", chat.id), model: "local" }, keepAlive).then(
        () => "started",
        (error: { code: unknown }) => error.code,
      );
      await deleteChat(userId, chat.id);
      expect(["started", "not_found"]).toContain(await outcome);
    }
    await Promise.all(runs);
    const orphans = await pool().sql`select turn_id from turn_chunks where turn_id not in (select id from turns)`;
    expect(orphans).toHaveLength(0);
  });

  it("is only for its owner", async () => {
    const [owner, other] = [await newUser(), await newUser()];
    const chat = await createChat(owner, {});
    await expect(deleteChat(other, chat.id)).rejects.toMatchObject({ status: 404 });
    expect(await findChat(owner, chat.id)).not.toBeNull();
  });
});

it("I4: a turn that fails before its run starts still has its opening and one terminal", async () => {
  const userId = await newUser();
  const chat = await createChat(userId, {});
  const messageId = uuidv7();
  const row = { id: uuidv7(), userId, chatId: chat.id, userMessageId: "question-1", messageId, clientKey: "k" };
  const request = { model: "no longer there", searchMode: "none" };
  const turn = (await insertTurn(pool().sql, { ...row, request }, {}, [], noCeilings, 10_000)) as TurnRow;
  await execute(turn);
  const chunks = (await read(turn)).map(({ chunk }) => chunk);
  expect(chunks.map(({ type }) => type)).toEqual(["start", "message-metadata", "data-turn", "error"]);
  expect(chunks[0]).toMatchObject({ messageId, messageMetadata: { turnId: turn.id, model: "no longer there" } });
  expect(await findTurn(userId, turn.id)).toMatchObject({ state: "failed" });
});

it.each([
  ["complete", "says one two three", { finishReason: "stop", outputTokens: expect.any(Number) }],
  ["failed", "fails", { error: "provider_auth" }],
])(
  "logs one line when a turn ends as %s, with its user and its cost and none of its text",
  async (status, key, more) => {
    provider.on("says one two three", says("one two three"));
    provider.on("fails", [{ answer: 401, body: { error: { message: "no" } } }]);
    const userId = await newUser();
    const lines = await logged(async () => {
      const turn = await startTurn(userId, ask(`canary-question ${key}`), keepAlive);
      await read(turn);
      await Promise.all(runs);
    });
    const ended = lines.filter(({ msg }) => msg === "turn ended");
    expect(ended).toEqual([
      expect.objectContaining({
        level: "info",
        userId,
        model: "openai:scripted",
        status,
        durationMs: expect.any(Number),
        ...more,
      }),
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/canary-question|one two three/);
  },
);

it("I22: the log has the provider's error identifiers, but not its message", async () => {
  const error = {
    message: "canary-words",
    type: "invalid_request_error",
    param: "temperature",
    code: "unsupported_value",
  };
  provider.on("a setting that is refused", [{ answer: 400, body: { error } }]);
  const userId = await newUser();
  const lines = await logged(async () => {
    await read(await startTurn(userId, ask("a setting that is refused"), keepAlive));
    await Promise.all(runs);
  });
  const { message: _, ...identifiers } = error;
  expect(lines.filter(({ msg }) => msg === "turn failed")).toEqual([
    expect.objectContaining({ reported: { refusal: "parameter", status: 400, ...identifiers } }),
  ]);
  expect(JSON.stringify(lines)).not.toContain("canary-words");
});
