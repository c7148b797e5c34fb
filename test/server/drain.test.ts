// Graceful shutdown: SIGTERM while turns run (docs/reliability.md I17). A drains; B continues with
// the same database.
import { request } from "node:http";
import { expect, test } from "vitest";
import { openStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import {
  complaintsOf,
  eventBytesOf,
  gateOf,
  header,
  messageBody,
  newKey,
  type TestServer,
  testCluster,
  textOf,
} from "./cluster";
import { holdTable, sendsWaiting } from "./held-table";

const cluster = testCluster({ servers: 2 });
const tokens = ["One", " two", " three", " four"];

const runningTurn = (server: TestServer) => cluster.runningTurn(tokens, 2, { server });

test("I17 I3: SIGTERM: readers move, new turns are refused, the live turn ends, exit code 0", async () => {
  const server = await cluster.start({ env: { DRAIN_MS: "15000" } });
  const { key, stream, turnId, chatId } = await runningTurn(server);
  const exit = server.stop();
  expect(await stream.ended).toBe("reset");

  const refused = await cluster.send("Too late.", {}, { server });
  expect(refused.status).toBe(503);
  expect(JSON.parse(refused.body)).toMatchObject({ error: { code: "unavailable" } });
  expect(Number(refused.headers["retry-after"])).toBeGreaterThanOrEqual(1);
  const ready = await fetch(`${server.url}/api/ready`);
  expect([ready.status, Number(ready.headers.get("retry-after"))]).toEqual([503, 2]);
  expect((await fetch(`${server.url}/api/health`)).status).toBe(200);
  // A second signal, as from a terminal to the process group, changes nothing.
  server.signal("SIGTERM");

  const moved = await openStream(`${cluster.b.url}/api/turns/${turnId}/stream`, {
    token: cluster.user.token,
    after: stream,
  });
  cluster.provider.open(gateOf(key, 1));
  await moved.until(({ text }) => text === "One two three");
  cluster.provider.open(gateOf(key, 2));
  cluster.provider.open(gateOf(key, 3));
  expect(await moved.ended).toBe("terminal");
  expect(moved.chunks.at(-1)).toEqual({ type: "finish" });
  expect(await exit).toBe(0);
  expect(textOf(await cluster.answer(chatId, { server: cluster.b }))).toBe(tokens.join(""));
  const replay = await cluster.follow(turnId, { server: cluster.b });
  await replay.ended;
  expect(eventBytesOf(replay)).toBe(eventBytesOf(stream) + eventBytesOf(moved));
  expect(server.output()).not.toMatch(/"level":"(error|fatal)"/);
});

test("I17 I2: a turn over the drain budget is stored as interrupted, and the server exits with 0 in time", async () => {
  const server = await cluster.start({ env: { DRAIN_MS: "300", LEASE_MS: "60000" } });
  const { key, stream, turnId, chatId } = await runningTurn(server);
  const reader = await cluster.follow(turnId, { server: cluster.b });
  const askedAtMs = performance.now();
  expect(await server.stop()).toBe(0);
  expect(performance.now() - askedAtMs).toBeLessThan(underLoad(300 + 3_000));
  expect(await stream.ended).toBe("reset");
  // The lease lasts a minute: the reaper did not end it.
  expect(await reader.ended).toBe("terminal");
  expect(reader.text).toBe("One two");
  expect(await cluster.turn(turnId, { server: cluster.b })).toMatchObject({ status: "interrupted" });
  expect(textOf(await cluster.answer(chatId, { server: cluster.b }))).toBe("One two");
  const request = await cluster.provider.request(key);
  expect(await request.closed).toBe("client");
});

test("I17 I7: an unanswered turn over the drain budget is run by another server at once", async () => {
  const server = await cluster.start({ env: { DRAIN_MS: "300", LEASE_MS: "600000" } });
  const key = newKey();
  cluster.provider.on(key, [{ gate: key }, { text: "Answered." }, { finish: "stop" }]);
  const stream = await cluster.send(key, {}, { server });
  const request = await cluster.provider.request(key);
  const turnId = header(stream, "x-turn-id");
  const exit = server.stop();
  expect(await stream.ended).toBe("reset");
  const moved = await openStream(`${cluster.b.url}/api/turns/${turnId}/stream`, {
    token: cluster.user.token,
    after: stream,
  });
  expect(await request.closed).toBe("client");
  expect(await exit).toBe(0);
  cluster.provider.open(key);
  // The leaving server's lease lasts ten minutes.
  expect(await moved.ended).toBe("terminal");
  expect(moved.chunks.at(-1)).toEqual({ type: "finish" });
  expect(moved.text).toBe("Answered.");
  expect(await cluster.turn(turnId, { server: cluster.b })).toMatchObject({ status: "complete" });
  expect(await cluster.sql`select epoch from turns where id = ${turnId}`).toEqual([{ epoch: 2 }]);
  const replay = await cluster.follow(turnId, { server: cluster.b });
  await replay.ended;
  expect(eventBytesOf(replay)).toBe(eventBytesOf(stream) + eventBytesOf(moved));
  expect(server.output()).not.toMatch(/"level":"(error|fatal)"/);
});

test("I17: an idle server exits at once, and its next start has everything", async () => {
  const stream = await cluster.send(newKey());
  expect(await stream.ended).toBe("terminal");
  const askedAtMs = performance.now();
  expect(await cluster.a.stop()).toBe(0);
  expect(performance.now() - askedAtMs).toBeLessThan(underLoad(2_000));
  cluster.a = await cluster.start({ port: cluster.a.port });
  expect(textOf(await cluster.answer(header(stream, "x-chat-id")))).toBe("Hello there.");
});

test("I17: an upload in progress gets its response before the server exits", async () => {
  const server = await cluster.start({ env: { DRAIN_MS: "10000" } });
  const user = await cluster.guest();
  const boundary = "drain";
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="late.md"\r\n\r\n`;
  const body = `${head}# Late\n\nBut not too late.\r\n--${boundary}--\r\n`;
  const answered = Promise.withResolvers<{ status: number | undefined; text: string }>();
  const upload = request(
    `${server.url}/api/documents`,
    {
      method: "POST",
      agent: false,
      headers: {
        authorization: `Bearer ${user.token}`,
        "content-type": `multipart/form-data; boundary=${boundary}`,
        "content-length": body.length,
      },
    },
    async (response) => {
      let text = "";
      for await (const part of response) text += part;
      answered.resolve({ status: response.statusCode, text });
    },
  );
  upload.on("error", answered.reject);
  upload.write(body.slice(0, head.length));
  // Until the server is processing it: it records the token's use before it reads the body.
  await expect
    .poll(
      async () =>
        (await cluster.sql`select from tokens where user_id = ${user.userId} and last_used_at is not null`).length,
    )
    .toBe(1);
  const exit = server.stop();
  await expect
    .poll(() =>
      fetch(`${server.url}/api/ready`).then(
        ({ status }) => status,
        () => 0,
      ),
    )
    .not.toBe(200);
  upload.end(body.slice(head.length));
  const { status, text } = await answered.promise;
  expect([status, JSON.parse(text)]).toMatchObject([201, { title: "Late" }]);
  expect(await exit).toBe(0);
  expect(complaintsOf(server)).toEqual([]);
});

test("I17: behind a proxy, readiness fails first while requests still work, then new turns are refused", async () => {
  const server = await cluster.start({ env: { TRUST_PROXY: "1", READY_DELAY_MS: "1500", DRAIN_MS: "10000" } });
  const readiness = () => fetch(`${server.url}/api/ready`).then(({ status }) => status);
  const exit = server.stop();
  await expect.poll(readiness, { interval: 20 }).toBe(503);
  const [live, sent] = await Promise.all([runningTurn(server), cluster.send(newKey(), {}, { server })]);
  expect([sent.status, await sent.ended]).toEqual([200, "terminal"]);
  const refused = async () => (await cluster.send("Too late.", {}, { server })).status;
  await expect.poll(refused, { interval: 100 }).toBe(503);
  expect(await live.stream.ended).toBe("reset");
  for (const index of [1, 2, 3]) cluster.provider.open(gateOf(live.key, index));
  expect(await exit).toBe(0);
  expect(await cluster.turn(live.turnId, { server: cluster.b })).toMatchObject({ status: "complete" });
});

test("I17: a stalled reader does not block shutdown", async () => {
  const server = await cluster.start({ env: { DRAIN_MS: "20000" } });
  const key = newKey();
  cluster.provider.on(key, [{ text: "word ".repeat(2_000_000) }, { finish: "stop" }]);
  const stream = await openStream(`${server.url}/api/chat`, {
    token: cluster.user.token,
    body: messageBody(key),
    paused: true,
  });
  const turnId = header(stream, "x-turn-id");
  await expect.poll(async () => (await cluster.turn(turnId)).status, { timeout: 60_000 }).toBe("complete");
  const askedAtMs = performance.now();
  expect(await server.stop()).toBe(0);
  expect(performance.now() - askedAtMs).toBeLessThan(underLoad(10_000));
  stream.close();
});

test("I17 I9: a send being stored when SIGTERM arrives becomes a normal turn", async () => {
  const server = await cluster.start({ env: { DRAIN_MS: "10000", LEASE_MS: "60000" } });
  const user = await cluster.guest();
  const messages = await holdTable(cluster, "messages");
  const sent = cluster.send(newKey(), {}, { user, server });
  await sendsWaiting(cluster, 1);
  const exit = server.stop();
  await expect.poll(async () => (await fetch(`${server.url}/api/ready`)).status, { interval: 20 }).toBe(503);
  await messages.release();
  const stream = await sent;
  expect(stream.status).toBe(200);
  expect(await exit).toBe(0);
  expect(await cluster.turn(header(stream, "x-turn-id"), { user, server: cluster.b })).toMatchObject({
    status: "complete",
  });
});
