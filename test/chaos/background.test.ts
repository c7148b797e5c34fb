// Answers that the provider makes in the background: when their server dies, another one reads them to the end. The model is
// asked once, the answer is whole in one stream, and nobody has to press Continue.
import { beforeAll, expect, test } from "vitest";
import { header, newKey, testCluster } from "@/test/server/cluster";
import { answerOf, BackgroundTurns } from "./background";
import { countCases, sized } from "./trial";

const cluster = testCluster({ servers: 2, env: { LEASE_MS: "2000", HEARTBEAT_MS: "250", OPENAI_BACKGROUND: "on" } });
const background = new BackgroundTurns(cluster, () => cluster.provider);
const kills = sized(3, 50);

beforeAll(async () => {
  for (const server of [cluster.a, cluster.b]) await (await cluster.send(newKey(), {}, { server })).ended;
});

test.each(Array.from({ length: kills }, (_, index) => index + 1))(
  "I2 I3 I4 I18: SIGKILL %i during background answers: resumed, requested once, complete",
  (number) => background.surviveKill(number, { honoursKeys: false }),
);

test("I17: a terminating server hands its turn over in the middle of a text stream", async () => {
  const { text } = answerOf(() => 0.5);
  const key = newKey();
  const [first, ...rest] = text.split(/(?<=word9 )/);
  cluster.provider.on(key, [
    { reasoning: "Let me think." },
    { tokens: first as string },
    { gate: key },
    { tokens: rest.join("") },
    { finish: "stop" },
  ]);
  const stream = await cluster.send(key, { searchMode: "none" }, { server: cluster.a });
  const turn = { key, stream, turnId: header(stream, "x-turn-id"), chatId: header(stream, "x-chat-id") };
  await stream.until(({ text }) => text.length > 0);
  await cluster.a.kill("SIGTERM");
  cluster.provider.open(key);
  await background.expectWhole(turn, text, cluster.b);
  cluster.a = await cluster.start({ port: cluster.a.port });
});

test("I11: Stop also cancels the answer at the provider", async (context) => {
  const turn = await background.begin(cluster.a, [{ text: "One" }, { hang: true }]);
  await turn.stream.until(({ text }) => text === "One");
  await cluster.api("DELETE", `/api/turns/${turn.turnId}`, { server: cluster.b });
  expect(await turn.stream.ended).toBe("terminal");
  expect(turn.stream.chunks.at(-1)?.type).toBe("abort");
  await expect.poll(() => cluster.provider.cancelled).toEqual([expect.stringMatching(/^resp_/)]);
  countCases(context, 1);
});
