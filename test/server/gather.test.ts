// A stream with gathering (docs/protocol.md §2): fewer bytes, the same answer.
import { expect, test } from "vitest";
import { type EventStream, type OpenOptions, openStream } from "@/test/sse";
import { header, messageBody, newKey, testCluster, textOf } from "./cluster";

const cluster = testCluster();

const gathering = { "x-gather-ms": "400" };
/** Fixed bytes of a request and a stream: head, stages, ending. */
const constantBytes = 4_096;
const text = Array.from({ length: 800 }, (_, index) => ["like ", "water ", "over ", "stone\n"][index % 4]).join("");

function open(path: string, options: OpenOptions): Promise<EventStream> {
  return openStream(cluster.a.url + path, { token: cluster.user.token, kind: "compacted", ...options });
}

function ask(key: string): Promise<EventStream> {
  return open("/api/chat", { body: messageBody(key), headers: gathering });
}

const bytesOf = ({ bytes }: EventStream) => bytes.reduce((sum, part) => sum + part.bytes.length, 0);
const firstText = ({ frames }: EventStream) => frames.find(({ data }) => data.includes('"text-delta"'));

test("an answer of 200 tokens a second costs at most 1.3 times its text, and is unchanged", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ tokens: text, perSecond: 200 }, { finish: "stop" }]);
  const gathered = await ask(key);
  const turnPath = `/api/turns/${header(gathered, "x-turn-id")}/stream`;
  const every = await open(turnPath, { kind: "log" });
  expect(await Promise.all([gathered.ended, every.ended])).toEqual(["terminal", "terminal"]);

  expect(gathered.text).toBe(text);
  expect(every.text).toBe(text);
  expect(gathered.cursor).toBe(every.cursor);
  expect(gathered.chunks.at(-1)).toEqual(every.chunks.at(-1));
  expect(bytesOf(gathered)).toBeLessThanOrEqual(1.3 * Buffer.byteLength(text) + constantBytes);
  expect(bytesOf(every)).toBeGreaterThan(2 * bytesOf(gathered));
  // The first text is one chunk of the log in both: nothing waited for more.
  expect(firstText(gathered)).toMatchObject({ data: firstText(every)?.data, id: firstText(every)?.id });

  // A reader can resume exactly after any of its ids, gathering or not.
  const places = gathered.frames.filter(({ id }) => id !== undefined);
  for (const [index, { id }] of places.slice(0, -1).entries()) {
    const headers = index % 2 === 0 ? gathering : undefined;
    const rest = await open(turnPath, { headers: { ...headers, "last-event-id": id as string } });
    expect(await rest.ended).toBe("terminal");
    const before = gathered.chunks.slice(0, index + 1);
    expect(before.map((chunk) => (chunk.type === "text-delta" ? chunk.delta : "")).join("") + rest.text).toBe(text);
  }
  const nothing = await open(turnPath, { headers: { ...gathering, "last-event-id": gathered.cursor as string } });
  expect(nothing.status).toBe(204);
});

test("I12: a stop flushes buffered text at once, and the stored answer contains it", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ tokens: text, perSecond: 400 }, { hang: true }]);
  const gathered = await ask(key);
  await gathered.until((stream) => stream.text.length > text.length / 2);
  const chatId = header(gathered, "x-chat-id");
  const { status } = await cluster.api("POST", `/api/chat/${chatId}/stop`);
  expect(status).toBe(200);
  expect(await gathered.ended).toBe("terminal");
  expect(gathered.chunks.at(-1)).toEqual({ type: "abort", reason: "stopped" });
  expect(textOf(await cluster.answer(chatId))).toBe(gathered.text);
});

test("an invalid X-Gather-Ms header is ignored, and so is one in another dialect", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ tokens: text, perSecond: 2_000 }, { finish: "stop" }]);
  const asked = await open("/api/chat", { kind: "log", body: messageBody(key), headers: { "x-gather-ms": "soon" } });
  expect(await asked.ended).toBe("terminal");
  const path = `/api/turns/${header(asked, "x-turn-id")}/stream?dialect=text`;
  const [plain, wished] = await Promise.all([
    open(path, { kind: "dialect" }),
    open(path, { kind: "dialect", headers: gathering }),
  ]);
  await Promise.all([plain.ended, wished.ended]);
  expect(wished.frames.map(({ data, id }) => [data, id])).toEqual(plain.frames.map(({ data, id }) => [data, id]));
});
