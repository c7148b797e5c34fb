// Invalid input: docs/protocol.md §3. The last test checks that the server is still up.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { expect, test } from "vitest";
import { bestOf } from "@/test/under-load";
import { header, messageBody, newKey, testCluster } from "./cluster";

const cluster = testCluster();

type Failure = { error: { code: string; message: string; requestId: string; reason?: string } };

const post = (path: string, body: unknown, headers?: Record<string, string>) =>
  cluster.api<Failure>("POST", path, { body, headers });

/** The body without its request id. */
function anonymous({ status, body }: { status: number; body: Failure }): string {
  return `${status} ${JSON.stringify(body).replace(body.error.requestId, "")}`;
}

const message = { id: "message-1", role: "user", parts: [{ type: "text", text: "Hello" }] };

test.each<[string, unknown, RegExp]>([
  ["not JSON", "{", /JSON/],
  ["half a character", '{"id":"\udc00', /JSON/],
  ["empty", "", /^message: /],
  ["null", "null", /^body: /],
  ["a number", "7", /^body: /],
  ["a string", '"hello"', /^body: /],
  ["an array", "[]", /^body: /],
  ["no message", {}, /^message: /],
  ["a null message", { message: null }, /^message: /],
  ["a message that is a string", { message: "Hello" }, /^message: /],
  ["messages that are not a list", { messages: "Hello" }, /^messages: /],
  ["messages of the assistant only", { messages: [{ ...message, role: "assistant" }] }, /^message: /],
  ["messages of invalid types", { messages: [null, 7, []] }, /^message: /],
  ["a role that is not the user's", { message: { ...message, role: "system" } }, /^message\.role: /],
  ["no parts", { message: { ...message, parts: [] } }, /^message\.parts: /],
  ["parts that are not a list", { message: { ...message, parts: {} } }, /^message\.parts: /],
  ["no text", { message: { ...message, parts: [{ type: "text" }] } }, /^message\.parts\.0\.text: /],
  ["blank text", { message: { ...message, parts: [{ type: "text", text: " \n" }] } }, /^message\.parts: /],
  [
    "text that is a number",
    { message: { ...message, parts: [{ type: "text", text: 7 }] } },
    /^message\.parts\.0\.text: /,
  ],
  [
    "a part of another type",
    { message: { ...message, parts: [{ type: "file", url: "x" }] } },
    /^message\.parts\.0\.type: /,
  ],
  ["no message id", { message: { ...message, id: undefined } }, /^message\.id: /],
  ["an empty message id", { message: { ...message, id: "" } }, /^message\.id: /],
  ["a long message id", { message: { ...message, id: "x".repeat(129) } }, /^message\.id: /],
  ["a message id with a space", { message: { ...message, id: "message 1" } }, /^message\.id: /],
  ["an empty chat id", { message, id: "" }, /^id: /],
  ["a chat id with a NUL", { message, id: "chat\u0000chat" }, /^id: /],
  ["a chat id that is a number", { message, id: 12_345_678 }, /^id: /],
  ["a model that is a list", { message, model: [] }, /^model: /],
  ["an unknown search mode", { message, searchMode: "some" }, /^searchMode: /],
  ["documentIds that are not a list", { message, documentIds: "all" }, /^documentIds: /],
  ["documentIds that are not ids", { message, documentIds: ["x"] }, /^documentIds\.0: /],
  ["an unknown trigger", { message, trigger: "shout" }, /^trigger: /],
])("POST /api/chat with %s is 400 and names the field", async (_name, body, reason) => {
  const answer = await post("/api/chat", body);
  expect(answer.status).toBe(400);
  expect(answer.body).toEqual({
    error: { code: "bad_request", message: expect.stringMatching(reason), requestId: expect.any(String) },
  });
  expect(answer.headers.get("x-request-id")).toBe(answer.body.error.requestId);
});

test("POST /api/chat with an unknown model is 400, names the field and has an error code", async () => {
  const answer = await post("/api/chat", { message, model: "oracle" });
  const { code, reason, message: sentence } = answer.body.error;
  expect([answer.status, code, reason]).toEqual([400, "bad_request", "model_not_found"]);
  expect(sentence).toMatch(/^model: /);
});

test.each<[string, string, string, unknown, RegExp]>([
  ["POST", "/api/chats", "an empty id", { id: "" }, /^id: /],
  ["POST", "/api/chats", "an empty title", { title: " " }, /^title: /],
  ["POST", "/api/chats", "a long title", { title: "x".repeat(201) }, /^title: /],
  ["PATCH", "/api/chats/some-chat", "a pin that is text", { pinned: "yes" }, /^pinned: /],
  ["GET", "/api/chats?limit=0", "a limit of 0", undefined, /^limit: /],
  ["GET", "/api/chats?limit=many", "a limit that is text", undefined, /^limit: /],
  ["GET", "/api/chats?cursor=x", "a cursor of nobody", undefined, /^cursor: /],
  ["POST", "/api/users", "no address", { password: "12345678" }, /^email: /],
  ["POST", "/api/users", "half an address", { email: "ann@", password: "12345678" }, /^email: /],
  ["POST", "/api/users", "a short password", { email: "ann@example.org", password: "1234567" }, /^password: /],
  ["POST", "/api/tokens", "an expiry that is no time", { expiresAt: "tomorrow" }, /^expiresAt: /],
  ["POST", "/api/tokens", "an empty name", { name: "" }, /^name: /],
  ["POST", "/api/documents", "JSON", {}, /^file: /],
])("%s %s with %s is 400 and names the field", async (method, path, _name, body, reason) => {
  const answer = await cluster.api<Failure>(method, path, { body });
  expect(answer.status).toBe(400);
  expect(answer.body).toMatchObject({ error: { code: "bad_request", message: expect.stringMatching(reason) } });
});

test("an invalid Idempotency-Key is 400", async () => {
  for (const key of ["", "with space", "x".repeat(201)]) {
    const answer = await post("/api/chat", messageBody("Hello"), { "idempotency-key": key });
    expect([key, answer.status]).toEqual([key, 400]);
    expect(answer.body.error.message).toMatch(/^Idempotency-Key: |^body: Idempotency-Key/);
  }
});

test("I19: unusual characters are stored and returned unchanged", async () => {
  const odd = "NUL \u0000, half \ud800, BOM \ufeff, RTL \u202e, \u2028, 🌊";
  const chatId = randomUUID();
  const stream = await cluster.send(odd, { chatId });
  expect(await stream.ended).toBe("terminal");
  const [question] = await cluster.messages(chatId);
  expect(question?.parts).toEqual([{ type: "text", text: odd }]);
});

test("a NUL in an id, name or search never causes a server error", async () => {
  const answers = await Promise.all([
    cluster.api("GET", "/api/chats/chat%00chat"),
    cluster.api("GET", "/api/chats/chat%00chat/messages"),
    cluster.api("GET", "/api/chat/chat%00chat/stream"),
    cluster.api("POST", "/api/chat/chat%00chat/stop"),
    cluster.api("GET", "/api/chats?q=%00"),
    cluster.api("POST", "/api/chats", { body: { title: "A\u0000B" } }),
    cluster.api("POST", "/api/tokens", { body: { name: "A\u0000B" } }),
    cluster.api("POST", "/api/users", {
      body: { email: "nul@example.org", password: "correct horse battery", name: "A\u0000B" },
    }),
    cluster.api("POST", "/api/chat", {
      body: { id: "some-chat", trigger: "regenerate-message", messageId: "a\u0000b" },
    }),
  ]);
  expect(answers.filter(({ status }) => status >= 500).map(({ text }) => text)).toEqual([]);
});

test("a message of two megabytes is 413, and one just under the limit is answered", async () => {
  const large = await post("/api/chat", messageBody("x".repeat(2 * 1_048_576)));
  expect([large.status, large.body.error.code]).toEqual([413, "too_large"]);
  const key = newKey();
  const fits = await cluster.send(`${key} ${"y".repeat(999_000)}`, { searchMode: "none" });
  expect(await fits.ended).toBe("terminal");
  expect(fits.text).toBe("Hello there.");
});

test("a body over the limit is 413 with or without a length, and uses no memory", async () => {
  const declared = await post("/api/chat", "x".repeat(5 * 1_048_576));
  expect([declared.status, declared.body.error.code]).toEqual([413, "too_large"]);
  const before = residentMiB();
  // The reset for a client that keeps sending may overtake the response (RFC 9112 §9.6).
  const { status, sentMiB, peakMiB } = await bestOf(
    3,
    () => sendWithoutEnd(256),
    (sent) => sent.status === 413,
  );
  console.log(`chunked body: ${status} after ${sentMiB} MiB sent; memory ${before} MiB before, ${peakMiB} MiB at most`);
  expect(status).toBe(413);
  expect(peakMiB - before).toBeLessThan(64);
});

function residentMiB(): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${cluster.a.pid}/status`, "utf8"))?.[1];
  return Math.round(Number(kib) / 1_024);
}

/** Sends a chunked body for as long as the server accepts it, also after its response. */
function sendWithoutEnd(maxMiB: number): Promise<{ status: number; sentMiB: number; peakMiB: number }> {
  return new Promise((resolve) => {
    const piece = Buffer.alloc(1_048_576, "x");
    let [status, sentMiB, peakMiB, over] = [0, 0, residentMiB(), false];
    const outgoing = httpRequest(`${cluster.a.url}/api/chat`, {
      method: "POST",
      agent: false,
      headers: { authorization: `Bearer ${cluster.user.token}`, "content-type": "application/json" },
    });
    const finish = () => {
      over = true;
      peakMiB = Math.max(peakMiB, residentMiB());
      outgoing.destroy();
      resolve({ status, sentMiB, peakMiB });
    };
    const write = () => {
      while (!over) {
        peakMiB = Math.max(peakMiB, residentMiB());
        if (sentMiB >= maxMiB) return finish();
        sentMiB += 1;
        if (!outgoing.write(piece)) return outgoing.once("drain", write);
      }
    };
    outgoing.on("response", (incoming) => {
      status = incoming.statusCode ?? 0;
      incoming.resume();
      // From here on only the kernel's buffers can fill; a server that kept reading would take the
      // rest too.
      incoming.on("close", finish);
    });
    // The server resets a client that does not stop.
    outgoing.on("error", () => setImmediate(finish));
    write();
  });
}

test("I20: unknown, foreign and malformed chat ids get the same answer", async () => {
  const other = await cluster.guest();
  const foreign = header(await cluster.send(newKey(), {}, { user: other }), "x-chat-id");
  const calls: [string, (id: string) => string, unknown?][] = [
    ["GET", (id) => `/api/chats/${id}`],
    ["PATCH", (id) => `/api/chats/${id}`, { title: "Mine" }],
    ["PATCH", (id) => `/api/chats/${id}`, {}],
    ["DELETE", (id) => `/api/chats/${id}`],
    ["GET", (id) => `/api/chats/${id}/messages`],
    ["POST", (id) => `/api/chat/${id}/stop`],
  ];
  for (const [method, path, body] of calls) {
    const ids = [foreign, randomUUID(), "x", "..%2f..%2fetc", "%F0%9F%8C%8A"];
    const answers = await Promise.all(ids.map((id) => cluster.api<Failure>(method, path(id), { body })));
    expect(new Set(answers.map(anonymous)).size).toBe(1);
    expect(answers[0]?.status).toBe(404);
  }
  // Without a chat there is nothing to resume, and a stock client asks before its first send.
  const streams = await Promise.all(
    [foreign, randomUUID(), "x"].map((id) => cluster.api("GET", `/api/chat/${id}/stream`)),
  );
  expect(streams.map(({ status }) => status)).toEqual([204, 204, 204]);
  expect((await cluster.api("GET", `/api/chats/${foreign}`, { user: other })).status).toBe(200);
});

test("rejects documents of an unsupported type, without a file, or over the limit", async () => {
  const upload = async (form: FormData) => {
    const headers = { authorization: `Bearer ${cluster.user.token}` };
    const answer = await fetch(`${cluster.a.url}/api/documents`, { method: "POST", headers, body: form });
    return [answer.status, ((await answer.json()) as Failure).error.code];
  };
  const file = (name: string, bytes: BlobPart) => {
    const form = new FormData();
    form.set("file", new File([bytes], name));
    return form;
  };
  expect(await upload(new FormData())).toEqual([400, "bad_request"]);
  expect(await upload(file("a.exe", "text"))).toEqual([400, "bad_request"]);
  expect(await upload(file("a.txt", ""))).toEqual([400, "bad_request"]);
  expect(await upload(file("a.txt", new Uint8Array([0xff, 0x00, 0xc3])))).toEqual([400, "bad_request"]);
  expect(await upload(file("a.txt", "x".repeat(11 * 1_048_576)))).toEqual([413, "too_large"]);
  const broken = await post("/api/documents", "--x\r\nnonsense", { "content-type": "multipart/form-data; boundary=x" });
  expect(broken.status).toBe(400);
});

test("the same process still answers afterwards", async () => {
  expect((await cluster.api("GET", "/api/ready")).body).toEqual({ status: "ok" });
  process.kill(cluster.a.pid, 0);
  const stream = await cluster.send(newKey());
  expect(await stream.ended).toBe("terminal");
  expect(cluster.a.output()).not.toMatch(/request failed|unhandled/i);
});
