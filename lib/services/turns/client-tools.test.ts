// Client-run tools: their calls stay open, and the client's results start the continuing turn.
import { v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, expect, it } from "vitest";
import { pool } from "@/db/client";
import type { TurnRow } from "@/db/turns";
import { insertUser } from "@/db/users";
import { turnLog } from "@/lib/log/turn-log";
import { listMessages } from "@/lib/services/chats/messages";
import type { TurnChunk } from "@/lib/turn/chunks";
import { textOf } from "@/lib/turn/fold";
import { testDatabase } from "@/test/database";
import { type Provider, says, startProvider } from "@/test/provider";
import { parseSend } from "./chat-send";
import { cursorAfterPrefix } from "./continuation";
import { followTurn } from "./follow-turn";
import { startTurn } from "./start";
import { chatRequest, type TurnRequest } from "./turn-request";

testDatabase();

let provider: Provider;
const runs: Promise<void>[] = [];
const begin = (userId: string, request: TurnRequest) => startTurn(userId, request, (work) => void runs.push(work));

beforeAll(async () => {
  provider = await startProvider();
  Object.assign(process.env, { MODELS: "openai:scripted", OPENAI_BASE_URL: provider.url, OPENAI_API: "chat" });
});
afterAll(async () => {
  await turnLog().close(0);
  await Promise.all(runs);
  await provider.close();
});

async function read(turn: TurnRow, afterSeq = 0): Promise<TurnChunk[]> {
  const reader = await followTurn(turn, null, afterSeq, false);
  const chunks: TurnChunk[] = [];
  for (let batch = await reader.next(); batch; batch = await reader.next())
    chunks.push(...batch.map(({ chunk }) => chunk));
  return chunks;
}

const calls = (city: string) => [
  { tool: "weather", arguments: [JSON.stringify({ city })] },
  { finish: "tool_calls" } as const,
];

it("an open call takes its client's result in one turn, even if sent repeatedly, and the answer continues", async () => {
  const userId = uuidv7();
  await insertUser({ id: userId, email: null, name: null, passwordHash: null });
  const chatId = uuidv7();
  provider.on("how cold", calls("Oslo"), calls("Rome"), says("Colder in Oslo."));
  const asked = await begin(userId, {
    trigger: "answer-prompt",
    chatId,
    clientKey: uuidv7(),
    view: { clientTools: true },
    prompt: {
      messages: [{ role: "user", parts: [{ type: "text", text: "how cold" }] }],
      instructions: "",
      settings: {},
      tools: [{ name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } }],
    },
  });
  expect((await read(asked)).map(({ type }) => type)).not.toContain("tool-output-error");
  const [question, waiting] = (await listMessages(userId, chatId)).messages;
  expect(waiting?.parts.find(({ type }) => type === "tool-weather")).toMatchObject({
    type: "tool-weather",
    state: "input-available",
    input: { city: "Oslo" },
  });
  const call = (part: object) => part as { toolCallId: string };
  const ofWeather = (parts: object[] = []) =>
    parts.filter((part) => (part as { type: string }).type === "tool-weather").map(call);

  /** As a stock client sends it back: under the first answer's id, each call with its result. */
  const answer = (steps: [toolCallId: string, output: unknown][]) => {
    const parts = steps.flatMap(([toolCallId, output]) => [
      { type: "step-start" },
      { type: "tool-weather", toolCallId, state: "output-available", input: {}, output },
    ]);
    const messages = [question, { id: waiting?.id, role: "assistant", parts }];
    const { request, resumesAfterPrefix } = parseSend(chatRequest.parse({ id: chatId, messages }), null);
    expect(resumesAfterPrefix).toBe(true);
    return begin(userId, request);
  };
  const [oslo] = ofWeather(waiting?.parts);
  const first = { degrees: -4 };
  await expect(answer([["another call", first]])).rejects.toMatchObject({ code: "bad_request" });
  const rounds = await Promise.all([1, 2, 3].map(() => answer([[oslo?.toolCallId as string, first]])));
  expect(new Set(rounds.map(({ id }) => id)).size).toBe(1);
  const going = rounds[0] as TurnRow;
  // What this client already has is not repeated.
  const [result, ...rest] = await read(going, cursorAfterPrefix(going).seq);
  expect(result).toEqual({ type: "tool-output-available", toolCallId: oslo?.toolCallId, output: first });
  expect(rest.map(({ type }) => type)).not.toContain("start");

  const rome = ofWeather((await listMessages(userId, chatId)).messages.at(-1)?.parts)[1];
  const steps: [string, unknown][] = [
    [oslo?.toolCallId as string, first],
    [rome?.toolCallId as string, "warm"],
  ];
  const last = await answer(steps);
  await read(last);
  expect((await answer(steps)).id).toBe(last.id);
  // Repeats the first send, as after a lost response.
  expect((await answer(steps.slice(0, 1))).id).toBe(going.id);
  const branch = (await listMessages(userId, chatId)).messages;
  expect(branch.map(textOf)).toEqual(["how cold", "Colder in Oslo."]);
  expect(ofWeather(branch[1]?.parts)).toMatchObject([{ output: first }, { output: "warm" }]);
  expect(JSON.stringify(branch)).not.toContain("providerExecuted");
  const { body } = provider.requests.at(-1) as Provider["requests"][number];
  expect(JSON.stringify(body.messages)).toContain("warm");
  expect(JSON.stringify(body.tools)).toContain("weather");
  expect(await pool().sql`select from turns where user_id = ${userId}`).toHaveLength(3);

  // The next question follows the whole answer, which the client knows by the id of its beginning.
  const next = [
    question,
    { ...waiting, parts: [] },
    { id: uuidv7(), role: "user", parts: [{ type: "text", text: "why" }] },
  ];
  await read(await begin(userId, parseSend(chatRequest.parse({ id: chatId, messages: next }), null).request));
  expect((await listMessages(userId, chatId)).messages.map(textOf)).toEqual([
    "how cold",
    "Colder in Oslo.",
    "why",
    "Hello there.",
  ]);
});
