// Turns against a server that runs a model. It says less than real models do, but it is third-party
// software with a real template, tokenizer, sampler and queue, and with their real faults.
import { v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { TurnRow } from "@/db/turns";
import { insertUser } from "@/db/users";
import { turnLog } from "@/lib/log/turn-log";
import { listMessages } from "@/lib/services/chats/messages";
import { followTurn } from "@/lib/services/turns/follow-turn";
import { startTurn } from "@/lib/services/turns/start";
import { stopTurn } from "@/lib/services/turns/stop";
import type { TurnRequest } from "@/lib/services/turns/turn-request";
import type { LoggedChunk, MessageMetadata } from "@/lib/turn/chunks";
import { foldChunks, textOf } from "@/lib/turn/fold";
import { testDatabase } from "@/test/database";
import { LlamaServer } from "./llama-server";

testDatabase();

let server: LlamaServer;
const runs: Promise<void>[] = [];

beforeAll(async () => {
  LlamaServer.require();
  server = await LlamaServer.start({
    sentence: { words: ["Water", " runs", " down", "hill", "."] },
    endless: { words: ["Round", " and", " round", " it", " goes", ", "], endless: true },
    forgetful: { words: ["Who", "?"], contextSize: 256 },
  });
  Object.assign(process.env, {
    MODELS: "openai:sentence,openai:endless,openai:forgetful,openai:none",
    OPENAI_BASE_URL: server.url,
    CHUNK_TIMEOUT_MS: "5000",
    // This server keeps generating after its reader has left.
    MAX_OUTPUT_TOKENS: "8000",
  });
}, 300_000);
afterAll(async () => {
  await turnLog().close(0);
  await Promise.all(runs);
  await server.close();
});

async function newUser(): Promise<string> {
  const id = uuidv7();
  await insertUser({ id, email: null, name: null, passwordHash: null });
  return id;
}

function ask(userId: string, model: string, text: string, chatId = uuidv7()): Promise<TurnRow> {
  const message = { id: uuidv7(), parts: [{ type: "text" as const, text }] };
  const request: TurnRequest = {
    trigger: "submit-message",
    chatId,
    clientKey: message.id,
    message,
    searchMode: "none",
    model,
  };
  return startTurn(userId, request, (work) => void runs.push(work));
}

/** Chunks after `afterSeq`, to the end or until one of them matches. */
async function read(turn: TurnRow, afterSeq = 0, until = (_: LoggedChunk) => false): Promise<LoggedChunk[]> {
  const reader = await followTurn(turn, null, afterSeq, false);
  const all: LoggedChunk[] = [];
  for (let batch = await reader.next(); batch; batch = await reader.next()) {
    all.push(...batch);
    if (batch.some(until)) break;
  }
  reader.close();
  return all;
}

async function answerOf(logged: LoggedChunk[]) {
  const message = await foldChunks(logged.map(({ chunk }) => chunk));
  return { text: textOf(message), metadata: message.metadata as MessageMetadata };
}

it("a question sent while the model loads gets a whole answer with usage", async () => {
  const { text, metadata } = await answerOf(await read(await ask(await newUser(), "openai:sentence", "Where to?")));
  expect(text).toBe("Water runs downhill.");
  expect(metadata).toMatchObject({ status: "complete", finishReason: "stop" });
  expect(metadata.usage?.outputTokens).toBeGreaterThan(0);
});

it("a second question in a chat is sent with the first as history", async () => {
  const userId = await newUser();
  const chatId = uuidv7();
  for (const text of ["Once", "Twice"]) await read(await ask(userId, "openai:sentence", text, chatId));
  const { messages } = await listMessages(userId, chatId);
  expect(messages.map(textOf)).toEqual(["Once", "Water runs downhill.", "Twice", "Water runs downhill."]);
});

it("a stop mid-answer closes the server's response and keeps the text", async () => {
  const userId = await newUser();
  const turn = await ask(userId, "openai:endless", "Go");
  const firstChunks = await read(turn, 0, ({ chunk }) => chunk.type === "text-delta");
  const left = server.reported("left");
  await stopTurn(userId, turn.id);
  const rest = await read(turn, firstChunks.at(-1)?.seq);
  const { text, metadata } = await answerOf([...firstChunks, ...rest]);
  expect(metadata.status).toBe("stopped");
  expect("Round and round it goes, ".repeat(1_000)).toContain(text);
  await left;
});

it("a reader that left resumes without a gap", async () => {
  const turn = await ask(await newUser(), "openai:sentence", "Again");
  const first = await read(turn, 0, ({ chunk }) => chunk.type === "text-delta");
  const resumed = await read(turn, first.at(-1)?.seq);
  expect(await answerOf([...first, ...resumed])).toEqual(await answerOf(await read(turn)));
});

it("a conversation longer than the context fails, and is never marked complete", async () => {
  // This server answers with status 200 and `data: [ERROR]`, without a line end, and keeps the
  // connection open.
  const { text, metadata } = await answerOf(await read(await ask(await newUser(), "openai:forgetful", "Hello")));
  expect({ text, status: metadata.status, code: metadata.error?.code }).toEqual({
    text: "",
    status: "failed",
    code: "provider_timeout",
  });
});

it("a model that the server does not have fails, with its own error", async () => {
  const { metadata } = await answerOf(await read(await ask(await newUser(), "openai:none", "Hello")));
  expect(metadata).toMatchObject({ status: "failed", error: { code: "provider_invalid" } });
});
