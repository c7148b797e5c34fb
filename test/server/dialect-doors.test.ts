// Shared by all dialect routes: paths with and without a slash, errors by status, CORS,
// exactly-once, resuming.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { registry } from "@/lib/dialects/registry";
import { blocksOf, idOf, newKey, opening, testCluster } from "./cluster";

const cluster = testCluster({ env: { CORS_ORIGINS: "http://localhost:8080" } });

/** A valid body for each path that starts a turn. */
const bodies: Record<string, (text: string) => object> = {
  "/api/v1/chat/stream": (text) => ({ text }),
  "/api/v1/chat": (message) => ({ message, stream: true }),
  "/api/:userId/chat/stream": (message) => ({ message }),
  "/api/:userId/chat": (message) => ({ message }),
  "/chat/:sessionId/stream": (question) => ({ question }),
  "/sessions/:sessionId/messages/stream": (content) => ({ content, role: "user" }),
  "/v1/responses": (input) => ({ input, stream: true }),
  "/v1/completions": (prompt) => ({ prompt, stream: true }),
  "/v1/chat/completions": (content) => ({ messages: [{ role: "user", content }], stream: true }),
};
const routes = registry.dialects.flatMap((dialect) => dialect.routes.map((route) => ({ dialect, route })));
const turns = routes.flatMap(({ dialect, route }) => (route.kind === "turn" ? [{ dialect, route }] : []));
const named = <T extends { route: { path: string } }>(list: T[]) =>
  list.map((each) => [each.route.path, each] as const);

function pathOf(pattern: string, chatId: string = randomUUID()): string {
  return pattern.replace(":userId", cluster.user.userId).replace(":sessionId", chatId);
}
const bodyOf = (pattern: string, text: string) => bodies[pattern]?.(text) as object;

describe.each(named(turns))("POST %s", (pattern, { route }) => {
  test("I7 I3: works with and without a slash, never redirects; one key is one turn; resumes in its own format", async () => {
    const path = pathOf(pattern);
    const accept = "text/event-stream";
    const headers = { accept, "idempotency-key": randomUUID() };
    const body = bodyOf(pattern, newKey());
    const first = await cluster.api("POST", path, { body, headers });
    expect(first.status).toBe(200);
    const second = await cluster.api("POST", `${path}/`, { body, headers });
    expect(second.status).toBe(200);
    expect(second.headers.get("x-turn-id")).toBe(first.headers.get("x-turn-id"));
    expect(second.text).toBe(first.text);
    if (!route.streams) return;
    const blocks = blocksOf(first.text);
    const withId = blocks.filter((block) => idOf(block));
    for (const block of withId.slice(0, -1)) {
      const headers = { accept, "last-event-id": idOf(block) as string };
      const rest = await cluster.api("GET", `${path}/`, { headers });
      expect(rest.text).toBe(opening + blocks.slice(blocks.indexOf(block) + 1).join(""));
    }
    const last = idOf(withId.at(-1) as string);
    expect((await cluster.api("GET", `${path}?after=${last}`)).status).toBe(204);
    expect((await cluster.api("GET", `${path}?after=nonsense`)).status).toBe(400);
    expect((await cluster.api("GET", `${path}?after=${randomUUID()}.1`)).status).toBe(404);
    const other = await cluster.guest();
    const foreign = path.replace(cluster.user.userId, other.userId);
    expect((await cluster.api("GET", `${foreign}?after=${idOf(withId[0] as string)}`, { user: other })).status).toBe(
      404,
    );
  });

  test("returns 400, 401 and 413 in its own format, with CORS headers", async () => {
    const path = pathOf(pattern);
    const origin = { origin: "http://localhost:8080" };
    const anonymous = await fetch(cluster.a.url + path, {
      method: "POST",
      headers: { "content-type": "application/json", ...origin },
      body: JSON.stringify(bodyOf(pattern, "Hi")),
    });
    expect(anonymous.status).toBe(401);
    expect(anonymous.headers.get("www-authenticate")).toBe("Bearer");
    expect(anonymous.headers.get("access-control-allow-origin")).toBe("http://localhost:8080");
    expect(anonymous.headers.get("content-type")).toContain("application/json");
    for (const body of ["{", '"text"', "{}"]) {
      const answer = await cluster.api("POST", path, { body, headers: origin });
      expect(answer.status).toBe(400);
      expect(answer.headers.get("access-control-allow-origin")).toBe("http://localhost:8080");
    }
    const huge = await cluster.api("POST", path, { body: JSON.stringify({ x: "x".repeat(4_200_000) }) });
    expect(huge.status).toBe(413);
  });
});

test("agent: a parser that splits at blank lines reads every block, ids resume, Accept selects events", async () => {
  const path = `/api/${cluster.user.userId}/chat/stream`;
  const key = newKey();
  cluster.provider.on(key, [{ text: "One" }, { text: " two" }, { finish: "stop" }]);
  const { text } = await cluster.api("POST", path, { body: { message: key } });
  const blocks = text.split("\n\n").filter(Boolean);
  const data = blocks.filter((block) => block.includes("data: "));
  expect(data.every((block) => block.startsWith("data: ") && !block.includes("\n"))).toBe(true);
  const events = data.slice(0, -1).map((block) => JSON.parse(block.slice(6)));
  expect(events.map(({ type, content }) => content ?? type).join("|")).toMatch(/^start\|One.*two\|done$/);
  expect(data.at(-1)).toBe("data: [DONE]");
  const ids = blocks.flatMap((block) => /^id: (.*)$/.exec(block)?.[1] ?? []);
  expect(ids).toHaveLength(events.length);
  const rest = await cluster.api("GET", path, {
    headers: { accept: "text/event-stream", "last-event-id": ids.at(-2) as string },
  });
  expect(blocksOf(rest.text)).toEqual([`data: {"type":"done"}\nid: ${ids.at(-1)}\n\n`, "data: [DONE]\n\n"]);
});

test("answers preflight requests, with CORS headers", async () => {
  const ask = (path: string, origin: string) =>
    fetch(cluster.a.url + path, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-lang",
      },
    });
  const ofTurns = ["/api/turns/x", "/api/turns/x/stream", "/api/chat/x/stop"];
  for (const path of [...routes.map(({ route }) => pathOf(route.path)), ...ofTurns, "/health"]) {
    const allowed = await ask(path, "http://localhost:8080");
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-origin")).toBe("http://localhost:8080");
    expect(allowed.headers.get("vary")).toContain("Origin");
    const headers = allowed.headers.get("access-control-allow-headers")?.toLowerCase();
    for (const name of ["authorization", "content-type", "last-event-id", "idempotency-key", "x-stainless-lang"])
      expect(headers).toContain(name);
    const refused = await ask(path, "http://evil.example");
    expect(refused.headers.has("access-control-allow-origin")).toBe(false);
  }
  const answer = await cluster.api("GET", "/v1/models", { headers: { origin: "http://localhost:8080" } });
  expect(answer.headers.get("access-control-expose-headers")).toContain("X-Turn-Id");
  const health = await fetch(`${cluster.a.url}/health`, { headers: { origin: "http://localhost:8080" } });
  expect(health.headers.get("access-control-allow-origin")).toBe("http://localhost:8080");
  const native = await cluster.api("GET", "/api/models", { headers: { origin: "http://localhost:8080" } });
  expect(native.headers.has("access-control-allow-origin")).toBe(false);
});

test("a page of an allowed origin follows and stops its turn with a token, never with a cookie", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ text: "One" }, { gate: key }, { finish: "stop" }]);
  const live = await cluster.send(key);
  await live.until(({ text }) => text === "One");
  const path = `/api/turns/${live.headers["x-turn-id"]}`;
  const elsewhere = { origin: "http://localhost:8080", "sec-fetch-site": "cross-site" };
  const cookie = await fetch(cluster.a.url + path, {
    method: "DELETE",
    headers: { ...elsewhere, cookie: "authjs.session-token=x" },
  });
  expect(cookie.status).toBe(401);
  const state = await cluster.api<{ status: string }>("GET", path, { headers: elsewhere });
  expect([state.status, state.body.status]).toEqual([200, "running"]);
  expect(state.headers.get("access-control-allow-origin")).toBe("http://localhost:8080");
  const stopped = await cluster.api("DELETE", path, { headers: elsewhere });
  expect(stopped.status).toBe(200);
  expect(stopped.headers.get("access-control-allow-origin")).toBe("http://localhost:8080");
  expect(await live.ended).toBe("terminal");
});

test("`*` allows every origin, without credentials", async () => {
  const open = await cluster.start({ env: { CORS_ORIGINS: "*" } });
  const answer = await fetch(`${open.url}/health`, { headers: { origin: "http://anywhere.example" } });
  expect(answer.headers.get("access-control-allow-origin")).toBe("*");
  expect(answer.headers.has("access-control-allow-credentials")).toBe(false);
  expect(await open.stop()).toBe(0);
});

test("an unknown path is a JSON 404 for programs and a page for people; pages still work", async () => {
  for (const path of ["/nothing", "/api/v2/nothing", "/v2/embeddings", "/api/chat/x/y/z", "/chat/1/stream/x"]) {
    for (const method of ["GET", "POST", "PUT", "DELETE"]) {
      const { status, body } = await cluster.api(method, path);
      expect([path, status]).toEqual([path, 404]);
      expect(body).toMatchObject({ error: { code: "not_found" } });
    }
  }
  const page = await cluster.api("GET", "/nothing/at/all", { headers: { accept: "text/html,*/*" } });
  expect(page.status).toBe(404);
  expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(page.text).toContain("Page not found");
  const wrong = await cluster.api("DELETE", "/v1/models");
  expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, OPTIONS"]);
  expect(wrong.body).toEqual({ error: expect.objectContaining({ code: "method_not_allowed" }) });
  const chat = await fetch(`${cluster.a.url}/chat/1`, { redirect: "manual", headers: { accept: "text/html" } });
  expect(chat.headers.get("location")).toContain("/sign-in");
});

test("rate limits return 429 with Retry-After in each format", async () => {
  const strict = await cluster.start({ env: { RATE_LIMITS: "on" } });
  const user = await cluster.guest(strict);
  const options = { user, server: strict };
  for (let n = 0; n < 60; n++)
    expect(
      (await cluster.api("POST", "/v1/chat/completions", { body: bodyOf("/v1/chat/completions", "Hi"), ...options }))
        .status,
    ).toBe(200);
  for (const { route } of turns) {
    const path = pathOf(route.path).replace(cluster.user.userId, user.userId);
    const answer = await cluster.api("POST", path, { body: bodyOf(route.path, "Hi"), ...options });
    expect([route.path, answer.status]).toEqual([route.path, 429]);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  }
  await strict.kill("SIGKILL");
});
