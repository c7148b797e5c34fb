// Sign-up by invitation on the production server: the routes, the page and the browser's session.
import { randomUUID } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import { signUp, type TestUser } from "@/test/server";
import { Browser } from "./browser";
import { testCluster } from "./cluster";

const cluster = testCluster({ servers: 2, env: { SIGN_UP: "invite" } });
const password = "plum gravel 41 lantern";
const newEmail = () => `${randomUUID()}@example.com`;
let admin: TestUser;

type Invitation = { id: string; token: string; email: string | null; usedAt: string | null };

beforeAll(async () => {
  const page = await pageOf("/sign-in?new");
  expect(page).toContain("Nobody has an account here yet.");
  admin = await signUp(cluster.a.url, { email: newEmail(), password });
}, 60_000);

async function pageOf(path: string, server = cluster.a): Promise<string> {
  return (await fetch(server.url + path)).text();
}

function join(body: object, server = cluster.a) {
  return cluster.api<{ id: string; error?: { code: string } }>("POST", "/api/users", {
    body: { password, ...body },
    server,
  });
}

test("an administrator creates a link on one server, and one person signs up with it on the other", async () => {
  const made = await cluster.api<Invitation>("POST", "/api/invitations", { user: admin, body: {} });
  expect([made.status, made.body]).toEqual([
    201,
    expect.objectContaining({ token: expect.stringMatching(/^rvi_[\w-]{43}$/) }),
  ]);
  const { token, id } = made.body;
  expect((await join({ email: newEmail() })).status).toBe(403);
  const joined = await join({ email: newEmail(), invite: token }, cluster.b);
  expect(joined.status).toBe(201);
  expect((await join({ email: newEmail(), invite: token })).body.error?.code).toBe("forbidden");

  const list = await cluster.api<{ invitations: Invitation[] }>("GET", "/api/invitations", {
    user: admin,
    server: cluster.b,
  });
  expect(list.text).not.toContain(token);
  expect(list.body.invitations).toEqual([expect.objectContaining({ id, usedAt: expect.any(String) })]);
  expect((await cluster.api("DELETE", `/api/invitations/${id}`, { user: admin })).status).toBe(204);
  expect((await cluster.api("DELETE", `/api/invitations/${id}`, { user: admin })).status).toBe(404);
});

test("an invited guest keeps the account id and gets a new session", async () => {
  const { token } = (await cluster.api<Invitation>("POST", "/api/invitations", { user: admin, body: {} })).body;
  const browser = new Browser(cluster.a);
  await browser.signIn("guest");
  const before = browser.session;
  const guest = await (await browser.fetch("/api/auth/session")).json();
  const answer = await browser.fetch("/api/users", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email: newEmail(), password, invite: token }),
  });
  expect(answer.status).toBe(201);
  expect(browser.session).not.toBe(before);
  expect(guest).not.toBeNull();
  expect((await browser.fetch("/api/chats")).status).toBe(200);
});

test("the page says what is needed, and an invitation link opens the form", async () => {
  const page = await pageOf("/sign-in?new");
  expect(page).toContain("A new account needs an invitation");
  expect(page).not.toContain("Create account");
  const invited = await pageOf("/sign-in?invite=rvi_something");
  expect(invited).toContain("Create account");
  expect(invited).toContain('value="rvi_something"');
});

test("SIGN_UP=off: no new account, with or without an invitation", async () => {
  const server = await cluster.start({ env: { SIGN_UP: "off" } });
  const { token } = (await cluster.api<Invitation>("POST", "/api/invitations", { user: admin, body: {} })).body;
  expect((await join({ email: newEmail(), invite: token }, server)).status).toBe(403);
  expect(await pageOf("/sign-in?new", server)).toContain("This server does not accept new accounts.");
  await server.kill("SIGKILL");
}, 60_000);
