// Two Rivulets in a row: the first one's provider is the second one's Responses API, with OPENAI_BACKGROUND. Its servers are
// killed and its connections cut; every answer is whole, and the model at the end of the line is asked once.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type FaultProxy, startFaultProxy } from "@/test/fault-proxy";
import { newKey, type TestServer, testCluster } from "@/test/server/cluster";
import { answerOf, BackgroundTurns } from "./background";
import { countCases, randomFrom, sized } from "./trial";

const inner = testCluster();
const outer = testCluster({ servers: 0, env: { LEASE_MS: "2000", HEARTBEAT_MS: "250" } });
const background = new BackgroundTurns(outer, () => inner.provider);
const kills = sized(2, 50);
const cutAnswers = sized(6, 60);
let proxy: FaultProxy;

beforeAll(async () => {
  proxy = await startFaultProxy(inner.a.port);
  const start = outer.start.bind(outer);
  const env = {
    MODELS: "openai:scripted",
    OPENAI_BASE_URL: `${proxy.url}/v1`,
    OPENAI_API_KEY: inner.user.token,
    OPENAI_BACKGROUND: "on",
  };
  outer.start = (options): Promise<TestServer> => start({ ...options, env });
  [outer.a, outer.b] = await Promise.all([outer.start(), outer.start()]);
  outer.user = await outer.guest();
  for (const server of [outer.a, outer.b]) await (await outer.send(newKey(), {}, { server })).ended;
}, 120_000);
afterAll(() => proxy.close());

test.each(Array.from({ length: kills }, (_, index) => index + 1))(
  "I2 I3 I4 I18: two chained Rivulets, SIGKILL %i of the first: resumed, requested once, complete",
  (number) => background.surviveKill(number, { honoursKeys: true }),
);

test("I2 I4: two chained Rivulets, connection between them cut: resumed, requested once, complete", async (context) => {
  const random = randomFrom(1);
  for (let number = 0; number < cutAnswers; number++) {
    const { text, script } = answerOf(random);
    const turn = await background.begin(outer.a, script);
    await turn.stream.until((seen) => seen.text.length >= random() * 200);
    proxy.down();
    proxy.up();
    await turn.stream.ended;
    await background.expectWhole(turn, text, outer.a);
  }
  countCases(context, cutAnswers);
});

test("an answer that cannot be read again keeps its text and fails with a message", async () => {
  const turn = await background.begin(outer.a, [{ text: "One" }, { hang: true }]);
  await turn.stream.until(({ text }) => text === "One");
  proxy.down();
  expect(await turn.stream.ended).toBe("terminal");
  proxy.up();
  expect(turn.stream.chunks.at(-1)).toMatchObject({ type: "error" });
  const answer = await outer.answer(turn.chatId);
  expect(answer.metadata).toMatchObject({ status: "failed", error: { retryable: true } });
});
