// Answers that their provider makes in the background: whoever dies under one, another server reads it on. It is asked for
// once, comes whole in one stream, and needs no Continue.
import { beforeAll, expect, test } from "vitest";
import type { Script } from "@/test/provider";
import { header, newKey, type TestServer, testCluster, textOf } from "@/test/server/cluster";
import { openStream } from "@/test/sse";
import { countCases, randomFrom, sized } from "./trial";

const cluster = testCluster({ servers: 2, env: { LEASE_MS: "2000", HEARTBEAT_MS: "250", OPENAI_BACKGROUND: "on" } });
const kills = sized(3, 50);
const turnsAKill = 4;

beforeAll(async () => {
  for (const server of [cluster.a, cluster.b]) await (await cluster.send(newKey(), {}, { server })).ended;
});

/** Reasoning, then text, at a pace that leaves room for a kill. */
function answerOf(random: () => number): { text: string; script: Script } {
  const text = Array.from({ length: 60 + Math.floor(random() * 60) }, (_, index) => `word${index}`).join(" ");
  const perSecond = 50 + random() * 100;
  return {
    text,
    script: [{ reasoning: "Let me think." }, { tokens: text, perSecond }, { finish: "stop" }],
  };
}

async function beginOn(server: TestServer, script: Script) {
  const key = newKey();
  cluster.provider.on(key, script);
  const stream = await cluster.send(key, { searchMode: "none" }, { server });
  return { key, stream, turnId: header(stream, "x-turn-id"), chatId: header(stream, "x-chat-id") };
}

const isTerminal = "('finish', 'abort', 'error')";

async function expectWhole(turn: Awaited<ReturnType<typeof beginOn>>, text: string, survivor: TestServer) {
  const moved = await openStream(`${survivor.url}/api/turns/${turn.turnId}/stream`, {
    token: cluster.user.token,
    after: turn.stream,
  });
  if (moved.status !== 204) expect(await moved.ended).toBe("terminal");
  expect(moved.text).toBe(text);
  expect(moved.chunks.at(-1)?.type).toBe("finish");
  // Which answer it is at the provider stays here.
  expect(moved.frames.some(({ data }) => data.includes("resp_"))).toBe(false);
  const answer = await cluster.answer(turn.chatId, { server: survivor });
  expect(textOf(answer)).toBe(text);
  expect(answer.parts.filter(({ type }) => type === "reasoning")).toMatchObject([{ text: "Let me think." }]);
  expect(answer.metadata).toMatchObject({ turnId: turn.turnId, status: "complete" });
  expect(cluster.requestsFor(turn.key)).toHaveLength(1);
  const rows = await cluster.sql.unsafe(
    `select 1 from turn_chunks where turn_id = '${turn.turnId}' and chunk->>'type' in ${isTerminal}`,
  );
  expect(rows).toHaveLength(1);
}

test.each(Array.from({ length: kills }, (_, index) => index + 1))(
  "I2 I3 I4 I18: SIGKILL %i under answers in the background: read on, asked for once, complete",
  async (number) => {
    const random = randomFrom(number);
    const [name, other] = number % 2 === 1 ? (["a", "b"] as const) : (["b", "a"] as const);
    const dying = cluster[name];
    const turns = await Promise.all(
      Array.from({ length: turnsAKill }, async () => {
        const { text, script } = answerOf(random);
        return { text, turn: await beginOn(dying, script) };
      }),
    );
    const aim = Math.floor(random() * 300);
    await Promise.race(turns.map(({ turn }) => turn.stream.until(({ text }) => text.length >= aim)));
    await dying.kill("SIGKILL");
    try {
      for (const { turn, text } of turns) {
        await turn.stream.ended;
        await expectWhole(turn, text, cluster[other]);
      }
    } finally {
      cluster[name] = await cluster.start({ port: dying.port });
    }
  },
);

test("I17: a server that must go hands the answer over in the middle of a word's stream", async () => {
  const { text, script } = answerOf(() => 0.5);
  const key = newKey();
  const [first, ...rest] = text.split(/(?<=word9 )/);
  cluster.provider.on(key, [
    { reasoning: "Let me think." },
    { tokens: first as string },
    { gate: key },
    { tokens: rest.join("") },
    { finish: "stop" },
  ]);
  expect(script.length).toBe(3);
  const stream = await cluster.send(key, { searchMode: "none" }, { server: cluster.a });
  const turn = { key, stream, turnId: header(stream, "x-turn-id"), chatId: header(stream, "x-chat-id") };
  await stream.until(({ text }) => text.length > 0);
  await cluster.a.kill("SIGTERM");
  cluster.provider.open(key);
  await expectWhole(turn, text, cluster.b);
  cluster.a = await cluster.start({ port: cluster.a.port });
});

test("I11: Stop ends the answer at the provider as well", async (context) => {
  const turn = await beginOn(cluster.a, [{ text: "One" }, { hang: true }]);
  await turn.stream.until(({ text }) => text === "One");
  await cluster.api("DELETE", `/api/turns/${turn.turnId}`, { server: cluster.b });
  expect(await turn.stream.ended).toBe("terminal");
  expect(turn.stream.chunks.at(-1)?.type).toBe("abort");
  await expect.poll(() => cluster.provider.cancelled).toEqual([expect.stringMatching(/^resp_/)]);
  countCases(context, 1);
});
