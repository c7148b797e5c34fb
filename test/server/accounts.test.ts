// Sign-up, sign-in, tokens, sessions, the same-origin rule and limits: docs/protocol.md §3 and §5.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { signUp } from "@/test/server";
import { Browser } from "./browser";
import { gated, header, messageBody, newKey, readAnswer, type TestServer, testCluster } from "./cluster";

const cluster = testCluster();
const password = "correct horse battery";

type Json = { error: { code: string; message: string } };

function post(path: string, body: unknown, headers: Record<string, string> = {}, server: TestServer = cluster.a) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return fetch(server.url + path, {
    method: "POST",
    redirect: "manual",
    headers: { "content-type": "application/json", ...headers },
    body: text,
  }).then(readAnswer<Json>);
}

const newEmail = () => `user-${randomUUID()}@example.org`;

async function rowsOf(userId: string) {
  const [row] = await cluster.sql`
    select (select count(*)::int from turns where user_id = ${userId}) as turns,
      (select count(*)::int from chats where user_id = ${userId}) as chats,
      (select count(*)::int from tokens where user_id = ${userId}) as tokens`;
  return row;
}

test("sign-up is 201 once, then 409 in any letter case; a wrong password and an unknown address are both 401", async () => {
  const email = newEmail();
  const account = { email, password, name: "Ann" };
  const first = await post("/api/users", account);
  expect([first.status, first.body]).toEqual([201, { id: expect.any(String), email, name: "Ann" }]);
  const again = await post("/api/users", { ...account, email: email.toUpperCase() });
  expect([again.status, again.body.error.code]).toEqual([409, "conflict"]);
  const right = await post("/api/tokens", { email: email.toUpperCase(), password });
  expect(right.status).toBe(201);
  const wrong = await post("/api/tokens", { email, password: "wrong horse battery" });
  const nobody = await post("/api/tokens", { email: newEmail(), password });
  for (const answer of [wrong, nobody]) {
    expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    expect(answer.body.error).toMatchObject({ code: "unauthorized", message: wrong.body.error.message });
  }
});

test("of eight identical concurrent sign-ups one wins", async () => {
  const email = newEmail();
  const answers = await Promise.all(Array.from({ length: 8 }, () => post("/api/users", { email, password })));
  expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(7).fill(409)]);
});

test("a token works until it expires or is revoked, and is shown only once", async () => {
  const user = await cluster.guest();
  const made = await cluster.api<{ id: string; token: string; userId: string; expiresAt: null }>(
    "POST",
    "/api/tokens",
    {
      user,
      body: { name: "Script" },
    },
  );
  expect([made.status, made.body]).toEqual([
    201,
    { id: expect.any(String), token: expect.stringMatching(/^rvl_/), userId: user.userId, expiresAt: null },
  ]);
  const asMade = { user: { ...user, token: made.body.token } };
  expect((await cluster.api("GET", "/api/chats", asMade)).status).toBe(200);
  const list = await cluster.api<{ tokens: object[] }>("GET", "/api/tokens", { user });
  expect(list.body.tokens).toContainEqual({
    id: made.body.id,
    name: "Script",
    createdAt: expect.any(String),
    lastUsedAt: expect.any(String),
    expiresAt: null,
  });
  expect(list.text).not.toContain(made.body.token);
  const dump = await cluster.sql`select tokens::text as row from tokens`;
  expect(JSON.stringify(dump)).not.toContain(made.body.token.slice(4));

  expect((await cluster.api("DELETE", `/api/tokens/${made.body.id}`, { user })).status).toBe(204);
  expect((await cluster.api("GET", "/api/chats", asMade)).status).toBe(401);

  const expiresAt = new Date(Date.now() - 1_000).toISOString();
  const past = await cluster.api<Json>("POST", "/api/tokens", { user, body: { expiresAt } });
  expect([past.status, past.body.error.message]).toEqual([400, "expiresAt: must lie in the future"]);
  const later = new Date(Date.now() + 3_600_000).toISOString();
  const valid = await cluster.api<{ token: string }>("POST", "/api/tokens", { user, body: { expiresAt: later } });
  expect((await cluster.api("GET", "/api/chats", { user: { ...user, token: valid.body.token } })).status).toBe(200);
});

test("next-auth sessions work by cookie and by JWT bearer, and a wrong password gives neither", async () => {
  const email = newEmail();
  const { userId } = await signUp(cluster.a.url, { email, password, name: "Ann" });
  const browser = new Browser(cluster.a);
  await browser.signIn("password", { email, password });
  expect(browser.session).toBeDefined();
  const session = await browser.fetch("/api/auth/session");
  expect(await session.json()).toMatchObject({ user: expect.any(Object) });
  const sent = await browser.fetch("/api/chat", {
    method: "POST",
    headers: { "content-type": "application/json", origin: cluster.a.url, "sec-fetch-site": "same-origin" },
    body: JSON.stringify(messageBody("Hello")),
  });
  expect(sent.status).toBe(200);
  expect(await sent.text()).toContain('"type":"finish"');
  expect(await rowsOf(userId)).toMatchObject({ turns: 1, chats: 1 });
  const bearer = await cluster.api<{ chats: object[] }>("GET", "/api/chats", {
    user: { userId, token: browser.session as string },
  });
  expect([bearer.status, bearer.body.chats.length]).toEqual([200, 1]);
  const made = await browser.fetch("/api/tokens", {
    method: "POST",
    headers: { "content-type": "application/json", origin: cluster.a.url },
    body: "{}",
  });
  expect(await made.json()).toMatchObject({ userId });

  const refused = new Browser(cluster.a);
  const answer = await refused.signIn("password", { email, password: "wrong horse battery" });
  expect(refused.session).toBeUndefined();
  expect(answer.headers.get("location")).toContain("error");

  await cluster.sql`update users set session_version = session_version + 1 where id = ${userId}`;
  expect((await browser.fetch("/api/chats")).status).toBe(401);
});

test("a guest who signs up keeps their chats; a forged cookie is not signed in", async () => {
  const browser = new Browser(cluster.a);
  await browser.signIn("guest");
  const headers = { "content-type": "application/json", origin: cluster.a.url };
  const chat = await browser.fetch("/api/chats", { method: "POST", headers, body: '{"title":"Kept"}' });
  expect(chat.status).toBe(201);
  const email = newEmail();
  const account = JSON.stringify({ email, password });
  const signedUp = await browser.fetch("/api/users", { method: "POST", headers, body: account });
  expect(signedUp.status).toBe(201);
  const token = (await post("/api/tokens", { email, password })).body as unknown as { token: string; userId: string };
  const list = await cluster.api("GET", "/api/chats", { user: token });
  expect(list.body).toMatchObject({ chats: [{ title: "Kept" }] });

  const forged = `authjs.session-token=${browser.session?.slice(0, -4)}AAAA`;
  expect((await fetch(`${cluster.a.url}/api/chats`, { headers: { cookie: forged } })).status).toBe(401);
});

describe("cross-site requests with the session cookie change nothing", () => {
  let browser: Browser;
  let userId: string;
  const body = () => JSON.stringify(messageBody("Forged"));

  beforeAll(async () => {
    browser = new Browser(cluster.a);
    await browser.signIn("guest");
    const made = await browser.fetch("/api/tokens", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    ({ userId } = (await made.json()) as { userId: string });
  });

  /**
   * Routes that pages of other origins may call with a token; there another origin's cookie counts
   * as none.
   */
  const withToken = /^\/api\/turns\/|\/stop$/;
  const nobody = [401, "unauthorized"];
  const forbidden = [403, "forbidden"];

  test.each<[string, typeof nobody, () => Record<string, string>]>([
    ["a foreign Origin", nobody, () => ({ origin: "https://evil.example" })],
    ["an opaque Origin", nobody, () => ({ origin: "null" })],
    ["another port", nobody, () => ({ origin: "http://localhost:1" })],
    ["another port by name", nobody, () => ({ origin: `http://127.0.0.1:${cluster.a.port}` })],
    ["Sec-Fetch-Site cross-site", nobody, () => ({ "sec-fetch-site": "cross-site" })],
    ["Sec-Fetch-Site same-site", nobody, () => ({ "sec-fetch-site": "same-site", origin: cluster.a.url })],
    ["text/plain", forbidden, () => ({ "content-type": "text/plain", origin: cluster.a.url })],
    ["a form", forbidden, () => ({ "content-type": "application/x-www-form-urlencoded" })],
  ])("refuses %s", async (_name, whereTokensCount, headers) => {
    const before = await rowsOf(userId);
    const requests: [string, string, string | undefined][] = [
      ["POST", "/api/chat", body()],
      ["POST", "/api/chats", "{}"],
      ["POST", "/api/tokens", "{}"],
      ["POST", "/api/documents", "x"],
      ["PATCH", "/api/chats/some-chat", "{}"],
      ["DELETE", "/api/chats/some-chat", "{}"],
      ["DELETE", `/api/turns/${randomUUID()}`, "{}"],
      ["POST", "/api/chat/some-chat/stop", "{}"],
    ];
    for (const [method, path, text] of requests) {
      const answer = await browser.fetch(path, {
        method,
        headers: { "content-type": "application/json", ...headers() },
        body: text,
      });
      const { body: json } = await readAnswer<Json>(answer);
      const refusal = withToken.test(path) ? whereTokensCount : forbidden;
      expect([method, path, answer.status, json?.error.code]).toEqual([method, path, ...refusal]);
    }
    expect(await rowsOf(userId)).toEqual(before);
  });

  test("any page may read; a bearer token needs no origin", async () => {
    const read = await browser.fetch("/api/chats", { headers: { "sec-fetch-site": "cross-site" } });
    expect(read.status).toBe(200);
    expect(read.headers.get("access-control-allow-origin")).toBeNull();
    const api = await cluster.api("POST", "/api/chats", { body: {}, headers: { origin: "https://evil.example" } });
    expect(api.status).toBe(201);
  });

  test("a guest's cookie-authenticated sign-up follows the same rule", async () => {
    const answer = await browser.fetch("/api/users", {
      method: "POST",
      headers: { "content-type": "application/json", origin: "https://evil.example" },
      body: JSON.stringify({ email: newEmail(), password }),
    });
    expect(answer.status).toBe(403);
  });
});

describe("a server with a paid provider and limits", () => {
  let server: TestServer;
  beforeAll(async () => {
    // GUESTS is unset: the provider's key decides.
    server = await cluster.start({ env: { GUESTS: "", RATE_LIMITS: "on" } });
  }, 60_000);
  afterAll(() => server?.kill("SIGKILL"));

  test("has no guests, by token or by session", async () => {
    const answer = await post("/api/tokens", { guest: true }, {}, server);
    expect([answer.status, answer.body.error.code]).toEqual([403, "forbidden"]);
    const browser = new Browser(server);
    await browser.signIn("guest");
    expect(browser.session).toBeUndefined();
    const page = await (await fetch(`${server.url}/sign-in`)).text();
    expect(page).toContain("This server has no guest accounts");
    expect(page).not.toContain("Continue as guest");
  });

  test("limits password guessing: 429 with Retry-After", async () => {
    const email = newEmail();
    const guess = () => post("/api/tokens", { email, password: "wrong horse battery" }, {}, server);
    for (let count = 0; count < 10; count++) expect((await guess()).status).toBe(401);
    const limited = await guess();
    expect([limited.status, limited.body.error.code]).toEqual([429, "rate_limited"]);
    expect(Number(limited.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    const other = await post("/api/tokens", { email: newEmail(), password }, {}, server);
    expect(other.status).toBe(401);
  });

  test("limits new turns, but not attaching to one", async () => {
    const user = await signUp(server.url, { email: newEmail(), password });
    const key = newKey();
    cluster.provider.on(key, gated(key, ["Waits."]));
    const ids = { chatId: randomUUID(), messageId: randomUUID() };
    const stream = await cluster.send(key, ids, { user, server });
    await stream.until(({ text }) => text === "Waits.");
    const headers = { authorization: `Bearer ${user.token}` };
    // Its own turn is one of 60; a send refused because the chat is answering does not count.
    for (let count = 0; count < 80; count++)
      expect((await post("/api/chat", messageBody("More", { chatId: ids.chatId }), headers, server)).status).toBe(409);
    const call = { model: "scripted", messages: [{ role: "user", content: "Hi" }] };
    for (let count = 0; count < 59; count++)
      expect((await post("/v1/chat/completions", call, headers, server)).status).toBe(200);
    const limited = await post("/api/chat", messageBody("More"), headers, server);
    expect([limited.status, limited.body.error.code]).toEqual([429, "rate_limited"]);
    expect(Number(limited.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    const attached = await cluster.send(key, ids, { user, server });
    expect(header(attached, "x-turn-id")).toBe(header(stream, "x-turn-id"));
    expect(await rowsOf(user.userId)).toMatchObject({ turns: 60, chats: 60 });
  });
});
