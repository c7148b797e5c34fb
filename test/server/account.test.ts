// Export and account deletion: docs/protocol.md §5.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { signUp, type TestUser } from "@/test/server";
import { Browser } from "./browser";
import { gated, gateOf, header, newKey, testCluster } from "./cluster";

const cluster = testCluster();
const password = "correct horse battery";
const newEmail = () => `user-${randomUUID()}@example.org`;
const json = { "content-type": "application/json", "sec-fetch-site": "same-origin" };

type Line = { type: string; [field: string]: unknown };

async function upload(user: TestUser, text: string) {
  const form = new FormData();
  form.set("file", new File([text], "rivers.txt"));
  const headers = { authorization: `Bearer ${user.token}` };
  const answer = await fetch(`${cluster.a.url}/api/documents`, { method: "POST", headers, body: form });
  expect(answer.status).toBe(201);
}

/** Two chats with answers, a document of several passages, a task, a second token. */
async function withEverything(user: TestUser): Promise<void> {
  for (const word of ["one", "two"]) {
    const key = newKey();
    cluster.provider.on(key, [{ text: `Answer ${word}.` }, { finish: "stop" }]);
    const stream = await cluster.send(key, {}, { user });
    expect(await stream.ended).toBe("terminal");
  }
  await upload(user, "A private river. ".repeat(400));
  await cluster.api("POST", "/api/tokens", { user, body: { name: "Second" } });
  await cluster.sql`insert into tasks (user_id, number, title) values (${user.userId}, 1, 'A private task')`;
}

/** The user's row count per table, for tables that hold any. */
async function rowsOf(userId: string, turnIds: string[]): Promise<Record<string, number>> {
  const tables = await cluster.sql<{ name: string }[]>`
    select table_name as name from information_schema.columns
    where table_schema = 'public' and column_name = 'user_id' order by 1`;
  const counts: Record<string, number> = {};
  for (const { name } of tables) {
    const [row] = await cluster.sql`select count(*)::int as count from ${cluster.sql(name)} where user_id = ${userId}`;
    counts[name] = row?.count;
  }
  const [row] = await cluster.sql`
    select (select count(*)::int from users where id = ${userId}) as users,
      (select count(*)::int from turn_chunks where turn_id = any(${turnIds}::uuid[])) as turn_chunks`;
  return Object.fromEntries(Object.entries({ ...counts, ...row }).filter(([, count]) => count > 0));
}

const turnsOf = async (userId: string) =>
  (await cluster.sql<{ id: string }[]>`select id from turns where user_id = ${userId}`).map(({ id }) => id);

describe("deleting an account", () => {
  test("I24: requires the password, removes everything and stops running turns", async () => {
    const email = newEmail();
    const user = await signUp(cluster.a.url, { email, password, name: "Ann" });
    await withEverything(user);
    const browser = new Browser(cluster.a);
    await browser.signIn("password", { email, password });
    const key = newKey();
    cluster.provider.on(key, gated(key, ["Runs."]));
    const live = await cluster.send(key, {}, { user });
    await live.until(({ text }) => text === "Runs.");
    const turnIds = await turnsOf(user.userId);
    expect(turnIds).toContain(header(live, "x-turn-id"));
    const before = await rowsOf(user.userId, turnIds);
    expect(Object.keys(before)).toEqual(
      expect.arrayContaining([
        "chats",
        "documents",
        "messages",
        "passages",
        "sessions",
        "tasks",
        "tokens",
        "turn_chunks",
      ]),
    );

    for (const body of [{}, { password: "wrong horse battery" }, { confirm: true }]) {
      const refused = await cluster.api<{ error: { code: string } }>("DELETE", "/api/account", { user, body });
      expect([refused.status, refused.body.error.code]).toEqual([403, "forbidden"]);
    }
    expect(await rowsOf(user.userId, turnIds)).toEqual(before);

    expect((await cluster.api("DELETE", "/api/account", { user, body: { password } })).status).toBe(204);
    expect(await live.ended).not.toBe("closed");
    expect(await rowsOf(user.userId, turnIds)).toEqual({});
    expect((await cluster.api("GET", "/api/chats", { user })).status).toBe(401);
    expect((await browser.fetch("/api/chats")).status).toBe(401);
    const signedIn = await cluster.api("POST", "/api/tokens", { body: { email, password } });
    expect(signedIn.status).toBe(401);
    cluster.provider.open(gateOf(key, 0));
    const anew = await signUp(cluster.a.url, { email, password });
    expect((await cluster.api("GET", "/api/chats", { user: anew })).body).toMatchObject({ chats: [] });
  });

  test("I24: a guest must confirm in the signed-in browser; a guest's token is not enough", async () => {
    const browser = new Browser(cluster.a);
    await browser.signIn("guest");
    const made = await browser.fetch("/api/tokens", { method: "POST", headers: json, body: "{}" });
    const user = (await made.json()) as TestUser;
    await withEverything(user);
    const turnIds = await turnsOf(user.userId);
    const leave = (body: object) =>
      browser.fetch("/api/account", { method: "DELETE", headers: json, body: JSON.stringify(body) });
    expect((await cluster.api("DELETE", "/api/account", { user, body: { confirm: true } })).status).toBe(403);
    expect((await leave({})).status).toBe(400);
    expect((await leave({ confirm: true })).status).toBe(204);
    expect([browser.session, await rowsOf(user.userId, turnIds)]).toEqual([undefined, {}]);
  });
});

describe("the export", () => {
  test("contains everything of the user once, nothing of others and no secret, and ends properly", async () => {
    const email = newEmail();
    const user = await signUp(cluster.a.url, { email, password, name: "Ann" });
    const browser = new Browser(cluster.a);
    await browser.signIn("password", { email, password });
    await withEverything(user);
    await withEverything(await cluster.guest());
    const answer = await cluster.api("GET", "/api/account/export", { user });
    expect(answer.headers.get("content-type")).toBe("application/x-ndjson; charset=utf-8");
    expect(answer.headers.get("content-disposition")).toContain("attachment");
    const lines = answer.text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Line);
    const of = (type: string) => lines.filter((line) => line.type === type);
    expect(lines[0]).toMatchObject({ type: "account", id: user.userId, email, name: "Ann" });
    expect(lines.at(-1)).toEqual({ type: "end", lines: lines.length - 1 });
    const counts = Object.fromEntries(
      ["session", "token", "task", "chat", "message", "document"].map((type) => [type, of(type).length]),
    );
    expect(counts).toEqual({ session: 1, token: 2, task: 1, chat: 2, message: 4, document: 1 });
    expect(
      of("message")
        .map(({ chatId }) => chatId)
        .sort(),
    ).toEqual(
      of("chat")
        .flatMap(({ id }) => [id, id])
        .sort(),
    );
    expect(of("passage")).toHaveLength(of("document")[0]?.passageCount as number);
    const [{ hash } = { hash: "" }] =
      await cluster.sql`select password_hash as hash from users where id = ${user.userId}`;
    const hashes = await cluster.sql`select hash from tokens where user_id = ${user.userId}`;
    for (const secret of [user.token, hash, ...hashes.map((row) => row.hash), browser.session])
      expect(answer.text).not.toContain(secret);
  });
});
