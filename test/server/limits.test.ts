// Rate limits on the production server: every route has one, forged headers do not evade them, two
// servers share them, and free requests are not counted (docs/operations.md, Limits).
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { methodsOf, registry } from "@/lib/dialects/registry";
import { listRouteNames } from "@/lib/route-costs";
import { newGuest, signUp } from "@/test/server";
import { gated, header, messageBody, newKey, readAnswer, type TestServer, type TestUser, testCluster } from "./cluster";

const cluster = testCluster({ servers: 2, env: { RATE_LIMITS: "on" } });
const app = path.join(import.meta.dirname, "../../app");
const password = "a long enough password";
const newEmail = () => `${randomUUID()}@example.com`;

type Refusal = { error: { code: string; message: string } };

function post(server: TestServer, at: string, body: unknown, headers: Record<string, string> = {}) {
  return fetch(server.url + at, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  }).then(readAnswer<Refusal>);
}

function guess(server: TestServer, email: string, headers?: Record<string, string>) {
  return post(server, "/api/tokens", { email, password: "wrong horse battery" }, headers);
}

test("the limits table lists exactly the routes on disk", () => {
  const routes = readdirSync(app, { recursive: true, encoding: "utf8" })
    .filter((file) => path.basename(file) === "route.ts" && file !== "[...path]/route.ts")
    .flatMap((file) => {
      const source = readFileSync(path.join(app, file), "utf8");
      return ["GET", "POST", "PUT", "PATCH", "DELETE"]
        .filter((method) => new RegExp(`^export .*\\b${method}\\b`, "m").test(source))
        .map((method) => `${method} /${path.dirname(file)}`.replace(/\/\([^)]*\)/g, ""));
    });
  expect(listRouteNames().sort()).toEqual(routes.sort());
});

describe("with one request allowed per limit", () => {
  let server: TestServer;
  let user: TestUser;
  let calls = 0;

  beforeAll(async () => {
    user = await newGuest(cluster.a.url);
    server = await cluster.start({ env: { RATE_LIMITS: "0.0001", TRUST_PROXY: "1" } });
  }, 60_000);
  afterAll(() => server?.kill("SIGKILL"));

  /** From a separate client address, so that only this route's use counts there. */
  function callFrom(address: string, name: string) {
    const [method = "", at = ""] = name.split(" ");
    return fetch(server.url + at.replace(/\[(?:\.\.\.)?\w+\]/g, "session"), {
      method,
      redirect: "manual",
      headers: { "x-forwarded-for": address, "content-type": "application/json" },
      ...(method !== "GET" && method !== "DELETE" && { body: "{}" }),
    });
  }

  async function expectOneUse(name: string) {
    calls += 1;
    const address = `198.51.100.${calls}`;
    const first = await callFrom(address, name);
    await first.body?.cancel();
    expect([name, first.status]).not.toEqual([name, 429]);
    const second = await callFrom(address, name);
    expect([name, second.status]).toEqual([name, 429]);
    expect(Number(second.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await second.text()).toContain("Too many requests. Nothing was changed; try again in");
  }

  const uncounted = ["GET /health", "GET /api/health", "GET /api/ready"];

  test.each(listRouteNames().filter((name) => !uncounted.includes(name)))("%s is limited by address", expectOneUse);

  test.each(
    registry.dialects
      .flatMap((dialect) => dialect.routes)
      .map((route) => `${methodsOf(route).at(-1)} ${route.path.replace(/:\w+/g, "12345678")}`),
  )("%s is limited by address", expectOneUse);

  test.each(["GET /", "GET /sign-in", "GET /settings", "GET /reference"])(
    "the page %s is limited by address",
    expectOneUse,
  );

  test.each(uncounted)("%s has room for a load balancer's checks", async (name) => {
    for (let n = 0; n < 20; n++) expect((await callFrom("198.51.100.250", name)).status).toBe(200);
  });

  test.each([
    ["a list", "/api/chats"],
    ["a search", "/api/chats?q=rivulet"],
    ["one row", "/api/models"],
    ["a stream", "/api/chat/no-such-chat/stream"],
  ])("%s is limited by user, from any address", async (_, at) => {
    const ask = (n: number) =>
      fetch(server.url + at, {
        headers: { authorization: `Bearer ${user.token}`, "x-forwarded-for": `203.0.113.${n}` },
      });
    calls += 2;
    expect((await ask(calls)).status).not.toBe(429);
    const second = await ask(calls + 1);
    expect(second.status).toBe(429);
    expect(Number(second.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  test("all addresses of one IPv6 network count as one caller", async () => {
    expect((await callFrom("2001:db8:1:1::1", "GET /openapi.json")).status).toBe(200);
    expect((await callFrom("2001:db8:1:1:ffff:ffff:ffff:ffff", "GET /openapi.json")).status).toBe(429);
    expect((await callFrom("2001:db8:1:2::1", "GET /openapi.json")).status).toBe(200);
  });

  test("behind one trusted proxy, client-supplied addresses are ignored", async () => {
    expect((await callFrom("6.6.6.6, 192.0.2.1", "GET /openapi.json")).status).toBe(200);
    expect((await callFrom("7.7.7.7, 192.0.2.1", "GET /openapi.json")).status).toBe(429);
  });
});

describe("shared by two servers", () => {
  test("password guesses for one email are refused on both after ten, whatever X-Forwarded-For says", async () => {
    const email = newEmail();
    for (let n = 0; n < 10; n++) {
      const answer = await guess(n % 2 ? cluster.a : cluster.b, email, { "x-forwarded-for": `203.0.113.${n}` });
      expect(answer.status).toBe(401);
    }
    for (const server of [cluster.a, cluster.b]) {
      const refused = await guess(server, email, { "x-forwarded-for": "192.0.2.77", "x-real-ip": "192.0.2.77" });
      expect([refused.status, refused.body.error.code]).toEqual([429, "rate_limited"]);
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    }
  });

  test("turns per user", async () => {
    const user = await cluster.guest();
    let started = 0;
    for (let n = 0; n < 75; n++) {
      const server = n % 2 ? cluster.a : cluster.b;
      const answer = await cluster.api("POST", "/v1/chat/completions", {
        body: { model: "scripted", messages: [{ role: "user", content: "Hi" }] },
        user,
        server,
      });
      expect([200, 429]).toContain(answer.status);
      if (answer.status === 200) started += 1;
    }
    expect(started).toBeLessThanOrEqual(60);
    // A server cannot grant what the other has reserved: at most a tenth each.
    expect(started).toBeGreaterThanOrEqual(48);
  });
});

describe("requests that are not counted", () => {
  test("a send that meets a running turn, and a repeated send", async () => {
    const user = await signUp(cluster.a.url, { email: newEmail(), password });
    const key = newKey();
    cluster.provider.on(key, gated(key, ["Waits."]));
    const ids = { chatId: randomUUID(), messageId: randomUUID() };
    const stream = await cluster.send(key, ids, { user });
    await stream.until(({ text }) => text === "Waits.");
    const headers = { authorization: `Bearer ${user.token}` };
    for (let n = 0; n < 80; n++) {
      const competing = await post(cluster.a, "/api/chat", messageBody("More", { chatId: ids.chatId }), headers);
      expect([competing.status, competing.body.error.code]).toEqual([409, "turn_running"]);
      const equal = await cluster.send(key, ids, { user });
      expect(header(equal, "x-turn-id")).toBe(header(stream, "x-turn-id"));
      equal.close();
    }
    stream.close();
    const other = newKey();
    cluster.provider.on(other, [{ text: "Answered." }, { finish: "stop" }]);
    expect((await cluster.send(other, {}, { user })).status).toBe(200);
  });

  test("signing in with the correct password", async () => {
    const account = { email: newEmail(), password };
    await signUp(cluster.a.url, account);
    for (let n = 0; n < 15; n++) expect((await post(cluster.a, "/api/tokens", account)).status).toBe(201);
  });
});
