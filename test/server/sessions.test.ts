// Sessions and their end: docs/protocol.md §5. An ended credential is refused on every server.
import { randomUUID } from "node:crypto";
import { encode } from "next-auth/jwt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { signUp } from "@/test/server";
import { Browser } from "./browser";
import { readAnswer, type TestServer, testCluster } from "./cluster";

const cluster = testCluster({ servers: 2 });
const password = "correct horse battery";
const newEmail = () => `user-${randomUUID()}@example.org`;

type Listed = { sessions: { id: string; current: boolean; userAgent: string }[] };

async function call<T = { error: { code: string; message: string } }>(
  browser: Browser,
  method: string,
  path: string,
  body?: unknown,
) {
  const answer = await browser.fetch(path, {
    method,
    headers: { "content-type": "application/json", "sec-fetch-site": "same-origin" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return readAnswer<T>(answer);
}

async function statusOf(cookie: string, server: TestServer = cluster.b): Promise<number> {
  const answer = await fetch(`${server.url}/api/chats`, { headers: { cookie } });
  await answer.arrayBuffer();
  return answer.status;
}
const tokenStatus = async (token: string) =>
  (await cluster.api("GET", "/api/chats", { user: { token, userId: "" }, server: cluster.b })).status;

async function guest(): Promise<Browser> {
  const browser = new Browser(cluster.a);
  await browser.signIn("guest");
  expect(await statusOf(browser.cookie)).toBe(200);
  return browser;
}

async function account(): Promise<{ email: string; userId: string; token: string; browsers: [Browser, Browser] }> {
  const email = newEmail();
  const { userId, token } = await signUp(cluster.a.url, { email, password });
  const browsers: [Browser, Browser] = [new Browser(cluster.a), new Browser(cluster.a)];
  for (const browser of browsers) await browser.signIn("password", { email, password });
  return { email, userId, token, browsers };
}

test("I24: signing out ends the session, including copies of its cookie", async () => {
  const browser = await guest();
  const copy = browser.cookie;
  const { csrfToken } = (await call<{ csrfToken: string }>(browser, "GET", "/api/auth/csrf")).body;
  const left = await browser.fetch("/api/auth/signout", {
    method: "POST",
    headers: { origin: cluster.a.url },
    body: new URLSearchParams({ csrfToken }),
  });
  expect([left.status, browser.session]).toEqual([302, undefined]);
  expect(await statusOf(copy)).toBe(401);
  const session = await fetch(`${cluster.b.url}/api/auth/session`, { headers: { cookie: copy } });
  expect([session.status, await session.json()]).toEqual([200, null]);
});

test("I24: sessions are listed and ended one by one or all at once; tokens stay", async () => {
  const { token, browsers } = await account();
  const [here, there] = browsers;
  const listed = (await call<Listed>(here, "GET", "/api/sessions")).body.sessions;
  expect(listed.map(({ current }) => current).sort()).toEqual([false, true]);
  const other = listed.find(({ current }) => !current)?.id as string;
  const stranger = await guest();
  expect((await call(stranger, "DELETE", `/api/sessions/${other}`)).status).toBe(404);
  expect((await call(here, "DELETE", `/api/sessions/${randomUUID()}`)).status).toBe(404);
  expect((await call(here, "DELETE", "/api/sessions/1")).status).toBe(404);
  expect(await statusOf(there.cookie)).toBe(200);
  expect((await call(here, "DELETE", `/api/sessions/${other}`)).status).toBe(204);
  expect(await statusOf(there.cookie)).toBe(401);
  const copy = here.cookie;
  expect((await call(here, "DELETE", "/api/sessions")).status).toBe(204);
  expect([here.session, await statusOf(copy), await tokenStatus(token)]).toEqual([undefined, 401, 200]);
});

test("I24: a guest's cookie and tokens end on becoming an account; the browser gets a new session", async () => {
  const browser = await guest();
  const copy = browser.cookie;
  const { token } = (await call<{ token: string }>(browser, "POST", "/api/tokens", {})).body;
  const chat = (await call<{ id: string }>(browser, "POST", "/api/chats", {})).body;
  const account = { email: newEmail(), password };
  expect((await call(browser, "POST", "/api/users", account)).status).toBe(201);
  expect([await statusOf(copy), await tokenStatus(token)]).toEqual([401, 401]);
  const chats = (await call<{ chats: { id: string }[] }>(browser, "GET", "/api/chats")).body.chats;
  expect(chats.map(({ id }) => id)).toEqual([chat.id]);
});

test("I24: a password change ends all sessions and tokens, and requires the current password", async () => {
  const { email, token, browsers } = await account();
  const [here, there] = browsers;
  const copy = here.cookie;
  const newPassword = "another horse entirely";
  const change = (currentPassword: string, next = newPassword) =>
    call(here, "POST", "/api/account/password", { currentPassword, newPassword: next });
  const refusals: [current: string, next: string, status: number][] = [
    ["wrong horse battery", newPassword, 403],
    ["", newPassword, 403],
    [password, "short", 400],
    [password, "sunshine1", 400],
    [password, email, 400],
  ];
  for (const [current, next, status] of refusals) expect((await change(current, next)).status).toBe(status);
  expect([await statusOf(there.cookie), await tokenStatus(token)]).toEqual([200, 200]);

  expect((await change(password)).status).toBe(204);
  expect([await statusOf(copy), await statusOf(there.cookie), await tokenStatus(token)]).toEqual([401, 401, 401]);
  expect(await statusOf(here.cookie)).toBe(200);
  expect((await call<Listed>(here, "GET", "/api/sessions")).body.sessions).toMatchObject([{ current: true }]);
  const old = new Browser(cluster.a);
  await old.signIn("password", { email, password });
  expect(old.session).toBeUndefined();
  await old.signIn("password", { email, password: newPassword });
  expect(await statusOf(old.cookie)).toBe(200);
});

test("a guest has no password to change", async () => {
  const answer = await call(await guest(), "POST", "/api/account/password", {
    currentPassword: "",
    newPassword: password,
  });
  expect([answer.status, answer.body.error.code]).toEqual([403, "forbidden"]);
});

test("signing in again replaces this browser's session", async () => {
  const browser = await guest();
  const before = browser.cookie;
  await browser.signIn("guest");
  expect([await statusOf(before), await statusOf(browser.cookie)]).toEqual([401, 200]);
});

test.each(["password", "12345678", "Iloveyou", "ada.lovelace"])(
  "refuses to sign up with the password %s",
  async (choice) => {
    const answer = await fetch(`${cluster.a.url}/api/users`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email: "ada.lovelace@example.org", password: choice }),
    }).then(readAnswer<{ error: { message: string } }>);
    expect([answer.status, answer.body.error.message]).toEqual([400, expect.stringMatching(/^password: must not be /)]);
  },
);

test("a failed session lookup is an error, and keeps the cookie", async () => {
  const browser = await guest();
  await cluster.sql`alter table sessions rename to sessions_away`;
  const answer = await browser.fetch("/api/auth/session");
  await cluster.sql`alter table sessions_away rename to sessions`;
  expect([answer.status, answer.headers.getSetCookie()]).toEqual([500, []]);
  expect(await statusOf(browser.cookie)).toBe(200);
});

describe("behind a proxy and with another secret", () => {
  const secret = "a-second-secret-for-tests-and-nothing-else-01234";
  const previous = "the-secret-before-it-for-tests-and-nothing-else";
  let server: TestServer;
  beforeAll(async () => {
    server = await cluster.start({
      env: { TRUST_PROXY: "1", ALLOWED_HOSTS: "*", AUTH_SECRET: secret, AUTH_SECRET_PREVIOUS: previous },
    });
  }, 60_000);
  afterAll(() => server?.kill("SIGKILL"));

  test("signing in and out redirects to a path, whatever host the proxy sends", async () => {
    const headers = { "x-forwarded-host": "evil.example", "x-forwarded-proto": "https" };
    const first = await fetch(`${server.url}/api/auth/csrf`, { headers });
    const { csrfToken } = (await first.json()) as { csrfToken: string };
    const cookie = first.headers
      .getSetCookie()
      .map((line) => line.split(";")[0])
      .join("; ");
    const ask = async (path: string, fields: Record<string, string>) => {
      const answer = await fetch(server.url + path, {
        method: "POST",
        redirect: "manual",
        headers: { ...headers, cookie, "x-auth-return-redirect": "1" },
        body: new URLSearchParams({ csrfToken, ...fields }),
      });
      return { location: answer.headers.get("location"), cookies: answer.headers.getSetCookie() };
    };
    const into = await ask("/api/auth/callback/guest", { callbackUrl: "//elsewhere.example/chat?x=1" });
    expect(into.location).toBe("/elsewhere.example/chat?x=1");
    expect((await ask("/api/auth/callback/guest", { callbackUrl: "https://evil.example/x" })).location).toBe("/");
    expect(into.cookies.find((line) => line.startsWith("__Secure-authjs.session-token="))).toMatch(
      /; HttpOnly; Secure;/,
    );
    const wrong = await ask("/api/auth/callback/password", { email: newEmail(), password });
    expect(wrong.location).toMatch(/^\/sign-in\?/);
    expect((await ask("/api/auth/signout", { callbackUrl: "/chat/x" })).location).toBe("/chat/x");
  });

  test("a session from the previous version and secret gets a row and the new secret", async () => {
    const made = await cluster.guest(server);
    const salt = "authjs.session-token";
    const old = await encode({ token: { sub: made.userId, version: 1 }, secret: previous, salt });
    const cookie = `${salt}=${old}`;
    expect(await statusOf(cookie, server)).toBe(200);
    const visited = await fetch(`${server.url}/api/auth/session`, { headers: { cookie } });
    const renewed =
      visited.headers
        .getSetCookie()
        .find((line) => line.startsWith(salt))
        ?.split(";")[0] ?? "";
    expect(await statusOf(renewed, server)).toBe(200);
    const rows = await cluster.sql`select id from sessions where user_id = ${made.userId} and ended_at is null`;
    expect(rows).toHaveLength(1);
    await cluster.sql`update sessions set ended_at = now() where user_id = ${made.userId}`;
    expect([await statusOf(renewed, server), await statusOf(cookie, server)]).toEqual([401, 401]);
  });
});
