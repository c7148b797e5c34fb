// Returning to a turn: docs/protocol.md §2 (resume) and §5 (follow), on its server and on another.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { foldChunks } from "@/lib/turn/fold";
import { type EventStream, openStream } from "@/test/sse";
import {
  blocksOf,
  gated,
  gateOf,
  header,
  idOf,
  newKey,
  opening,
  rawOf,
  type TestServer,
  testCluster,
  textOf,
} from "./cluster";

const cluster = testCluster({ servers: 2 });
const tokens = ["One", " two", " three", " four", " five"];
const text = tokens.join("");

/** The ways a client can state its position. */
const waysToAsk = [
  (cursor: string) => ({ query: `?after=${cursor}`, headers: {} }),
  (cursor: string) => ({ query: "", headers: { "last-event-id": cursor } }),
  // A browser's EventSource after a reconnect: its header overrides its URL.
  (cursor: string) => ({ query: "?after=nonsense", headers: { "last-event-id": cursor } }),
];

function resume(server: TestServer, path: string, cursor: string, ask: (typeof waysToAsk)[number]): Promise<Response> {
  const { query, headers } = ask(cursor);
  return fetch(`${server.url}${path}${query}`, {
    headers: { authorization: `Bearer ${cluster.user.token}`, ...headers },
  });
}

const get = (path: string) => cluster.api<{ error: { requestId: string } }>("GET", path);

async function runningTurn(): Promise<{ key: string; stream: EventStream; turnId: string; chatId: string }> {
  const key = newKey();
  cluster.provider.on(key, gated(key, tokens));
  const stream = await cluster.send(key);
  await cluster.walk(stream, key, tokens, 1);
  await stream.until((seen) => seen.text === "One two three");
  return { key, stream, turnId: header(stream, "x-turn-id"), chatId: header(stream, "x-chat-id") };
}

function letGo(key: string): void {
  tokens.forEach((_token, index) => {
    cluster.provider.open(gateOf(key, index));
  });
}

test("I3 I18: a running turn resumes from every frame with exactly the remaining bytes, on both servers, by query and header", async () => {
  const { key, stream, turnId, chatId } = await runningTurn();
  const seen = blocksOf(rawOf(stream));
  const paths = [`/api/turns/${turnId}/stream`, `/api/chat/${chatId}/stream`];
  const readers = seen.flatMap((block, index) =>
    [cluster.a, cluster.b].flatMap((server) =>
      paths.flatMap((path) =>
        waysToAsk.map(async (ask) => ({ index, answer: await resume(server, path, idOf(block) as string, ask) })),
      ),
    ),
  );
  const attached = await Promise.all(readers);
  letGo(key);
  expect(await stream.ended).toBe("terminal");
  const blocks = blocksOf(rawOf(stream));
  expect(seen.length).toBeGreaterThan(6);
  expect(attached).toHaveLength(seen.length * 12);
  for (const { index, answer } of attached) {
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe(opening + blocks.slice(index + 1).join(""));
  }
});

describe("a turn that has ended", () => {
  let blocks: string[];
  let turnId: string;
  let chatId: string;
  beforeAll(async () => {
    const { key, stream, ...ids } = await runningTurn();
    // Token by token, so that no two are merged.
    await cluster.walk(stream, key, tokens);
    await stream.ended;
    blocks = blocksOf(rawOf(stream));
    ({ turnId, chatId } = ids);
  });

  test("I3 I18: resumes from every frame with exactly the remaining bytes; after the terminal 204", async () => {
    const terminal = blocks.length - 2;
    expect(blocks[terminal]).toContain('{"type":"finish"}');
    const paths = [`/api/turns/${turnId}/stream`, `/api/chat/${chatId}/stream`];
    for (const server of [cluster.a, cluster.b]) {
      for (const [index, block] of blocks.slice(0, terminal).entries()) {
        for (const path of paths) {
          for (const ask of waysToAsk) {
            const answer = await resume(server, path, idOf(block) as string, ask);
            expect(answer.status).toBe(200);
            expect(answer.headers.get("x-turn-id")).toBe(turnId);
            expect(await answer.text()).toBe(opening + blocks.slice(index + 1).join(""));
          }
        }
      }
      for (const ask of waysToAsk) {
        const answer = await resume(server, paths[0] as string, idOf(blocks[terminal] as string) as string, ask);
        expect(answer.status).toBe(204);
        expect(await answer.text()).toBe("");
      }
      const whole = await resume(server, paths[0] as string, "", () => ({ query: "", headers: {} }));
      expect(await whole.text()).toBe(opening + blocks.join(""));
    }
  });

  test("I20: malformed cursors are 400, unknown ones 404, and foreign ones look unknown", async () => {
    const malformed = [
      "x",
      "1",
      turnId,
      `${turnId}.`,
      `${turnId}.x`,
      `${turnId}.-1`,
      `${turnId}.1.x`,
      `${turnId}.1.2.3`,
    ];
    for (const cursor of [...malformed, `${turnId.toUpperCase()}.1`, `${turnId}.99999999999`]) {
      const answer = await get(`/api/turns/${turnId}/stream?after=${cursor}`);
      expect([cursor, answer.status]).toEqual([cursor, 400]);
      expect(answer.body).toMatchObject({ error: { code: "bad_request", message: expect.stringMatching(/^after: /) } });
    }
    const other = await cluster.guest();
    const foreign = header(await cluster.send(newKey(), {}, { user: other }), "x-turn-id");
    const own = header(await cluster.send(newKey()), "x-turn-id");
    const unknown = randomUUID();
    const nobody = async (path: string) => {
      const { status, body } = await get(path);
      expect(status).toBe(404);
      expect(body).toMatchObject({ error: { code: "not_found", requestId: expect.any(String) } });
      return JSON.stringify(body).replace(body.error.requestId, "");
    };
    const turns = await Promise.all(
      [unknown, foreign, "x", "no-uuid-at-all"].map((id) => nobody(`/api/turns/${id}/stream`)),
    );
    expect(new Set(turns).size).toBe(1);
    const cursors = [`${unknown}.1`, `${foreign}.1`, `${own}.1`, `${turnId}.${blocks.length}`, `${turnId}.999999999`];
    const positions = await Promise.all(cursors.map((cursor) => nobody(`/api/turns/${turnId}/stream?after=${cursor}`)));
    expect(new Set(positions).size).toBe(1);
    const inChat = await Promise.all(
      [`${unknown}.1`, `${foreign}.1`].map((cursor) => nobody(`/api/chat/${chatId}/stream?after=${cursor}`)),
    );
    expect(new Set(inChat).size).toBe(1);
    await nobody(`/api/chat/${chatId}/stream?after=${own}.1`);
  });

  test("dialect=text sends deltas as JSON strings and resumes; an unknown dialect is 400", async () => {
    const path = `/api/turns/${turnId}/stream?dialect=text`;
    const stream = await openStream(cluster.b.url + path, { token: cluster.user.token, kind: "dialect" });
    expect(await stream.ended).toBe("eof");
    expect(stream.frames.map(({ data }) => JSON.parse(data)).join("")).toBe(text);
    const deltas = blocksOf(rawOf(stream));
    expect(deltas).toHaveLength(tokens.length);
    for (const [index, block] of deltas.slice(0, -1).entries())
      expect((await get(`${path}&after=${idOf(block)}`)).text).toBe(opening + deltas.slice(index + 1).join(""));
    expect((await get(`${path}&after=${idOf(deltas.at(-1) as string)}`)).status).toBe(204);
    const unknown = await get(`/api/turns/${turnId}/stream?dialect=morse`);
    expect(unknown.status).toBe(400);
    expect(unknown.body).toMatchObject({
      error: { code: "bad_request", message: expect.stringMatching(/^dialect: /) },
    });
  });

  test("its chat has nothing to follow: 204; an unknown chat: 404", async () => {
    expect((await get(`/api/chat/${chatId}/stream`)).status).toBe(204);
    expect((await get(`/api/chat/${randomUUID()}/stream`)).status).toBe(204);
  });
});

test("I18: following a chat without a cursor: one delta for the text so far, then live, and the same message", async () => {
  const { key, stream, chatId } = await runningTurn();
  const open = (server: TestServer) =>
    openStream(`${server.url}/api/chat/${chatId}/stream`, { token: cluster.user.token, kind: "compacted" });
  const joined = await Promise.all([open(cluster.a), open(cluster.b)]);
  for (const reader of joined) {
    await reader.until((seen) => seen.text === "One two three");
    expect(reader.chunks.filter(({ type }) => type === "text-delta")).toEqual([
      { type: "text-delta", id: expect.any(String), delta: "One two three" },
    ]);
    expect(reader.chunks[0]).toEqual(stream.chunks[0]);
  }
  letGo(key);
  expect(await stream.ended).toBe("terminal");
  const stored = await cluster.answer(chatId);
  expect(textOf(stored)).toBe(text);
  expect(await foldChunks(stream.chunks)).toEqual(stored);
  for (const reader of joined) {
    expect(await reader.ended).toBe("terminal");
    expect(reader.text).toBe(text);
    expect(await foldChunks(reader.chunks)).toEqual(stored);
    expect(reader.frames.at(-1)?.data).toBe("[DONE]");
  }
});

test("I3: a reader cut off on one server resumes on the other", async () => {
  const { key, stream, turnId } = await runningTurn();
  stream.close();
  const moved = await openStream(`${cluster.b.url}/api/turns/${turnId}/stream`, {
    token: cluster.user.token,
    after: stream,
  });
  cluster.provider.open(gateOf(key, 2));
  await moved.until((seen) => seen.text === "One two three four");
  moved.close();
  letGo(key);
  const back = await openStream(`${cluster.a.url}/api/turns/${turnId}/stream`, {
    token: cluster.user.token,
    after: moved,
  });
  expect(await back.ended).toBe("terminal");
  expect(back.text).toBe(text);
});
