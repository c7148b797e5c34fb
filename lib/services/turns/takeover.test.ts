// A server's handling of orphaned turns, against a real database and a scripted provider.
import { v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, expect, it } from "vitest";
import { pool } from "@/db/client";
import { findTurn, insertTurn, listContinuable, type TurnRow } from "@/db/turns";
import { insertUser } from "@/db/users";
import { turnLog } from "@/lib/log/turn-log";
import { createChat } from "@/lib/services/chats/chats";
import { listMessages } from "@/lib/services/chats/messages";
import { continueInstruction } from "@/lib/turn/prompt";
import { noCeilings, testDatabase } from "@/test/database";
import { type Provider, says, startProvider } from "@/test/provider";
import { followTurn } from "./follow-turn";
import { startTurn } from "./start";
import { startTakeovers } from "./takeover";

testDatabase();

let provider: Provider;
const runs: Promise<void>[] = [];
const keepAlive = (work: Promise<void>) => void runs.push(work);

beforeAll(async () => {
  provider = await startProvider();
  Object.assign(process.env, { MODELS: "openai:scripted", OPENAI_BASE_URL: provider.url, OPENAI_API: "chat" });
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

/** Reads to the terminal. */
async function ended(turn: TurnRow): Promise<TurnRow> {
  const reader = await followTurn(turn, null, 0, false);
  while (await reader.next());
  return (await findTurn(turn.userId, turn.id)) as TurnRow;
}

async function ask(userId: string, text: string, chatId = uuidv7()): Promise<TurnRow> {
  const id = uuidv7();
  const message = { id, parts: [{ type: "text" as const, text }] };
  const request = { trigger: "submit-message", chatId, clientKey: id, message, searchMode: "none" } as const;
  return ended(await startTurn(userId, request, keepAlive));
}

it("reruns an unanswered turn as it was requested", async () => {
  const userId = await newUser();
  const { id: chatId } = await createChat(userId, {});
  const [question, answer] = [uuidv7(), uuidv7()];
  const message = { turnId: null, status: "complete", metadata: null, text: "" };
  const parts = [{ type: "text", text: "left behind" }];
  const row = { id: uuidv7(), userId, chatId, userMessageId: question, messageId: answer, clientKey: "left" };
  const request = { model: "openai:scripted", searchMode: "none", prompt: { instructions: "Be brief.", settings: {} } };
  provider.on("left behind", says("Found."));
  startTakeovers();
  const written = { id: answer, parentId: question, turnId: row.id, role: "assistant", status: "running" } as const;
  const messages = [
    { ...message, id: question, parentId: null, role: "user" as const, parts },
    { ...message, ...written, parts: [] },
  ];
  const turn = (await insertTurn(pool().sql, { ...row, request }, {}, messages, noCeilings, 1)) as TurnRow;
  expect(await ended(turn)).toMatchObject({ state: "complete", epoch: 2 });
  expect((await listMessages(userId, chatId)).messages.at(-1)?.parts.at(-1)).toMatchObject({
    type: "text",
    text: "Found.",
  });
  expect((await provider.request("left behind")).body.messages).toMatchObject([
    { role: "system", content: "Be brief." },
    { role: "user", content: "left behind" },
  ]);
});

it("automatically continues only recently interrupted turns that nobody has continued", async () => {
  const userId = await newUser();
  provider.on("half of it", [{ text: "Half" }]);
  provider.on("refused", [{ answer: 400, body: {} }]);
  const { sql } = pool();
  const turns: TurnRow[] = [];
  for (let count = 0; count < 5; count++) turns.push(await ask(userId, "half of it"));
  const [wanted, old, deadly, answered, continued] = turns as [TurnRow, TurnRow, TurnRow, TurnRow, TurnRow];
  // Postgres cannot process json with U+0000: one such request must not block the others.
  await sql`update turns set request = ${'{"model":"openai:scripted","prompt":{"instructions":"a \\u0000"}}'}::text::json where id = ${wanted.id}`;
  await ask(userId, "refused");
  await ask(userId, "whole");
  await sql`update turns set ended_at = now() - interval '11 minutes' where id = ${old.id}`;
  await sql`update turns set crashes = 3 where id = ${deadly.id}`;
  await ask(userId, "whole", answered.chatId);
  const goOn = {
    trigger: "continue-message",
    chatId: continued.chatId,
    clientKey: `continue:${continued.id}`,
  } as const;
  provider.on(continueInstruction, [{ text: " and" }]);
  const again = await ended(await startTurn(userId, goOn, keepAlive));
  expect([...turns, again].map(({ state }) => state)).toEqual(Array(6).fill("interrupted"));
  const { id, chatId, messageId } = wanted;
  expect(await listContinuable(100)).toEqual([{ id, userId, chatId, messageId }]);
});
