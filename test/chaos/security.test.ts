// Cases beyond test/server/{access,accounts,resume,stopping}.test.ts: the same-origin rule on
// dialect routes, forged cursors on every streaming path, and stop racing the end at every token in
// both orders, from either server and with a dead owner.
import { randomUUID } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import { registry } from "@/lib/dialects/registry";
import { Browser } from "@/test/server/browser";
import { gated, gateOf, header, newKey, outline, testCluster, textOf } from "@/test/server/cluster";
import type { EventStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { countCases, randomFrom, sized } from "./trial";

const leaseMs = 1_000;
const cluster = testCluster({
  servers: 2,
  env: { LEASE_MS: String(leaseMs), CORS_ORIGINS: "http://localhost:8080" },
});
const turnRoutes = registry.dialects.flatMap(({ routes }) => routes.filter(({ kind }) => kind === "turn"));
const tokens = ["One", " two", " three", " four"];

beforeAll(async () => {
  // The first request to a route loads it.
  for (const server of [cluster.a, cluster.b]) {
    const stream = await cluster.send(newKey(), {}, { server });
    await stream.ended;
    await cluster.api("DELETE", `/api/turns/${header(stream, "x-turn-id")}`, { server });
  }
});

test("I20: another site's page with the session cookie starts nothing through any dialect", async (context) => {
  const browser = new Browser(cluster.a);
  await browser.signIn("guest");
  const { user } = (await (await browser.fetch("/api/auth/session")).json()) as { user: { id: string } };
  const rows = () => cluster.sql`
    select (select count(*)::int from chats) as chats, (select count(*)::int from turns) as turns,
      (select count(*)::int from messages) as messages`;
  const before = await rows();
  const asked = cluster.provider.requests.length;
  const json = "application/json";
  const crossOrigin: Record<string, string>[] = [
    { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "cross-site" },
    { "content-type": "multipart/form-data; boundary=x", origin: "https://evil.example" },
    { "content-type": json, origin: "https://evil.example" },
    { "content-type": json, origin: "null" },
    // May call the dialects (CORS_ORIGINS), but with a token, never with a session.
    { "content-type": json, origin: "http://localhost:8080" },
    { "content-type": json, "sec-fetch-site": "same-site" },
  ];
  const forms: Record<string, string>[] = [
    { "content-type": "application/x-www-form-urlencoded" },
    { "content-type": "text/plain", origin: cluster.a.url },
    { "content-type": "text/plain; charset=utf-8" },
  ];
  const attacks = [
    ...crossOrigin.map((headers) => ({ headers, status: 401 })),
    ...forms.map((headers) => ({ headers, status: 403 })),
  ];
  for (const { path } of turnRoutes)
    for (const { headers, status } of attacks) {
      const at = path.replace(":userId", user.id).replace(/:\w+/g, "7");
      const body = JSON.stringify({ text: "Forged", message: "Forged", question: "Forged", content: "Forged" });
      const answer = await browser.fetch(at, { method: "POST", headers, body });
      expect([at, headers, answer.status]).toEqual([at, headers, status]);
    }
  expect(await rows()).toEqual(before);
  expect(cluster.provider.requests).toHaveLength(asked);
  countCases(context, turnRoutes.length * attacks.length);
});

test("I20: forged cursors are 400 or 404 on every streaming path, by header and by query", async (context) => {
  const stream = await cluster.send(newKey());
  expect(await stream.ended).toBe("terminal");
  const [turnId, chatId] = [header(stream, "x-turn-id"), header(stream, "x-chat-id")];
  const other = await cluster.guest();
  const foreign = header(await cluster.send(newKey(), {}, { user: other }), "x-turn-id");
  const cursors: [cursor: string, status: number][] = [
    ["x", 400],
    [turnId, 400],
    [`${turnId}.-1`, 400],
    [`${turnId}.1.2.3`, 400],
    [`${turnId}.99999999999`, 400],
    [`${turnId}.1' or 1=1`, 400],
    [`${"9".repeat(4_000)}`, 400],
    [`${turnId}.9999`, 404],
    [`${randomUUID()}.1`, 404],
    [`${foreign}.1`, 404],
  ];
  const streaming = turnRoutes.filter((route) => route.kind === "turn" && route.streams).map(({ path }) => path);
  const paths = [`/api/turns/${turnId}/stream`, `/api/chat/${chatId}/stream`, ...streaming].map((path) =>
    path.replace(":userId", cluster.user.userId).replace(/:\w+/g, chatId),
  );
  for (const path of paths)
    for (const [cursor, status] of cursors) {
      const answers = await Promise.all([
        cluster.api("GET", `${path}?after=${encodeURIComponent(cursor)}`),
        cluster.api("GET", path, { headers: { "last-event-id": cursor } }),
      ]);
      expect([path, cursor, ...answers.map((answer) => answer.status)]).toEqual([path, cursor, status, status]);
    }
  countCases(context, paths.length * cursors.length * 2);
});

type Stopped = { turnId: string | null; status: string | null };

const stop = (stream: EventStream, server = cluster.a) =>
  cluster.api<Stopped>("DELETE", `/api/turns/${header(stream, "x-turn-id")}`, { server });

/** A turn whose reader has seen this many tokens and whose provider pauses after them. */
async function turnAt(count: number): Promise<{ key: string; stream: EventStream; closed: Promise<string> }> {
  const key = newKey();
  cluster.provider.on(key, [{ gate: gateOf(key, -1) }, ...gated(key, tokens)]);
  const stream = await cluster.send(key);
  const request = await cluster.provider.request(key);
  if (count > 0) {
    cluster.provider.open(gateOf(key, -1));
    await cluster.walk(stream, key, tokens, count - 2);
    await stream.until(({ text }) => text === tokens.slice(0, count).join(""));
  }
  return { key, stream, closed: request.closed };
}

/** The response, the terminal, the turn and the message agree, with a single end. */
async function checkEnd(stream: EventStream, status: string | null, server = cluster.a): Promise<void> {
  expect(["stopped", "complete"]).toContain(status);
  const turnId = header(stream, "x-turn-id");
  const terminals = await cluster.sql`
    select chunk->>'type' as type from turn_chunks where turn_id = ${turnId} and chunk->>'type' in ('finish', 'abort', 'error')`;
  expect(terminals).toEqual([{ type: status === "complete" ? "finish" : "abort" }]);
  expect((await cluster.turn(turnId, { server })).status).toBe(status);
  const stored = textOf(await cluster.answer(header(stream, "x-chat-id"), { server }));
  expect(stored.startsWith(stream.text)).toBe(true);
  expect(tokens.join("").startsWith(stored)).toBe(true);
  if (status === "complete") expect(stored).toBe(tokens.join(""));
}

test("I4 I11 I12: stop before, after and together with the end, at every token, on either server", async (context) => {
  const random = randomFrom(5);
  const outcomes = { stopped: 0, complete: 0 };
  let cases = 0;
  for (let round = 0; round < sized(1, 12); round++)
    for (let count = 0; count <= tokens.length; count++)
      for (const server of [cluster.a, cluster.b])
        for (const order of ["stop", "end", "both"] as const) {
          const { key, stream, closed } = await turnAt(count);
          const end = () => {
            for (let index = -1; index < tokens.length; index++) cluster.provider.open(gateOf(key, index));
          };
          if (order === "end") {
            end();
            await stream.ended;
          }
          if (order === "both") setTimeout(end, random() * 12);
          const { status, body } = await stop(stream, server);
          expect(status).toBe(200);
          expect(await stream.ended).toBe("terminal");
          if (order === "stop") expect([body.status, await closed]).toEqual(["stopped", "client"]);
          if (order === "end") expect(body.status).toBe("complete");
          await checkEnd(stream, body.status, server);
          outcomes[body.status as "stopped" | "complete"] += 1;
          cases += 1;
        }
  console.log(`stop reported ${outcomes.stopped} stops and ${outcomes.complete} ends`);
  countCases(context, cases);
});

test("I11 I12 I5: stop when the owner is dead: the survivor stops the turn, with or without text, and keeps the text", async (context) => {
  const counts = [0, 1, 3];
  const turns = await Promise.all(counts.map(turnAt));
  const readers = await Promise.all(
    turns.map(({ stream }) => cluster.follow(header(stream, "x-turn-id"), { server: cluster.b })),
  );
  const { port } = cluster.a;
  const asked = cluster.provider.requests.length;
  await cluster.a.kill("SIGKILL");
  const killedAtMs = performance.now();
  const answers = await Promise.all(turns.map(({ stream }) => stop(stream, cluster.b)));
  expect(performance.now() - killedAtMs).toBeLessThan(underLoad(leaseMs + 2_000));
  expect(answers.map(({ body }) => body.status)).toEqual(counts.map(() => "stopped"));
  for (const [index, { stream }] of turns.entries()) {
    const reader = readers[index] as EventStream;
    expect(await reader.ended).toBe("terminal");
    expect(outline(reader.chunks).slice(-2)).toEqual(["turn stopped", "abort"]);
    expect(reader.text).toBe(tokens.slice(0, counts[index]).join(""));
    await checkEnd(stream, "stopped", cluster.b);
  }
  // Nothing was asked of the provider after that.
  expect(cluster.provider.requests).toHaveLength(asked);
  cluster.a = await cluster.start({ port });
  countCases(context, counts.length);
});
