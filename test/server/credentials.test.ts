// A revoked credential's open streams close on every server within a heartbeat.
import { expect, test } from "vitest";
import type { TestUser } from "@/test/server";
import { openStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { Browser } from "./browser";
import { gateOf, testCluster } from "./cluster";

const heartbeatMs = 1_000;
const cluster = testCluster({ servers: 2, env: { HEARTBEAT_MS: String(heartbeatMs) } });

/** A turn that has said "One" and continues when the test says so. */
async function runningTurn(user: TestUser) {
  const turn = await cluster.runningTurn(["One", " two"], 1, { user });
  turn.stream.close();
  return turn;
}

/**
 * Every kind of long-lived stream: a turn in two dialects and the chat's feed, on the server that
 * does not write the turn.
 */
function pathsOf({ turnId, chatId }: { turnId: string; chatId: string }): string[] {
  return [`/api/turns/${turnId}/stream`, `/api/turns/${turnId}/stream?dialect=openai`, `/api/chats/${chatId}/events`];
}

const open = (path: string, token: string) =>
  openStream(cluster.b.url + path, { token, kind: path.endsWith("/stream") ? "log" : "dialect" });

async function token(user: TestUser): Promise<{ id: string; token: string }> {
  return (await cluster.api<{ id: string; token: string }>("POST", "/api/tokens", { user, body: {} })).body;
}

type Ending = { name: string; end: (by: { user: TestUser; id: string }) => Promise<unknown>; seen: unknown };

const endings: Ending[] = [
  { name: "revoked", end: ({ user, id }) => cluster.api("DELETE", `/api/tokens/${id}`, { user }), seen: "reset" },
  {
    name: "expired",
    end: ({ id }) => cluster.sql`update tokens set expires_at = now() where id = ${id}`,
    seen: "reset",
  },
  {
    name: "of a user who is deleted",
    end: ({ user }) => cluster.sql`delete from users where id = ${user.userId}`,
    // The turn is gone too, and its stream ends.
    seen: expect.stringMatching(/^(eof|reset)$/),
  },
];

test.each(endings)("I24: a token that is $name loses its streams and is then refused", async ({ end, seen }) => {
  const user = await cluster.guest();
  const turn = await runningTurn(user);
  const { id, token: value } = await token(user);
  const streams = await Promise.all(pathsOf(turn).map((path) => open(path, value)));
  await Promise.all(streams.map((stream) => stream.until(({ frames }) => frames.length > 0)));
  const startedMs = performance.now();
  await end({ user, id });
  const endings = await Promise.all(streams.map(({ ended }) => ended));
  // One heartbeat until the check, plus slack for a busy machine.
  expect(performance.now() - startedMs).toBeLessThan(underLoad(heartbeatMs + 4_000));
  expect(endings).toEqual(streams.map(() => seen));
  for (const path of pathsOf(turn)) expect((await open(path, value)).status).toBe(401);
  cluster.provider.open(gateOf(turn.key, 0));
  cluster.provider.open(gateOf(turn.key, 1));
});

test("I24: ending a session closes its streams and not those of other credentials", async () => {
  const browser = new Browser(cluster.a);
  await browser.signIn("guest");
  const made = await browser.fetch("/api/tokens", {
    method: "POST",
    headers: { "content-type": "application/json", "sec-fetch-site": "same-origin" },
    body: "{}",
  });
  const user = (await made.json()) as TestUser;
  const turn = await runningTurn(user);
  const kept = await open(`/api/turns/${turn.turnId}/stream`, user.token);
  const streams = await Promise.all(pathsOf(turn).map((path) => open(path, browser.session as string)));
  await Promise.all(streams.map((stream) => stream.until(({ frames }) => frames.length > 0)));
  const left = await browser.fetch("/api/sessions", {
    method: "DELETE",
    headers: { "content-type": "application/json", "sec-fetch-site": "same-origin" },
  });
  expect(left.status).toBe(204);
  const endings = await Promise.all(streams.map(({ ended }) => ended));
  expect(endings).toEqual(streams.map(() => "reset"));
  cluster.provider.open(gateOf(turn.key, 0));
  cluster.provider.open(gateOf(turn.key, 1));
  expect([await kept.ended, kept.text]).toEqual(["terminal", "One two"]);
});
