import { APICallError } from "ai";
import { sql } from "drizzle-orm";
import { afterEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { database } from "@/db/client";
import { QueueFullError } from "@/db/fair-share";
import { testDatabase } from "@/test/database";
import { logged } from "@/test/logged";
import { AppError } from "./errors";
import { parseInput, readBytes, readForm, readJson, requireOwnPageOrProgram, requireSameOrigin, route } from "./http";

testDatabase();

const url = "http://localhost:3000/api/things";
const context = { params: Promise.resolve({}) };
const canary = "sk-canary-2e8b";

afterEach(() => vi.restoreAllMocks());

async function answerTo(thrown: unknown) {
  let response = new Response();
  const lines = await logged(async () => {
    response = await route(async () => {
      throw thrown;
    })(new Request(url), context);
  });
  return { response, body: await response.json(), lines };
}

it("cancels the body of a HEAD response and sends only its headers", async () => {
  const cancel = vi.fn();
  const handler = route(async () => new Response(new ReadableStream({ cancel }), { headers: { "X-Turn-Id": "turn" } }));
  const ask = (method: string) => handler(new Request(url, { method }), context);
  expect((await ask("GET")).body).not.toBeNull();
  expect(cancel).not.toHaveBeenCalled();
  const answer = await ask("HEAD");
  expect([answer.status, answer.headers.get("x-turn-id"), answer.body]).toEqual([200, "turn", null]);
  expect(cancel).toHaveBeenCalledTimes(1);
});

describe("route", () => {
  it("passes the response and parameters through", async () => {
    const handler = route<{ id: string }>(async (request, { id }) =>
      Response.json([new URL(request.url).pathname, id]),
    );
    const response = await handler(new Request(url), { params: Promise.resolve({ id: "7" }) });
    expect(await response.json()).toEqual(["/api/things", "7"]);
  });

  it("formats an AppError with its headers, and does not log it", async () => {
    const error = new AppError("turn_running", "Busy.", { details: { turnId: "t-1" }, cause: new Error(canary) });
    const { response, body, lines } = await answerTo(error);
    expect(response.status).toBe(409);
    expect(body).toEqual({
      error: { code: "turn_running", message: "Busy.", requestId: expect.any(String), turnId: "t-1" },
    });
    expect(response.headers.get("x-request-id")).toBe(body.error.requestId);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("retry-after")).toBeNull();
    expect(response.headers.get("www-authenticate")).toBeNull();
    expect(lines).toEqual([]);
  });

  it("formats an AppError from another bundle's copy of the class", async () => {
    vi.resetModules();
    const { AppError: Other } = await import("./errors");
    const error = new Other("bad_request", "There is no such model.");
    expect(error).not.toBeInstanceOf(AppError);
    const { response, body, lines } = await answerTo(error);
    expect([response.status, body.error.message, lines]).toEqual([400, "There is no such model.", []]);
  });

  it("sends WWW-Authenticate with 401 and Retry-After with 429", async () => {
    const unauthorized = await answerTo(new AppError("unauthorized", "Who?"));
    expect(unauthorized.response.status).toBe(401);
    expect(unauthorized.response.headers.get("www-authenticate")).toBe("Bearer");
    const limited = await answerTo(new AppError("rate_limited", "Slow.", { retryAfter: 7 }));
    expect(limited.response.headers.get("retry-after")).toBe("7");
  });

  it("accepts a custom error body, but keeps the status", async () => {
    const failing = route(
      async () => {
        throw new AppError("forbidden", "Access denied");
      },
      ({ message }) => ({ detail: message }),
    );
    const response = await failing(new Request(url), context);
    expect([response.status, await response.json()]).toEqual([403, { detail: "Access denied" }]);
  });

  it("I22: reports a bug as internal, and logs it once with the client's request id", async () => {
    const { response, body, lines } = await answerTo(new Error("a bug of ours"));
    expect(response.status).toBe(500);
    expect(body.error.code).toBe("internal");
    expect(JSON.stringify(body)).not.toContain("bug");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: "error", requestId: body.error.requestId, path: "/api/things" });
    expect(lines[0]?.err).toMatchObject({ message: "a bug of ours" });
  });

  it.each<[string, () => Promise<unknown>]>([
    ["a provider", async () => new APICallError({ message: canary, url: canary, requestBodyValues: { canary } })],
    [
      "the database",
      () =>
        database()
          .execute(sql`select ${canary}::int`)
          .catch((error: unknown) => error),
    ],
    ["a value that is not an Error", async () => ({ canary })],
  ])("neither sends nor logs the text of an error from %s", async (_, make) => {
    const { response, body, lines } = await answerTo(await make());
    expect(response.status).toBe(500);
    expect(lines).toHaveLength(1);
    expect(JSON.stringify([body, lines])).not.toContain(canary);
  });

  it("reports an unreachable database as 503 with Retry-After", async () => {
    const away = Object.assign(new Error(`connect ${canary}`), { code: "ECONNREFUSED" });
    const { response, body } = await answerTo(new Error("Failed query", { cause: away }));
    expect([response.status, body.error.code, response.headers.get("retry-after")]).toEqual([503, "unavailable", "2"]);
    expect(JSON.stringify(body)).not.toContain(canary);
  });

  it("reports a statement timeout as 503, without treating the database as down", async () => {
    const error = await database()
      .transaction(async (tx) => {
        await tx.execute(sql`set local statement_timeout = 50`);
        await tx.execute(sql`select pg_sleep(60)`);
      })
      .catch((refusal: unknown) => refusal);
    const { response, body, lines } = await answerTo(error);
    expect([response.status, body.error.code, response.headers.get("retry-after")]).toEqual([503, "unavailable", "2"]);
    expect(body.error.message).toBe(
      "The database took too long over this request, so it was cancelled. Nothing was lost; try again in a moment, or ask for less.",
    );
    expect(lines).toMatchObject([{ level: "warn", msg: "request refused: a statement took too long" }]);
  });

  it("reports a user's full queue as 429", async () => {
    const { response, body } = await answerTo(new QueueFullError("full"));
    expect([response.status, body.error.code, response.headers.get("retry-after")]).toEqual([429, "rate_limited", "5"]);
  });

  it("reports a NUL in text as the client's error", async () => {
    const error = await database()
      .execute(sql`select ${"a\0b"}::text`)
      .catch((refusal: unknown) => refusal);
    const { response, body, lines } = await answerTo(error);
    expect([response.status, body.error.code, lines]).toEqual([400, "bad_request", []]);
  });
});

/** A body that arrives in pieces, without Content-Length; counts the pieces read. */
function streamed(pieces: string[]) {
  const state = { taken: 0, cancelled: false };
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const piece = pieces[state.taken++];
        if (piece === undefined) controller.close();
        else controller.enqueue(new TextEncoder().encode(piece));
      },
      cancel() {
        state.cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  const request = new Request(url, { method: "POST", body, duplex: "half" } as RequestInit);
  return { request, state };
}

describe("readBytes", () => {
  it("reads a body up to the limit, and not a byte more", async () => {
    const request = (body: string) => new Request(url, { method: "POST", body });
    expect(await readBytes(request("12345"), 5)).toEqual(new TextEncoder().encode("12345"));
    await expect(readBytes(request("123456"), 5)).rejects.toMatchObject({ code: "too_large" });
    expect(await readBytes(new Request(url), 5)).toHaveLength(0);
  });

  it("rejects by Content-Length before reading", async () => {
    const { request, state } = streamed(["1"]);
    request.headers.set("content-length", "6");
    await expect(readBytes(request, 5)).rejects.toMatchObject({ code: "too_large" });
    expect(state.taken).toBe(0);
  });

  it("counts bytes without a valid Content-Length, and stops at the limit", async () => {
    for (const length of [undefined, "1", "nonsense"]) {
      const { request, state } = streamed(Array(1_000).fill("1234"));
      if (length) request.headers.set("content-length", length);
      await expect(readBytes(request, 10)).rejects.toMatchObject({ code: "too_large" });
      expect(state.taken).toBeLessThan(6);
      expect(state.cancelled).toBe(true);
    }
    expect(await readBytes(streamed(["ab", "", "c"]).request, 3)).toEqual(new TextEncoder().encode("abc"));
  });
});

describe("readJson", () => {
  const schema = z.object({ name: z.string(), inner: z.object({ count: z.number() }).optional() });
  const post = (body?: BodyInit) => readJson(new Request(url, { method: "POST", ...(body ? { body } : {}) }), schema);

  it("returns the parsed body", async () => {
    expect(await post('{"name":"a","other":1}')).toEqual({ name: "a" });
  });

  it.each<[string, BodyInit | undefined, RegExp]>([
    ["a missing field", "{}", /^name: /],
    ["a nested field", '{"name":"a","inner":{"count":"1"}}', /^inner\.count: /],
    ["a body that is not an object", "[]", /^body: /],
    ["no body", undefined, /^name: /],
    ["invalid JSON", "{", /not valid JSON/],
    ["invalid UTF-8", new Uint8Array([0x22, 0xff, 0x22]), /not valid JSON/],
  ])("rejects %s with its location", async (_, body, message) => {
    await expect(post(body)).rejects.toMatchObject({
      code: "bad_request",
      publicMessage: expect.stringMatching(message),
    });
  });

  it("rejects a body nested too deeply, ignoring brackets inside strings", async () => {
    const nested = (levels: number) => post(`{"name":${"[".repeat(levels)}${"]".repeat(levels)}}`);
    await expect(nested(98)).rejects.toMatchObject({ publicMessage: expect.stringMatching(/^name: /) });
    const tooDeep = { code: "bad_request", publicMessage: expect.stringContaining("deeper than 100 levels") };
    for (const levels of [100, 1_000_000]) await expect(nested(levels)).rejects.toMatchObject(tooDeep);
    await expect(post('{"a":'.repeat(200_000))).rejects.toMatchObject(tooDeep);
    const name = `"[{\\${"[".repeat(500)}`;
    expect(await post(JSON.stringify({ name }))).toMatchObject({ name });
  });

  it("enforces its limit", async () => {
    const request = new Request(url, { method: "POST", body: '{"name":"aaaa"}' });
    await expect(readJson(request, schema, 10)).rejects.toMatchObject({ code: "too_large" });
  });

  it("I22: does not repeat the invalid value", () => {
    const refusal = () => parseInput(z.object({ key: z.enum(["a", "b"]) }), { key: canary });
    expect(refusal).toThrow(AppError);
    expect(refusal).not.toThrow(canary);
  });
});

describe("readForm", () => {
  const form = async (parts: number) => {
    const body = new FormData();
    for (let part = 1; part < parts; part++) body.append(`field${part}`, "x");
    body.append("file", new File(["# Hello"], "a.md"));
    const encoded = new Response(body);
    return new Request(url, { method: "POST", headers: encoded.headers, body: await encoded.arrayBuffer() });
  };
  const maxBytes = 10_000_000;

  it("returns the fields and the file", async () => {
    const read = await readForm(await form(20), maxBytes);
    expect(read.get("field19")).toBe("x");
    expect(await (read.get("file") as File).text()).toBe("# Hello");
  });

  it("rejects too many parts before parsing", async () => {
    const failure = { code: "bad_request", publicMessage: expect.stringContaining("more than 20 parts") };
    for (const parts of [21, 30_000])
      await expect(readForm(await form(parts), maxBytes)).rejects.toMatchObject(failure);
  });

  it("rejects a body over the limit, and one that is not a form", async () => {
    await expect(readForm(await form(1), 100)).rejects.toMatchObject({ code: "too_large" });
    const headers = { "Content-Type": "multipart/form-data; boundary=x" };
    for (const body of ["", "--x\r\nnonsense"])
      await expect(readForm(new Request(url, { method: "POST", headers, body }), maxBytes)).rejects.toMatchObject({
        code: "bad_request",
      });
    await expect(readForm(new Request(url, { method: "POST", body: "--x" }), maxBytes)).rejects.toMatchObject({
      code: "bad_request",
    });
  });
});

describe("requireSameOrigin", () => {
  const json = { "content-type": "application/json" };
  const own = { host: "chat.example" };
  it.each<[string, string, Record<string, string>, boolean]>([
    ["reading", "GET", { "sec-fetch-site": "cross-site", origin: "https://evil.example" }, true],
    [
      "the page itself",
      "POST",
      { ...own, ...json, "sec-fetch-site": "same-origin", origin: "https://chat.example" },
      true,
    ],
    [
      "the page itself, without a type",
      "POST",
      { ...own, "content-type": "text/plain", "sec-fetch-site": "same-origin" },
      true,
    ],
    ["a typed address", "POST", { ...own, ...json, "sec-fetch-site": "none" }, true],
    [
      "a plain form, by a typed address",
      "POST",
      { ...own, "content-type": "text/plain", "sec-fetch-site": "none" },
      false,
    ],
    ["a client other than a browser", "POST", { ...own, ...json }, true],
    ["no body", "DELETE", own, true],
    ["a form with files", "POST", { ...own, "content-type": "multipart/form-data; boundary=x" }, true],
    ["JSON with a charset", "POST", { ...own, "content-type": "Application/JSON; charset=utf-8" }, true],
    [
      "behind a proxy",
      "POST",
      { host: "inner:3000", "x-forwarded-host": "chat.example", ...json, origin: "https://chat.example" },
      true,
    ],
    ["another site", "POST", { ...own, ...json, "sec-fetch-site": "cross-site" }, false],
    ["a sibling subdomain", "POST", { ...own, ...json, "sec-fetch-site": "same-site" }, false],
    ["another origin", "POST", { ...own, ...json, origin: "https://evil.example" }, false],
    ["another port", "DELETE", { ...own, origin: "https://chat.example:8443" }, false],
    ["an opaque origin", "POST", { ...own, ...json, origin: "null" }, false],
    ["a plain form", "POST", { ...own, "content-type": "application/x-www-form-urlencoded" }, false],
    ["JSON as text", "POST", { ...own, "content-type": "text/plain" }, false],
    ["a type that only starts like JSON", "POST", { ...own, "content-type": "application/jsonp" }, false],
  ])("%s", (_, method, headers, allowed) => {
    const request = new Request(url, { method, headers });
    const check = () => requireSameOrigin(request);
    if (allowed) expect(check).not.toThrow();
    else expect(check).toThrow(expect.objectContaining({ code: "forbidden" }));
  });
});

describe("requireOwnPageOrProgram", () => {
  const json = { "content-type": "application/json; charset=utf-8" };
  const own = { host: "chat.example" };
  it.each<[string, Record<string, string>, boolean]>([
    ["the page itself", { ...own, ...json, "sec-fetch-site": "same-origin", origin: "https://chat.example" }, true],
    ["a program", { ...own, ...json }, true],
    ["a program with a token and no body", { ...own, authorization: "Bearer rvl_x" }, true],
    ["another site", { ...own, ...json, "sec-fetch-site": "cross-site" }, false],
    ["another origin of the same site", { ...own, ...json, "sec-fetch-site": "same-site" }, false],
    ["another origin", { ...own, ...json, origin: "https://evil.example" }, false],
    ["an opaque origin", { ...own, ...json, origin: "null" }, false],
    ["a form", { ...own, "content-type": "application/x-www-form-urlencoded" }, false],
    ["a form with files", { ...own, "content-type": "multipart/form-data; boundary=x" }, false],
    ["JSON as text", { ...own, "content-type": "text/plain" }, false],
    ["no type", own, false],
  ])("%s", (_, headers, allowed) => {
    const check = () => requireOwnPageOrProgram(new Request(url, { method: "POST", headers }));
    if (allowed) expect(check).not.toThrow();
    else expect(check).toThrow(expect.objectContaining({ code: "forbidden" }));
  });
});
