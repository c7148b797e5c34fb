// The API description against the real server: it lists exactly what exists, and every operation,
// both successful and refused, returns a status, content type, headers and body that it describes.
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, expect, test } from "vitest";
import { eventName } from "@/app/openapi/shared-responses";
import type { AnswerRoute, Route } from "@/lib/dialects/dialect";
import { methodsOf, registry } from "@/lib/dialects/registry";
import {
  type Description,
  expectValid,
  type Listed,
  operationsOf,
  validatorOf,
  valuesOf,
} from "@/test/api-description";
import { newKey, testCluster } from "./cluster";

const cluster = testCluster();
let description: Description;
let operations: Listed[];
let validator: ReturnType<typeof validatorOf>;

beforeAll(async () => {
  const answer = await fetch(`${cluster.a.url}/openapi.json`);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("access-control-allow-origin")).toBe("*");
  description = (await answer.json()) as Description;
  expect(description).toMatchObject({ openapi: "3.1.1", servers: [{ url: cluster.a.url }] });
  operations = operationsOf(description);
  validator = validatorOf(description);
});

const app = path.join(import.meta.dirname, "../../app");

/** The exports of the route files, as the description names them. */
function nativeOperations(): string[] {
  return readdirSync(app, { recursive: true, encoding: "utf8" })
    .filter((file) => path.basename(file) === "route.ts")
    .flatMap((file) => {
      const route = `/${path.dirname(file).replace(/\[(\w+)\]/g, "{$1}")}`;
      const source = readFileSync(path.join(app, file), "utf8");
      const methods = source.matchAll(/^export (?:async )?(?:const|function) (?:\{ )?((?:[A-Z]+(?:, )?)+)\b/gm);
      return Array.from(methods, ([, names]) => (names as string).split(", "))
        .flat()
        .filter((method) => method !== "OPTIONS")
        .map((method) => `${method} ${route}`);
    });
}

function dialectOperations(): string[] {
  return registry.dialects.flatMap(({ routes }) =>
    routes.flatMap((route) => {
      const documentedPath = route.path.replace(/:(\w+)\*?/g, "{$1}");
      return methodsOf(route).map((method) => `${method} ${documentedPath}`);
    }),
  );
}

test("describes exactly the routes on disk and those of every dialect", () => {
  const isAuth = (name: string) => name.includes(" /api/auth/");
  const files = nativeOperations();
  // next-auth's routes are one file; so is the dialects' catch-all, whose paths the registry lists.
  expect(files.filter(isAuth)).toEqual(["GET /api/auth/[...nextauth]", "POST /api/auth/[...nextauth]"]);
  const names = operations.map(({ name }) => name);
  expect(names.filter((name) => !isAuth(name)).sort()).toEqual(
    [...files.filter((name) => !isAuth(name)), ...dialectOperations()].sort(),
  );
});

type Call = {
  path?: Record<string, string>;
  query?: string;
  body?: unknown;
  form?: FormData | URLSearchParams;
  headers?: Record<string, string>;
  /** Null for an anonymous request. */
  token?: string | null;
  /** Leaves at the first event, for an endless stream. */
  leaves?: boolean;
};

/** Makes the request and validates the response against the description. */
async function call(id: string, status: number, { path: values = {}, query = "", ...request }: Call = {}) {
  const found = operations.find(({ operation }) => operation.operationId === id);
  if (!found) throw new Error(`no operation ${id}`);
  const { method, operation } = found;
  const address = found.path.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? `no ${name}`);
  const token = request.token === undefined ? cluster.user.token : request.token;
  const answer = await fetch(`${cluster.a.url}${address}${query}`, {
    method,
    redirect: "manual",
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(request.body !== undefined && { "content-type": "application/json" }),
      ...request.headers,
    },
    body: request.form ?? (request.body === undefined ? undefined : JSON.stringify(request.body)),
  });
  const text = request.leaves ? await firstEvent(answer) : await answer.text();
  expect([id, answer.status, answer.status === status ? "" : text]).toEqual([id, status, ""]);
  called.add(`${id} ${status < 400 ? "answers" : "refuses"}`);
  const described = operation.responses[status];
  if (!described) throw new Error(`${id}: ${status} is not in the description`);
  for (const [name, { required, schema }] of Object.entries(described.headers ?? {})) {
    const value = answer.headers.get(name);
    expect(value !== null || !required, `${id} ${status}: ${name}`).toBe(true);
    if (value !== null) expectValid(validator(schema), value, `${id} ${status}: ${name}`);
  }
  const type = answer.headers.get("content-type")?.split(";")[0] ?? "";
  const media = described.content?.[type];
  expect([id, status, type, media !== undefined]).toEqual([id, status, type, type !== "" && status !== 302]);
  if (!media) return { text, headers: answer.headers, value: undefined };
  const streamed = media["x-event-data"];
  const value: unknown = type === "application/json" ? JSON.parse(text) : text;
  expectValid(validator(media.schema), value, `${id} ${status}`);
  if (streamed) {
    const validate = validator(streamed);
    const events = valuesOf(text);
    expect(events.length).toBeGreaterThan(0);
    for (const event of events) expectValid(validate, event, `${id} ${status}`);
  }
  return { text, headers: answer.headers, value: value as Record<string, string> };
}

async function firstEvent(answer: Response): Promise<string> {
  let text = "";
  for await (const piece of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += piece;
    if (/^data: .*\n\n/m.test(text)) break;
  }
  return text;
}

const called = new Set<string>();
const nobody = { token: null };
const unknown = randomUUID();

function upload(name: string): Call {
  const form = new FormData();
  form.append("file", new File(["# Rivers\n\nA rivulet is a very small river."], name));
  return { form };
}

test("chats", async () => {
  const { value: chat } = await call("createChat", 201, { body: { title: "Rivers" } });
  const here = { path: { chatId: chat?.id as string } };
  const nowhere = { path: { chatId: unknown } };
  await call("createChat", 409, { body: { id: chat?.id } });
  await call("createChat", 400, { body: { title: "" } });
  await call("listChats", 200, { query: "?q=Rivers&limit=1" });
  await call("listChats", 400, { query: "?limit=0" });
  await call("getChat", 200, here);
  await call("getChat", 404, nowhere);
  await call("changeChat", 200, { ...here, body: { pinned: true } });
  await call("changeChat", 400, { ...here, body: { pinned: "yes" } });
  await call("changeChat", 404, { ...nowhere, body: {} });
  await call("listMessages", 200, here);
  await call("listMessages", 400, { ...here, query: "?cursor=unknown-message" });
  await call("listMessages", 404, nowhere);
  await call("stopChat", 200, here);
  await call("stopChat", 404, nowhere);
  await call("followChat", 404, { ...nowhere, query: `?after=${unknown}.1` });
  await call("watchChat", 404, nowhere);
  await call("followChat", 204, here);
  const number = { path: { chatId: "901" }, body: { question: "What is a rivulet?" } };
  await call("askNumberedChat", 200, number);
  await call("askNumberedChat", 400, { ...number, body: {} });
  await call("deleteChat", 404, nowhere);
  await call("deleteChat", 204, here);
});

test("turns", async () => {
  const chatId = randomUUID();
  const message = { id: randomUUID(), role: "user", parts: [{ type: "text", text: newKey() }] };
  const { headers, text } = await call("sendMessage", 200, { body: { id: chatId, message } });
  await call("sendMessage", 400, { body: {} });
  await call("sendMessage", 401, { body: {}, ...nobody });
  const turnId = headers.get("x-turn-id") as string;
  const first = /^id: (.*)$/m.exec(text)?.[1] as string;
  await call("listMessages", 200, { path: { chatId }, query: "?limit=1" });
  await call("watchChat", 200, { path: { chatId }, leaves: true });
  await call("followChat", 200, { path: { chatId }, headers: { "last-event-id": first } });
  await call("followChat", 400, { path: { chatId }, query: "?after=x" });
  for (const dialect of registry.dialects) {
    const url = `${cluster.a.url}/api/turns/${turnId}/stream?dialect=${dialect.name}`;
    const answer = await fetch(url, { headers: { authorization: `Bearer ${cluster.user.token}` } });
    expect(answer.headers.get("content-type")).toContain("text/event-stream");
    const events = valuesOf(await answer.text());
    expect(events.length).toBeGreaterThan(0);
    const validate = validator({ $ref: `#/components/schemas/${eventName(dialect)}` });
    for (const event of events) expectValid(validate, event, dialect.name);
  }
  await call("followTurn", 200, { path: { turnId }, query: `?after=${first}` });
  await call("followTurn", 400, { path: { turnId }, query: "?dialect=none" });
  await call("getTurn", 200, { path: { turnId } });
  await call("getTurn", 404, { path: { turnId: unknown } });
  await call("stopTurn", 200, { path: { turnId } });
  await call("stopTurn", 404, { path: { turnId: unknown } });

  const key = newKey();
  cluster.provider.on(key, [{ answer: 401, body: { error: { message: "no" } } }]);
  const failed = await call("sendMessage", 200, {
    body: { message: { id: randomUUID(), role: "user", parts: [{ type: "text", text: key }] } },
  });
  await call("getTurn", 200, { path: { turnId: failed.headers.get("x-turn-id") as string } });
});

test("documents, models, accounts, server", async () => {
  const { value: document } = await call("uploadDocument", 201, upload("rivers.md"));
  await call("uploadDocument", 400, upload("rivers.exe"));
  await call("listDocuments", 200, { query: "?limit=1" });
  await call("listDocuments", 400, { query: "?limit=0" });
  await call("listDocuments", 401, nobody);
  const here = { path: { documentId: document?.id as string } };
  await call("getDocument", 200, here);
  await call("getDocument", 404, { path: { documentId: unknown } });
  await call("deleteDocument", 404, { path: { documentId: unknown } });
  await call("deleteDocument", 204, here);
  await call("listModels", 200);
  await call("listModels", 401, nobody);

  const account = { email: `${randomUUID()}@example.com`, password: "correct horse battery staple" };
  await call("signUp", 201, { body: account, ...nobody });
  await call("signUp", 409, { body: account, ...nobody });
  await call("createToken", 201, { body: account, ...nobody });
  await call("createToken", 401, { body: { ...account, password: "something else" }, ...nobody });
  // This server's first account is its administrator.
  const { value: administrator } = await call("createToken", 201, { body: account, ...nobody });
  const asAdmin = { token: administrator?.token as string };
  await call("createInvitation", 403, { body: {} });
  await call("createInvitation", 400, { body: { expiresInDays: 0 }, ...asAdmin });
  const { value: invitation } = await call("createInvitation", 201, { body: { email: "b@example.com" }, ...asAdmin });
  await call("listInvitations", 200, asAdmin);
  await call("listInvitations", 403);
  const invited = { path: { invitationId: invitation?.id as string }, ...asAdmin };
  await call("revokeInvitation", 204, invited);
  await call("revokeInvitation", 404, invited);
  const { value: token } = await call("createToken", 201, { body: { expiresAt: "2099-01-01T00:00:00Z" } });
  await call("listTokens", 200, { query: "?limit=1" });
  await call("listTokens", 400, { query: "?cursor=x" });
  await call("listTokens", 401, nobody);
  await call("revokeToken", 204, { path: { tokenId: token?.id as string } });
  await call("revokeToken", 404, { path: { tokenId: unknown } });

  const csrf = await call("getCsrfToken", 200, nobody);
  const cookie = csrf.headers
    .getSetCookie()
    .map((each) => each.split(";")[0])
    .join("; ");
  const form = new URLSearchParams({ ...account, csrfToken: csrf.value?.csrfToken as string });
  const signedIn = await call("signInWithPassword", 302, { form, headers: { cookie }, ...nobody });
  const session = signedIn.headers
    .getSetCookie()
    .map((each) => each.split(";")[0])
    .join("; ");
  expect(session).toContain("authjs.session-token=");
  expect((await call("getSession", 200, { headers: { cookie: session }, ...nobody })).value).not.toBeNull();
  expect((await call("getSession", 200, nobody)).value).toBeNull();

  const withSession = { token: null, headers: { cookie: session } };
  const { value: listed } = await call("listSessions", 200, withSession);
  await call("listSessions", 401, nobody);
  const { sessions } = listed as unknown as { sessions: { id: string }[] };
  const sessionId = sessions[0]?.id as string;
  await call("endSession", 404, { ...withSession, path: { sessionId: unknown } });
  await call("endSession", 204, { ...withSession, path: { sessionId } });
  const changed = { currentPassword: account.password, newPassword: "another horse and another staple" };
  const { value: again } = await call("createToken", 201, { body: account, ...nobody });
  const bearer = { token: again?.token as string };
  await call("changePassword", 403, { ...bearer, body: { ...changed, currentPassword: "something else" } });
  await call("changePassword", 204, { ...bearer, body: changed });
  await call("changePassword", 401, { ...bearer, body: changed });
  await call("signOutEverywhere", 403);
  const last = { ...account, password: changed.newPassword };
  const lastForm = new URLSearchParams({ ...last, csrfToken: csrf.value?.csrfToken as string });
  const signedInAgain = await call("signInWithPassword", 302, { form: lastForm, headers: { cookie }, ...nobody });
  const newSession = signedInAgain.headers.getSetCookie().map((each) => each.split(";")[0]);
  await call("signOutEverywhere", 204, { token: null, headers: { cookie: newSession.join("; ") } });
  const { value: lastToken } = await call("createToken", 201, { body: last, ...nobody });
  const owner = { token: lastToken?.token as string };
  await call("exportAccount", 200, owner);
  await call("exportAccount", 401, nobody);
  await call("deleteAccount", 403, { ...owner, body: { password: "something else" } });
  await call("deleteAccount", 204, { ...owner, body: { password: last.password } });
  await call("getHealth", 200, nobody);
  await call("getHealthWithCors", 200, nobody);
  await call("testStream", 200, nobody);
  await call("getReadiness", 200, nobody);
  await call("getDescription", 200, nobody);
});

test("dialects", async () => {
  const shared = { userId: cluster.user.userId };
  // So that answers have sources.
  await call("uploadDocument", 201, upload("rivers.md"));
  for (const dialect of registry.dialects) {
    for (const route of dialect.routes) {
      const id = (verb: string) => dialect.name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase()) + verb;
      const sessionId = randomUUID();
      const here = { path: { ...shared, sessionId } };
      if (isAnswerRoute(route)) {
        await callAnswerRoute(route, id);
        continue;
      }
      if (route.kind === "model") {
        await call(id("FindModel"), 200, { path: { [route.parameter]: "scripted" } });
        await call(id("FindModel"), 404, { path: { [route.parameter]: "unknown" } });
        continue;
      }
      if (route.kind === "embeddings") {
        await call(id("Embed"), 200, { body: { ...route.example, model: "ollama:scripted" } });
        await call(id("Embed"), 400, { body: {} });
        await call(id("Embed"), 404, { body: route.example });
        continue;
      }
      if (route.kind !== "turn") {
        const verb = id(route.kind === "messages" ? "ListMessages" : "ListModels");
        if (route.chat) await call("createChat", 201, { body: { id: sessionId } });
        await call(verb, 200, here);
        await call(verb, 401, { ...here, ...nobody });
        continue;
      }
      const { label = "" } = route;
      const verb = id(`${route.streams ? "Stream" : "Answer"}${label}`);
      const asked = { ...here, body: route.example };
      const { headers, text } = await call(verb, 200, { ...asked, headers: { accept: "text/event-stream" } });
      await call(verb, 400, { ...here, body: {} });
      await call(verb, 401, { ...asked, ...nobody });
      if (route.owner) await call(verb, 403, { ...asked, path: { userId: unknown } });
      if (route.plainText) await call(verb, 200, { ...asked, headers: { accept: "text/plain" } });
      if (route.fullResponse) {
        await call(verb, 200, { ...asked, body: { ...route.example, stream: false } });
        const key = newKey();
        cluster.provider.on(key, [{ answer: 401, body: { error: { message: "no" } } }]);
        const body = JSON.parse(
          JSON.stringify({ ...route.example, stream: false }).replace(questionOf(route.example), key),
        );
        await call(verb, dialect.turnFailure ? 401 : 502, { ...here, body });
      }
      if (!route.streams) continue;
      const first = /^id: (.*)$/m.exec(text)?.[1] as string;
      const chatId = headers.get("x-chat-id") as string;
      const there = { path: { ...shared, sessionId: chatId } };
      await call(id(`Follow${label}`), 200, { ...there, headers: { "last-event-id": first } });
      await call(id(`Follow${label}`), 400, { ...there, query: "?after=x" });
      await call(id(`Follow${label}`), 404, { ...there, query: `?after=${unknown}.1` });
    }
  }
});

const isAnswerRoute = (route: Route): route is AnswerRoute =>
  route.kind === "answer" || route.kind === "stop" || route.kind === "input";

/** For the dialect that has such routes. */
async function callAnswerRoute({ kind, turn }: AnswerRoute, id: (verb: string) => string): Promise<void> {
  const { body } = await cluster.api<{ id: string }>("POST", "/v1/responses", {
    body: { input: "Hi", model: "local" },
  });
  const here = { path: { [turn]: body.id } };
  const nowhere = { path: { [turn]: `resp_${unknown}` } };
  const verb = id({ answer: "Read", stop: "Stop", input: "ListInput" }[kind]);
  await call(verb, 200, here);
  await call(verb, 404, nowhere);
  await call(verb, 401, { ...here, ...nobody });
  if (kind === "input") await call(verb, 400, { ...here, query: "?limit=0" });
  if (kind !== "answer") return;
  await call(verb, 200, { ...here, query: "?stream=true&starting_after=1" });
  await call(verb, 400, { ...here, query: "?starting_after=x" });
  await call(id("Delete"), 200, here);
  await call(id("Delete"), 404, here);
}

/** The longest text in a body is its question. */
function questionOf(body: unknown): string {
  const texts: string[] = [];
  JSON.stringify(body, (_, value) => {
    if (typeof value === "string") texts.push(value);
    return value;
  });
  return texts.reduce((one, other) => (other.length > one.length ? other : one), "");
}

/**
 * They never refuse, or only while the database is unreachable or under a crowd
 * (health-stream.test.ts).
 */
const neverRefuse = [
  "getHealth",
  "getHealthWithCors",
  "testStream",
  "getReadiness",
  "getDescription",
  "getCsrfToken",
  "getSession",
];

test("every operation was called, and refused where it can be", () => {
  const expected = operations.flatMap(({ operation: { operationId: id } }) =>
    neverRefuse.includes(id) || id === "signInWithPassword" ? [`${id} answers`] : [`${id} answers`, `${id} refuses`],
  );
  expect([...called].sort()).toEqual(expected.sort());
});
