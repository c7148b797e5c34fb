// Locates a send in the chat's tree when its client sends the whole conversation, against a real
// database and a scripted provider. The bodies are those of stock clients;
// test/server/stock-history.test.ts runs the clients themselves.
import { v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pool } from "@/db/client";
import type { TurnRow } from "@/db/turns";
import { insertUser } from "@/db/users";
import { turnLog } from "@/lib/log/turn-log";
import { listMessages } from "@/lib/services/chats/messages";
import { isTerminal } from "@/lib/turn/chunks";
import { textOf } from "@/lib/turn/fold";
import type { ClientMessage } from "@/lib/turn/turn-input";
import { testDatabase } from "@/test/database";
import { type Provider, says, startProvider } from "@/test/provider";
import { parseSend } from "./chat-send";
import { findPosition } from "./client-history";
import { followTurn, requireTurn } from "./follow-turn";
import { startTurn } from "./start";
import { chatRequest, type TurnRequest } from "./turn-request";

testDatabase();

let provider: Provider;
const runs: Promise<void>[] = [];

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

type Sent = { id?: string; role: "user" | "assistant"; parts: { type: "text"; text: string }[]; metadata?: unknown };
const user = (id: string | undefined, text: string): Sent => ({ id, role: "user", parts: [{ type: "text", text }] });
const answer = (id: string | undefined, text: string): Sent => ({ ...user(id, text), role: "assistant" });

/** A chat of one user, used as by stock clients. */
function conversation(userId: string, chatId: string = uuidv7()) {
  const begin = (messages: unknown[], options: object = {}, key: string | null = null) => {
    const { request } = parseSend(chatRequest.parse({ id: chatId, searchMode: "none", messages, ...options }), key);
    return startTurn(userId, request, (work) => void runs.push(work));
  };
  return {
    chatId,
    begin,
    /** Runs to the end; returns the answer as the client then has it. */
    async send(messages: unknown[], options: object = {}, key: string | null = null): Promise<Sent> {
      const turn = await begin(messages, options, key);
      await ended(turn);
      return answer(turn.messageId, textOf((await listMessages(userId, chatId)).messages.at(-1) as Sent as never));
    },
    view: async () => (await listMessages(userId, chatId)).messages.map(textOf),
    /** The model's last prompt, without instructions. */
    prompt: () =>
      ((provider.requests.at(-1)?.body.messages ?? []) as { role: string; content: unknown }[])
        .filter(({ role }) => role !== "system")
        .map(({ content }) => content),
  };
}

async function ended(turn: TurnRow): Promise<void> {
  const reader = await followTurn(turn, null, 0, false);
  for (let batch = await reader.next(); batch; batch = await reader.next())
    if (batch.some(({ chunk }) => isTerminal(chunk))) return reader.close();
}

/** A turn that has asked its provider and waits at a gate. */
async function running(chat: ReturnType<typeof conversation>, messages: unknown[], key: string, options: object = {}) {
  provider.on(key, [{ text: "Half" }, { gate: key }, { finish: "stop" }]);
  const turn = await chat.begin(messages, options);
  const reader = await followTurn(turn, null, 0, false);
  for (let batch = await reader.next(); batch; batch = await reader.next())
    if (batch.some(({ chunk }) => chunk.type === "text-delta")) break;
  reader.close();
  return turn;
}

describe("a send with the client's history", () => {
  it("replacing a question answers on a new branch; the original wording regenerates the old question", async () => {
    const chat = conversation(await newUser());
    const a1 = await chat.send([user("1", "one")]);
    const a2 = await chat.send([user("1", "one"), a1, user("2", "two")]);
    const edited = await chat.send([user("1", "one"), a1, user("2", "deux")], { messageId: "2" });
    expect(edited.id).not.toBe(a2.id);
    expect(chat.prompt()).toEqual(["one", "Hello there.", "deux"]);
    expect(await chat.view()).toEqual(["one", "Hello there.", "deux", "Hello there."]);
    // The next message follows the edited question, which the client still calls by its old id.
    await chat.send([user("1", "one"), a1, user("2", "deux"), edited, user("3", "three")]);
    expect(chat.prompt()).toEqual(["one", "Hello there.", "deux", "Hello there.", "three"]);
    const before = await pool().sql`select from messages where chat_id = ${chat.chatId} and role = 'user'`;
    for (const text of ["two", "deux", "two"])
      await chat.send([user("1", "one"), a1, user("2", text)], { messageId: "2" });
    expect(await chat.view()).toEqual(["one", "Hello there.", "two", "Hello there."]);
    expect(await pool().sql`select from messages where chat_id = ${chat.chatId} and role = 'user'`).toHaveLength(
      before.length,
    );
    await chat.send([user("1", "uno")], { messageId: "1" });
    expect(chat.prompt()).toEqual(["uno"]);
    expect(await chat.view()).toEqual(["uno", "Hello there."]);
  });

  it("attaches after the remaining messages when the client removed the end, the middle or everything", async () => {
    const chat = conversation(await newUser());
    const said: Sent[] = [];
    for (const n of ["1", "2", "3"])
      said.push(user(n, `question ${n}`), await chat.send([...said, user(n, `question ${n}`)]));
    const [u1, a1, , , u3, a3] = said;
    await chat.send([u1, a1, user("4", "after the first")]);
    expect(chat.prompt()).toEqual(["question 1", "Hello there.", "after the first"]);
    expect(await chat.view()).toEqual(["question 1", "Hello there.", "after the first", "Hello there."]);

    for (const text of ["without the second", "and again"]) {
      await chat.send([u1, a1, u3, a3, user(uuidv7(), text)]);
      expect(chat.prompt()).toEqual(["question 1", "Hello there.", "question 3", "Hello there.", text]);
    }
    // Messages that had to be copied for this were copied once.
    expect(await pool().sql`select from messages where chat_id = ${chat.chatId} and text = 'question 3'`).toHaveLength(
      2,
    );

    await chat.send([user("5", "anew")]);
    expect([chat.prompt(), await chat.view()]).toEqual([["anew"], ["anew", "Hello there."]]);
    // A client that keeps only the end of its conversation removes nothing.
    await chat.send([a3, user("6", "behind the third")]);
    expect(chat.prompt()).toHaveLength(7);
  });

  it("stores messages that only the client has, once", async () => {
    const userId = await newUser();
    const chat = conversation(userId);
    const before = [
      user("a", "Do you know the heron?"),
      answer("b", "I do."),
      { id: "c", role: "system", parts: [] },
      7,
    ];
    const a1 = await chat.send([...before, user("d", "And the egret?")]);
    expect(chat.prompt()).toEqual(["Do you know the heron?", "I do.", "And the egret?"]);
    await chat.send([...before, user("d", "And the egret?"), a1, user("e", "And the stork?")]);
    expect(await chat.view()).toEqual([
      "Do you know the heron?",
      "I do.",
      "And the egret?",
      "Hello there.",
      "And the stork?",
      "Hello there.",
    ]);
    expect(await pool().sql`select from messages where user_id = ${userId}`).toHaveLength(6);
    const long = [user("x", "x".repeat(600_000)), answer("y", "y".repeat(600_000)), user("z", "Too much?")];
    await expect(chat.begin(long)).rejects.toMatchObject({ code: "too_large" });
  });

  it("I20: another user's messages count as unknown, and nothing of them is revealed", async () => {
    const [owner, other] = [conversation(await newUser()), conversation(await newUser())];
    provider.on("a secret question", says("A secret answer."));
    const a1 = await owner.send([user("1", "a secret question")]);
    await other.send([answer(a1.id, "made up"), user("2", "What was it?")]);
    expect(JSON.stringify([await other.view(), other.prompt()])).not.toContain("secret");
    expect(await owner.view()).toEqual(["a secret question", "A secret answer."]);
  });

  it("goes to the chat it names when the client restarts message ids in each", async () => {
    const userId = await newUser();
    const chats = [conversation(userId, "1"), conversation(userId, "ü/2")];
    for (const chat of chats) {
      const a1 = await chat.send([user("1", `first of ${chat.chatId}`)]);
      await chat.send([user("1", `first of ${chat.chatId}`), a1, user("2", "second")]);
    }
    for (const chat of chats)
      expect(await chat.view()).toEqual([`first of ${chat.chatId}`, "Hello there.", "second", "Hello there."]);
    const first = await chats[1]?.begin([user("1", "first of ü/2")]);
    expect(await chats[1]?.begin([user("1", "first of ü/2")])).toMatchObject({ id: first?.id, state: "complete" });
  });

  it("I7: is one turn per key or id, and refused with other text under the same one", async () => {
    const userId = await newUser();
    const chat = conversation(userId);
    const turns = await Promise.all(Array.from({ length: 8 }, () => chat.begin([user("1", "one send")])));
    await ended(turns[0] as TurnRow);
    turns.push(await chat.begin([user("1", "one send")]));
    expect(new Set(turns.map(({ id }) => id)).size).toBe(1);
    await expect(chat.begin([user("1", "another")])).rejects.toMatchObject({ code: "key_reused" });
    const edit = () => chat.begin([user("1", "edited")], { messageId: "1" }, "the key");
    const [edited, again] = [await edit(), await edit()];
    expect(again.id).toBe(edited.id);
    await ended(edited);
    expect(await pool().sql`select from turns where user_id = ${userId}`).toHaveLength(2);
  });

  it("asks again the question as the client shows it, even if reworded", async () => {
    const chat = conversation(await newUser());
    const a1 = await chat.send([user("1", "first wording")]);
    await chat.send([user("1", "first wording")], { trigger: "regenerate-message", messageId: a1.id });
    expect(await chat.view()).toEqual(["first wording", "Hello there."]);
    await chat.send([user("1", "second wording")], { trigger: "regenerate-message" });
    expect([chat.prompt(), await chat.view()]).toEqual([["second wording"], ["second wording", "Hello there."]]);
    // The whole conversation, as no stock client sends it: the named message decides.
    const all = [user("1", "first wording"), a1, user("2", "later")];
    await chat.send(all, { trigger: "regenerate-message", messageId: a1.id });
    expect(chat.prompt()).toEqual(["first wording"]);
  });

  it("keeps the message's metadata unchanged, up to the limit", async () => {
    const userId = await newUser();
    const chat = conversation(userId);
    const metadata = { at: "2026-01-01", mood: ["calm", null, { deep: 1 }] };
    await chat.send([{ ...user("1", "with metadata"), metadata }]);
    expect((await listMessages(userId, chat.chatId)).messages[0]?.metadata).toEqual(metadata);
    expect(() => chat.begin([{ ...user("2", "with too much"), metadata: "x".repeat(20_000) }])).toThrow(/metadata/);
  });

  it("is rejected when the last message is an answer without decisions", async () => {
    const chat = conversation(await newUser());
    const a1 = await chat.send([user("1", "a question")]);
    expect(() => chat.begin([user("1", "a question"), a1])).toThrow(/asks for nothing/);
    expect(await chat.view()).toHaveLength(2);
  });
});

describe("a send to a busy chat", () => {
  it("stops the answer its client continues from, and keeps the text", async () => {
    const userId = await newUser();
    const cases: [string, (u: Sent, a: Sent) => [Sent[], object?]][] = [
      ["a newer question", (u, a) => [[u, a, user("2", "next")]]],
      ["a newer question, before the answer came", (u) => [[u, user("2", "next")]]],
      ["an edit", (u) => [[user(u.id, "edited")], { messageId: u.id }]],
      ["another answer", (u, a) => [[u], { trigger: "regenerate-message", messageId: a.id }]],
      ["another answer, unnamed", (u) => [[u], { trigger: "regenerate-message" }]],
    ];
    for (const [name, next] of cases) {
      const chat = conversation(userId);
      const u = user("1", `${name} ${chat.chatId}`);
      const turn = await running(chat, [u], chat.chatId);
      const [messages, options] = next(u, answer(turn.messageId, "Half"));
      provider.on(chat.chatId, says("Another."));
      await chat.send(messages, options);
      expect([name, (await requireTurn(userId, turn.id)).state]).toEqual([name, "stopped"]);
      const [kept] = await pool().sql`select text from messages where id = ${turn.messageId}`;
      expect([name, kept?.text]).toEqual([name, "Half"]);
      expect([name, (await chat.view()).includes("Half")]).toEqual([name, name === "a newer question"]);
    }
  });

  it("stops the answer to an edited question that is edited again", async () => {
    const userId = await newUser();
    const chat = conversation(userId);
    await chat.send([user("1", "first")]);
    const turn = await running(chat, [user("1", `second ${chat.chatId}`)], chat.chatId, { messageId: "1" });
    await chat.send([user("1", "third")], { messageId: "1" });
    expect((await requireTurn(userId, turn.id)).state).toBe("stopped");
    expect(await chat.view()).toEqual(["third", "Hello there."]);
  });

  it("is refused when its client does not know the running answer", async () => {
    const chat = conversation(await newUser());
    const a1 = await chat.send([user("1", "first")]);
    const turn = await running(chat, [user("1", "first"), a1, user("2", chat.chatId)], chat.chatId);
    const strangers: [Sent[], object?][] = [
      [[user("1", "first"), a1, user("3", "unaware")]],
      [[user("1", "edited")], { messageId: "1" }],
      [[user("1", "first")], { trigger: "regenerate-message", messageId: a1.id }],
      [[user("9", "cleared")]],
    ];
    for (const [messages, options] of strangers)
      await expect(chat.begin(messages, options)).rejects.toMatchObject({
        code: "turn_running",
        details: { turnId: turn.id },
      });
    provider.open(chat.chatId);
    await ended(turn);
  });

  it("joins the answer to the same text in the same place, unless the key or options differ", async () => {
    const userId = await newUser();
    const chat = conversation(userId);
    const a1 = await chat.send([user("1", "first")]);
    const before = [user("1", "first"), a1];
    const words = `same words ${chat.chatId}`;
    const turn = await running(chat, [...before, user("2", words)], chat.chatId);
    /** Like dialects, whose messages have no ids. */
    const say = (options: Pick<TurnRequest, "model" | "searchMode" | "documentIds" | "keyless"> = {}) => {
      const message = { id: uuidv7(), parts: user("", words).parts };
      const shared = { trigger: "submit-message", chatId: chat.chatId, clientKey: message.id, keyless: true } as const;
      return startTurn(userId, { ...shared, message, ...options }, (work) => void runs.push(work));
    };
    expect((await chat.begin([...before, user("3", words)])).id).toBe(turn.id);
    expect((await say()).id).toBe(turn.id);
    expect((await say({ searchMode: "none", model: "openai:scripted" })).id).toBe(turn.id);
    for (const refused of [
      () => say({ keyless: false }),
      () => say({ model: "local" }),
      () => say({ searchMode: "all" }),
      () => chat.begin([user("4", words)]),
      () => chat.begin([], { message: user("5", words) }),
    ])
      await expect(refused()).rejects.toMatchObject({ code: "turn_running" });
    expect(await chat.view()).toHaveLength(4);
    provider.open(chat.chatId);
    await ended(turn);
  });
});

describe("a history without ids", () => {
  const words = (...texts: string[]): ClientMessage[] =>
    texts.map((text, index) => (index % 2 === 0 ? user(undefined, text) : answer(undefined, text)));

  it("is matched by text, on any branch, from wherever it begins", async () => {
    const userId = await newUser();
    const chat = conversation(userId);
    provider.on("by words one", says("First answer."), says("Other answer."));
    provider.on("by words two", says("Second answer."));
    const a1 = await chat.send([user("1", "by words one")]);
    const a2 = await chat.send([user("1", "by words one"), a1, user("2", "by words two")]);
    const other = await chat.send([user("1", "by words one")], { trigger: "regenerate-message", messageId: a1.id });
    const parentOf = async (...texts: string[]) => {
      const place = await findPosition(userId, chat.chatId, words(...texts), user(undefined, "next"));
      return place && [place.question.parentId, place.unknown.length];
    };
    expect(await parentOf("by words one", " First answer.\n")).toEqual([a1.id, 0]);
    expect(await parentOf("by words one", "Other answer.")).toEqual([other.id, 0]);
    expect(await parentOf("by words two", "Second answer.")).toEqual([a2.id, 0]);
    expect(await parentOf("by words one", "First answer.", "by words two", "Second answer.")).toEqual([a2.id, 0]);
    expect((await parentOf("by words one", "First answer.", "never asked", "Never said."))?.[1]).toBe(2);
    expect(await parentOf("never asked", "Never said.")).toBeNull();
  });
});
