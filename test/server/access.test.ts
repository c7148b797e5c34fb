// Access control: docs/protocol.md §5. Driven by the routes on disk, so none is forgotten.
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { methodsOf, registry } from "@/lib/dialects/registry";
import { gated, header, messageBody, newKey, readAnswer, type TestUser, testCluster } from "./cluster";

const cluster = testCluster();
const root = path.join(import.meta.dirname, "../..");

type Ids = { chatId: string; turnId: string; documentId: string; tokenId: string };
type Call = {
  /** Another user's ids in it must look unknown. */
  path: (ids: Ids) => string;
  body?: () => unknown;
  /**
   * `user`: 401 without credentials. `anybody`: no credentials needed. `own`: next-auth, a dialect,
   * or credentials in the body. `public`: not user data.
   */
  for: "user" | "anybody" | "own" | "public";
  /** 403 with a token (ownership of sessions: sessions.test.ts). */
  sessionOnly?: boolean;
  /** 403 for non-administrators (invitations.test.ts). */
  adminOnly?: boolean;
  /** The path names something that has an owner. */
  owned?: boolean;
  /** Status for an unknown id. Default: 404. */
  unknown?: number;
};

const user = (at: string, body?: () => unknown): Call => ({ path: () => at, body, for: "user" });
const owned = (at: (ids: Ids) => string, body?: () => unknown): Call => ({ path: at, body, for: "user", owned: true });
const anybody = (at: string): Call => ({ path: () => at, for: "anybody" });
const session = (at: string): Call => ({ path: () => at, for: "user", sessionOnly: true });
const admin = (at: string, body?: () => unknown): Call => ({ path: () => at, body, for: "user", adminOnly: true });
const own = (at: string): Call => ({ path: () => at, body: () => ({}), for: "own" });

const table: Record<string, Call> = {
  "GET /openapi.json": { path: () => "/openapi.json", for: "public" },
  "GET /health": anybody("/health"),
  "GET /api/health": anybody("/api/health"),
  "GET /api/health/stream": { path: () => "/api/health/stream", for: "public" },
  "GET /api/ready": anybody("/api/ready"),
  "GET /api/auth/[...nextauth]": own("/api/auth/session"),
  "POST /api/auth/[...nextauth]": own("/api/auth/signout"),
  "POST /api/users": own("/api/users"),
  "POST /api/chat": user("/api/chat", () => messageBody("Hello")),
  "GET /api/chat/[chatId]/stream": { ...owned(({ chatId }) => `/api/chat/${chatId}/stream`), unknown: 204 },
  // Dialect `rag` (dialects.test.ts).
  "POST /api/chat/[chatId]/stream": own("/api/chat/1/stream"),
  "POST /api/chat/[chatId]/stop": owned(({ chatId }) => `/api/chat/${chatId}/stop`),
  "GET /api/turns/[turnId]": owned(({ turnId }) => `/api/turns/${turnId}`),
  "DELETE /api/turns/[turnId]": owned(({ turnId }) => `/api/turns/${turnId}`),
  "GET /api/turns/[turnId]/stream": owned(({ turnId }) => `/api/turns/${turnId}/stream?after=${turnId}.1`),
  "GET /api/chats": user("/api/chats"),
  "POST /api/chats": user("/api/chats", () => ({})),
  "GET /api/chats/[chatId]": owned(({ chatId }) => `/api/chats/${chatId}`),
  "PATCH /api/chats/[chatId]": owned(
    ({ chatId }) => `/api/chats/${chatId}`,
    () => ({ title: "Taken over" }),
  ),
  "DELETE /api/chats/[chatId]": owned(({ chatId }) => `/api/chats/${chatId}`),
  "GET /api/chats/[chatId]/messages": owned(({ chatId }) => `/api/chats/${chatId}/messages`),
  "GET /api/chats/[chatId]/events": owned(({ chatId }) => `/api/chats/${chatId}/events`),
  "GET /api/documents": user("/api/documents"),
  "POST /api/documents": user("/api/documents"),
  "GET /api/documents/[documentId]": owned(({ documentId }) => `/api/documents/${documentId}`),
  "DELETE /api/documents/[documentId]": owned(({ documentId }) => `/api/documents/${documentId}`),
  "GET /api/models": user("/api/models"),
  "GET /api/invitations": admin("/api/invitations"),
  "POST /api/invitations": admin("/api/invitations", () => ({})),
  "DELETE /api/invitations/[invitationId]": admin(`/api/invitations/${randomUUID()}`),
  "GET /api/tokens": user("/api/tokens"),
  "POST /api/tokens": user("/api/tokens", () => ({})),
  "GET /api/sessions": user("/api/sessions"),
  "DELETE /api/sessions": session("/api/sessions"),
  "DELETE /api/sessions/[sessionId]": session(`/api/sessions/${randomUUID()}`),
  "DELETE /api/account": session("/api/account"),
  "GET /api/account/export": user("/api/account/export"),
  "POST /api/account/password": user("/api/account/password", () => ({})),
  "DELETE /api/tokens/[tokenId]": owned(({ tokenId }) => `/api/tokens/${tokenId}`),
};

test("I20: the table lists exactly the routes on disk", () => {
  const routes = readdirSync(path.join(root, "app"), { recursive: true, encoding: "utf8" })
    .filter((file) => path.basename(file) === "route.ts")
    // The catch-all route of the dialects: the registry lists its paths, which
    // dialect-doors.test.ts covers.
    .filter((file) => file !== "[...path]/route.ts")
    .flatMap((file) => {
      const source = readFileSync(path.join(root, "app", file), "utf8");
      const address = `/${path.dirname(file)}`.replace(/\/\([^)]*\)/g, "");
      const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].filter((method) =>
        new RegExp(`^export .*\\b${method}\\b`, "m").test(source),
      );
      expect(methods, file).not.toEqual([]);
      return methods.map((method) => `${method} ${address}`);
    });
  expect(routes.sort()).toEqual(Object.keys(table).sort());
});

const calls = Object.entries(table).map(([name, call]) => [name, call] as const);
const guarded = calls.filter(([, call]) => call.for === "user");

function ask(name: string, { path: at, body }: Call, ids: Ids, headers: Record<string, string>) {
  const json = body
    ? { body: JSON.stringify(body()), headers: { "content-type": "application/json", ...headers } }
    : { headers };
  return fetch(cluster.a.url + at(ids), { method: name.split(" ")[0], redirect: "manual", ...json }).then(
    readAnswer<{ error: { code: string; requestId: string } }>,
  );
}

const unknownIds = (): Ids => ({
  chatId: randomUUID(),
  turnId: randomUUID(),
  documentId: randomUUID(),
  tokenId: randomUUID(),
});

async function refused(headers: Record<string, string>) {
  for (const [name, call] of guarded) {
    const answer = await ask(name, call, unknownIds(), headers);
    expect([name, answer.status, answer.body?.error.code]).toEqual([name, 401, "unauthorized"]);
    expect([name, answer.headers.get("www-authenticate")]).toEqual([name, "Bearer"]);
  }
}

test("I20: without credentials every protected route is 401, and no other", async () => {
  await refused({});
  for (const [name, call] of calls.filter(([, { for: whom }]) => whom === "anybody")) {
    const answer = await ask(name, call, unknownIds(), {});
    expect([name, answer.status, answer.body]).toEqual([name, 200, { status: "ok" }]);
  }
  for (const [name, call] of calls.filter(([, { for: whom }]) => whom === "public")) {
    expect([name, (await ask(name, call, unknownIds(), {})).status]).toEqual([name, 200]);
  }
});

test.each([
  ["an unknown token", "Bearer rvl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
  ["a malformed token", "Bearer garbage"],
  ["a JWT from elsewhere", `Bearer ${"eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2Q0JDLUhTNTEyIn0..AAAA.AAAA.AAAA"}`],
  ["an unsigned JWT", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."],
  ["nothing after Bearer", "Bearer "],
  ["another scheme", "Basic dXNlcjpwYXNzd29yZA=="],
  ["a header of 10 kB", `Bearer ${"x".repeat(10_000)}`],
])("with %s every protected route is 401", async (_name, authorization) => {
  await refused({ authorization });
});

test.each(calls.filter(([, call]) => call.sessionOnly))("I24: %s is refused with a token", async (name, call) => {
  const answer = await ask(name, call, unknownIds(), { authorization: `Bearer ${cluster.user.token}` });
  expect([answer.status, answer.body.error.code]).toEqual([403, "forbidden"]);
});

test.each(calls.filter(([, call]) => call.adminOnly))(
  "%s is refused to everyone but administrators",
  async (name, call) => {
    const answer = await ask(name, call, unknownIds(), { authorization: `Bearer ${cluster.user.token}` });
    expect([answer.status, answer.body.error.code]).toEqual([403, "forbidden"]);
  },
);

test("I20: every path of every dialect is 401 without credentials", async () => {
  const routes = registry.dialects.flatMap((dialect) => dialect.routes);
  expect(routes.length).toBeGreaterThan(8);
  for (const route of routes) {
    const { path: pattern } = route;
    const at = cluster.a.url + pattern.replace(/:\w+/g, randomUUID());
    for (const method of methodsOf(route)) {
      const answer = await fetch(at, { method, ...(method === "POST" && { body: "{}" }) });
      expect([method, pattern, answer.status]).toEqual([method, pattern, 401]);
      expect(answer.headers.get("www-authenticate")).toBe("Bearer");
    }
  }
});

describe("with another user's ids", () => {
  let owner: TestUser;
  let stranger: TestUser;
  let ids: Ids;
  const key = newKey();

  beforeAll(async () => {
    owner = await cluster.guest();
    stranger = await cluster.guest();
    cluster.provider.on(key, gated(key, ["Running."]));
    const live = await cluster.send(key, {}, { user: owner });
    await live.until(({ text }) => text === "Running.");
    const form = new FormData();
    form.set("file", new File(["Private words."], "private.txt"));
    const uploaded = await fetch(`${cluster.a.url}/api/documents`, {
      method: "POST",
      headers: { authorization: `Bearer ${owner.token}` },
      body: form,
    });
    const { body: token } = await cluster.api<{ id: string }>("POST", "/api/tokens", { user: owner, body: {} });
    ids = {
      chatId: header(live, "x-chat-id"),
      turnId: header(live, "x-turn-id"),
      documentId: ((await uploaded.json()) as { id: string }).id,
      tokenId: token.id,
    };
  });

  test.each(calls.filter(([, call]) => call.owned))("I20: %s answers as for unknown ids", async (name, call) => {
    const headers = { authorization: `Bearer ${stranger.token}` };
    const foreign = await ask(name, call, ids, headers);
    const unknown = await ask(name, call, unknownIds(), headers);
    expect(foreign.status).toBe(call.unknown ?? 404);
    expect(unknown.status).toBe(call.unknown ?? 404);
    const body = ({ text, body }: typeof foreign) => text.replace(body?.error.requestId ?? "", "");
    expect(body(foreign)).toBe(body(unknown));
    const names = ({ headers }: typeof foreign) => [...headers.keys()].sort();
    expect(names(foreign)).toEqual(names(unknown));
  });

  test("I20: nothing of the owner's changes", async () => {
    const [chat] = (
      await cluster.api<{ chats: { id: string; title: string; liveTurnId: string }[] }>("GET", "/api/chats", {
        user: owner,
      })
    ).body.chats;
    expect(chat).toMatchObject({ id: ids.chatId, title: key, liveTurnId: ids.turnId });
    expect((await cluster.api("GET", `/api/documents/${ids.documentId}`, { user: owner })).status).toBe(200);
    const tokens = (await cluster.api<{ tokens: { id: string }[] }>("GET", "/api/tokens", { user: owner })).body.tokens;
    expect(tokens.map(({ id }) => id)).toContain(ids.tokenId);
    for (const list of ["/api/chats", "/api/documents"])
      expect((await cluster.api("GET", list, { user: stranger })).text).toMatch(/^\{"(chats|documents)":\[\]/);
    const found = await cluster.api("GET", `/api/chats?q=${key}`, { user: stranger });
    expect(found.body).toMatchObject({ chats: [] });
  });

  test("I20: search never returns another user's documents, even by id", async () => {
    const stream = await cluster.send("Which private words?", { documentIds: [ids.documentId] }, { user: stranger });
    expect(await stream.ended).toBe("terminal");
    expect(stream.chunks.filter(({ type }) => type === "source-document")).toEqual([]);
  });
});
