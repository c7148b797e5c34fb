// Security headers (lib/response-headers.ts) on every page, route and kind of file, and the
// requests that the gate refuses before a page or route sees them: hosts, methods, cross-site
// requests.
import { readdirSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { registry } from "@/lib/dialects/registry";
import { securityHeaders } from "@/lib/response-headers";
import { Browser } from "./browser";
import { readAnswer, type TestServer, testCluster } from "./cluster";
import { rawBytes, rawRequest } from "./raw-request";

const origin = "http://localhost:8080";
const cluster = testCluster({ env: { CORS_ORIGINS: origin } });
const app = path.join(import.meta.dirname, "../../app");

/** Paths of the pages and routes on disk, so that new ones are covered automatically. */
function addresses(file: "page.tsx" | "route.ts"): string[] {
  return readdirSync(app, { recursive: true, encoding: "utf8" })
    .filter((name) => path.basename(name) === file)
    .map((name) => `/${path.dirname(name)}`.replace(/\/\([^)]*\)/g, "").replace(/\[(?:\.\.\.)?\w+\]/g, "some-thing"))
    .map((address) => (address === "/." ? "/" : address));
}

const pages = [...addresses("page.tsx"), "/chat/a.b", "/chat/some.png", "/sign-in?new"];
const routes = addresses("route.ts")
  .concat(
    registry.dialects.flatMap((dialect) => dialect.routes.map(({ path: at }) => at.replace(/:\w+/g, "some-thing"))),
  )
  .concat(["signin", "signout", "error", "csrf", "session", "providers"].map((name) => `/api/auth/${name}`))
  .concat("/nothing/at/all", "/nothing.png", "/api/nothing");
/** No page is here, but one could be: proxy.ts applies the policy of pages. */
const likePages = ["/some-thing", "/nothing/at/all", "/nothing.png"];
const staticFiles = ["/sse-test.html", "/icon.svg"];
/** For pages; everything else has the policy of the table. */
const ownPolicy = /^default-src 'self'; script-src 'self' 'nonce-/;

function lowerCase(headers: Record<string, string>) {
  return Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
}

/**
 * As in the table, except what a page (its policy) and a static file or the API description
 * (caching) set themselves.
 */
function expectHeaders(what: string, answer: Response, { kind }: { kind: "page" | "route" | "static" }) {
  const shared = answer.headers.has("access-control-allow-origin");
  const at = new URL(answer.url).pathname;
  for (const [name, value] of lowerCase(securityHeaders({ path: at, https: false, shared }))) {
    const own = kind === "page" ? "content-security-policy" : "";
    if (name === own || name === "cache-control") continue;
    expect([what, name, answer.headers.get(name)]).toEqual([what, name, value]);
  }
  expect(answer.headers.has("strict-transport-security")).toBe(false);
  expect(answer.headers.has("access-control-allow-credentials")).toBe(false);
  const policy = answer.headers.get("content-security-policy") ?? "";
  expect([what, ownPolicy.test(policy)]).toEqual([what, kind === "page"]);
  if (kind !== "static")
    expect([what, answer.headers.get("cache-control")]).toEqual([what, expect.stringMatching(/no-store/)]);
}

describe("every response carries the security headers", () => {
  test.each(pages)("I21: page %s, signed in or not", async (at) => {
    const browser = new Browser(cluster.a);
    const html = { accept: "text/html" };
    expectHeaders(at, await browser.fetch(at, { headers: html }), { kind: "page" });
    await browser.signIn("guest");
    const answer = await browser.fetch(at, { headers: { ...html, cookie: browser.cookie } });
    expectHeaders(at, answer, { kind: "page" });
    const scripts = Array.from((await answer.text()).matchAll(/<script[^>]*>/g), ([tag]) => tag);
    const nonce = /'nonce-([^']+)'/.exec(answer.headers.get("content-security-policy") ?? "")?.[1];
    expect(scripts.filter((tag) => !tag.includes(`nonce="${nonce}"`))).toEqual([]);
  });

  test.each(routes)("I21: route %s, with every method and kind of caller", async (at) => {
    const bearer = { authorization: `Bearer ${cluster.user.token}` };
    const callers: Record<string, string>[] = [{}, bearer, { ...bearer, origin }, { accept: "text/html" }];
    for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
      for (const headers of callers) {
        const what = `${method} ${at} ${Object.keys(headers)}`;
        const answer = await fetch(cluster.a.url + at, { method, headers, redirect: "manual" });
        const kind = likePages.includes(at) ? "page" : "route";
        // Public, and the same for everybody.
        expectHeaders(what, answer, { kind: at === "/openapi.json" ? "static" : kind });
        await answer.body?.cancel();
      }
  });

  test.each(staticFiles)("I21: static file %s", async (at) => {
    const answer = await fetch(cluster.a.url + at);
    expect(answer.status).toBe(200);
    expectHeaders(at, answer, { kind: "static" });
  });

  test("I21: build files, which are cached forever", async () => {
    const html = await (await fetch(`${cluster.a.url}/sign-in`)).text();
    const files = new Set(Array.from(html.matchAll(/"(\/_next\/static\/[^"\\]+)"/g), ([, file]) => file ?? ""));
    expect(files.size).toBeGreaterThan(2);
    for (const file of files) {
      const answer = await fetch(cluster.a.url + file);
      expectHeaders(file, answer, { kind: "static" });
      expect(answer.headers.get("cache-control")).toContain("immutable");
    }
  });
});

describe("behind a proxy with TLS", () => {
  let server: TestServer;
  const proxied = { host: "inner:3000", "x-forwarded-host": "chat.example.com", "x-forwarded-proto": "https" };
  const originIn = (text: string) => (JSON.parse(text) as { servers: { url: string }[] }).servers;

  beforeAll(async () => {
    server = await cluster.start({ env: { TRUST_PROXY: "1", PUBLIC_URL: "https://chat.example.com" } });
  });

  test("a trusted proxy's host and scheme are used, and HSTS is sent", async () => {
    const answer = await rawRequest(server.port, "/openapi.json", { headers: proxied });
    expect([answer.status, originIn(answer.text)]).toEqual([200, [{ url: "https://chat.example.com" }]]);
    expect(answer.headers["strict-transport-security"]).toMatch(/^max-age=\d{8}$/);
    const plain = await rawRequest(server.port, "/health", { headers: { ...proxied, "x-forwarded-proto": "http" } });
    expect([plain.status, plain.headers["strict-transport-security"]]).toEqual([200, undefined]);
  });

  test("a trusted proxy's host is validated too", async () => {
    const headers = { ...proxied, "x-forwarded-host": "evil.example" };
    expect((await rawRequest(server.port, "/health", { headers })).status).toBe(421);
  });

  test("the configured address supplies the scheme when the proxy does not", async () => {
    const answer = await rawRequest(server.port, "/openapi.json", { headers: { host: "chat.example.com" } });
    expect(originIn(answer.text)).toEqual([{ url: "https://chat.example.com" }]);
  });

  test("without a trusted proxy the same headers are ignored", async () => {
    const headers = {
      host: `localhost:${cluster.a.port}`,
      "x-forwarded-host": "evil.example",
      "x-forwarded-proto": "https",
    };
    const answer = await rawRequest(cluster.a.port, "/openapi.json", { headers });
    expect([answer.status, originIn(answer.text)]).toEqual([200, [{ url: cluster.a.url }]]);
    expect(answer.headers["strict-transport-security"]).toBeUndefined();
    expect((await rawRequest(cluster.a.port, "/reference", { headers })).text).not.toContain("evil.example");
  });
});

describe("hosts", () => {
  const everything = [...pages, ...routes, ...staticFiles];

  test("I20: a request for another host name is 421 with an explanation", async () => {
    for (const at of everything)
      for (const method of ["GET", "POST"]) {
        const headers = { host: "rebound.example", authorization: `Bearer ${cluster.user.token}` };
        const { status, text } = await rawRequest(cluster.a.port, at, { method, headers });
        expect([method, at, status]).toEqual([method, at, 421]);
        expect(JSON.parse(text)).toMatchObject({
          error: { code: "unknown_host", message: expect.stringContaining("ALLOWED_HOSTS") },
        });
      }
    const page = await rawRequest(cluster.a.port, "/", { headers: { host: "rebound.example", accept: "text/html" } });
    expect([page.status, page.headers["content-type"]]).toEqual([421, "text/plain; charset=utf-8"]);
    expect(page.text).toMatch(/^This server does not accept this host name\./);
    expect(page.headers["content-security-policy"]).toBeDefined();
  });

  test("localhost, literal addresses and allowed hosts are served", async () => {
    const named = await cluster.start({ env: { ALLOWED_HOSTS: "chat.internal,*.apps.example" } });
    for (const host of ["localhost", "127.0.0.1:80", "[::1]:3000", "10.1.2.3", "chat.internal", "a.apps.example:81"])
      expect([host, (await rawRequest(named.port, "/health", { headers: { host } })).status]).toEqual([host, 200]);
    expect((await rawRequest(named.port, "/health", { headers: { host: "apps.example" } })).status).toBe(421);
    expect(await named.stop()).toBe(0);
  });
});

test.each(["TRACE", "PROPFIND", "LOCK", "M-SEARCH", "PURGE"])("%s is 405 everywhere, no stack", async (method) => {
  for (const at of [...pages, ...routes, ...staticFiles]) {
    const { status, headers, text } = await rawRequest(cluster.a.port, at, { method });
    expect([at, status, headers.allow]).toEqual([at, 405, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"]);
    expect(JSON.parse(text)).toMatchObject({ error: { code: "method_not_allowed" } });
  }
  expect(cluster.a.output()).not.toMatch(/TypeError|\n\s+at /);
});

test("an upgrade to HTTP/2 is ignored and answered over HTTP/1.1", async () => {
  const headers = { connection: "Upgrade, HTTP2-Settings", upgrade: "h2c", "http2-settings": "AAMAAABkAAQAAP__" };
  const answer = await rawRequest(cluster.a.port, "/health", { headers });
  expect(answer.status).toBe(200);
  const body = JSON.stringify({ message: "hi" });
  const posted = await rawRequest(cluster.a.port, "/api/v1/chat", {
    method: "POST",
    body,
    headers: { ...headers, "content-type": "application/json" },
  });
  expect(posted.status).toBe(401);
});

test.each<[string, string, string]>([
  ["PUT", "/api/chats", "GET, POST, HEAD, OPTIONS"],
  ["GET", "/api/chat", "POST, OPTIONS"],
  ["POST", "/api/turns/x?after=1", "GET, DELETE, HEAD, OPTIONS"],
  ["DELETE", "/openapi.json", "GET, HEAD, OPTIONS"],
])("%s %s is 405 in our own format, and lists the allowed methods", async (method, path, allow) => {
  const answer = await readAnswer(await fetch(cluster.a.url + path, { method }));
  expect([answer.status, answer.headers.get("allow")]).toEqual([405, allow]);
  expect(answer.body).toMatchObject({ error: { code: "method_not_allowed", message: expect.stringContaining(allow) } });
  expect(answer.headers.get("x-request-id")).toBeTruthy();
});

test("an unknown method is 405, a non-path target 400, and non-HTTP bytes 400", async () => {
  const first = (line: string) => rawBytes(cluster.a.port, `${line}\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  expect(await first("BREW /health HTTP/1.1")).toMatch(/^HTTP\/1\.1 405 /);
  expect(await first("GET http://evil.example/health HTTP/1.1")).toMatch(/^HTTP\/1\.1 400 /);
  expect(await first("OPTIONS * HTTP/1.1")).toMatch(/^HTTP\/1\.1 400 /);
  expect(await rawBytes(cluster.a.port, "nonsense\r\n\r\n")).toMatch(/^HTTP\/1\.1 40[05] /);
  expect(cluster.a.output()).not.toMatch(/TypeError|\n\s+at /);
});

describe("routes without credentials accept only the server's own pages and programs", () => {
  const bodies: Record<string, object> = {
    "/api/tokens": { guest: true },
    "/api/users": { email: "forged@example.org", password: "correct horse battery" },
  };
  const count = async () => (await cluster.sql`select count(*)::int as users from users`)[0];

  test.each<[string, Record<string, string>]>([
    ["another site", { "content-type": "application/json", "sec-fetch-site": "cross-site" }],
    ["another origin", { "content-type": "application/json", origin: "https://evil.example" }],
    ["an origin that may call the dialects", { "content-type": "application/json", origin }],
    ["an opaque origin", { "content-type": "application/json", origin: "null" }],
    ["a form that holds JSON", { "content-type": "text/plain" }],
    ["a form", { "content-type": "application/x-www-form-urlencoded" }],
  ])("I20: a guest sign-in from %s: 403, and no user is created", async (_name, headers) => {
    const before = await count();
    for (const [at, body] of Object.entries(bodies)) {
      const sent = await fetch(cluster.a.url + at, { method: "POST", headers, body: JSON.stringify(body) });
      const answer = await readAnswer<{ error: { code: string } }>(sent);
      expect([at, answer.status, answer.body.error.code]).toEqual([at, 403, "forbidden"]);
    }
    expect(await count()).toEqual(before);
  });

  test.each<[string, Record<string, string>]>([
    ["another site", { "sec-fetch-site": "cross-site" }],
    ["another origin", { origin: "https://evil.example" }],
    ["an opaque origin", { origin: "null" }],
  ])("I20: a sign-in form of %s: 403, and no session", async (_name, headers) => {
    const browser = new Browser(cluster.a);
    const { csrfToken } = (await (await browser.fetch("/api/auth/csrf")).json()) as { csrfToken: string };
    const body = new URLSearchParams({ csrfToken });
    const answer = await browser.fetch("/api/auth/callback/guest", { method: "POST", headers, body });
    expect([answer.status, browser.session]).toEqual([403, undefined]);
  });
});

const callersOfOtherOrigins: Record<string, string>[] = [
  { origin },
  { "sec-fetch-site": "cross-site" },
  { "sec-fetch-site": "same-site" },
];

test("I20: a session cookie is ignored on a dialect's path called cross-origin: 401 with any method", async () => {
  const browser = new Browser(cluster.a);
  await browser.signIn("guest");
  const { user } = (await (await browser.fetch("/api/auth/session")).json()) as { user: { id: string } };
  for (const { path: pattern } of registry.dialects.flatMap((dialect) => dialect.routes))
    for (const method of ["GET", "POST"])
      for (const site of callersOfOtherOrigins) {
        const at = pattern.replace(":userId", user.id).replace(/:\w+/g, "1");
        const headers = { "content-type": "application/json", ...site };
        const answer = await browser.fetch(at, { method, headers, ...(method === "POST" && { body: "{}" }) });
        expect([method, at, site, answer.status]).toEqual([method, at, site, 401]);
      }
  expect((await browser.fetch("/v1/models")).status).toBe(200);
});
