// Servers that die: docs/reliability.md I1, I2, I4, I5, I10. A is killed; B, or a restarted A, ends
// its turns.
import { afterEach, expect, test } from "vitest";
import { randomFrom, seed } from "@/test/chaos/trial";
import type { EventStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { gated, gateOf, header, newKey, outline, type TestServer, testCluster, textOf } from "./cluster";

const leaseMs = 2_000;
const silenceMs = leaseMs + 2_000;
const cluster = testCluster({ servers: 2, env: { LEASE_MS: String(leaseMs), HEARTBEAT_MS: "250" } });

afterEach(async () => {
  // A failed test may have left it suspended.
  cluster.a.signal("SIGCONT");
  for (const name of ["a", "b"] as const) {
    const { port } = cluster[name];
    if (!(await alive(cluster[name]))) cluster[name] = await cluster.start({ port });
  }
});

async function alive(server: TestServer): Promise<boolean> {
  return fetch(`${server.url}/api/health`).then(
    ({ ok }) => ok,
    () => false,
  );
}

type Live = { key: string; stream: EventStream; turnId: string; chatId: string; script: string };

/** A turn that pauses after its first `count` tokens, all of which were seen. */
async function turnAt(count: number): Promise<Live> {
  const key = newKey();
  const tokens = Array.from({ length: count + 3 }, (_, index) => `word${index} `);
  cluster.provider.on(key, [{ gate: gateOf(key, -1) }, ...gated(key, tokens)]);
  const stream = await cluster.send(key);
  if (count === 0) await cluster.provider.reached(gateOf(key, -1));
  else {
    cluster.provider.open(gateOf(key, -1));
    await cluster.walk(stream, key, tokens, count - 2);
    await stream.until(({ text }) => text === tokens.slice(0, count).join(""));
  }
  const [turnId, chatId] = [header(stream, "x-turn-id"), header(stream, "x-chat-id")];
  return { key, stream, turnId, chatId, script: tokens.join("") };
}

/** The invariants of every turn whose owner died. */
async function checkInterrupted({ stream, turnId, chatId, script }: Live, server: TestServer): Promise<void> {
  const stored = textOf(await cluster.answer(chatId, { server }));
  expect(script.startsWith(stored)).toBe(true);
  expect(stored.startsWith(stream.text)).toBe(true);
  const turn = await cluster.turn(turnId, { server });
  expect(turn).toMatchObject({ status: "interrupted", error: { code: "interrupted" } });
  const replay = await cluster.follow(turnId, { server });
  expect(await replay.ended).toBe("terminal");
  expect(replay.text).toBe(stored);
  expect(outline(replay.chunks).slice(-3)).toEqual(["message-metadata", "turn interrupted", "error"]);
  expect(replay.chunks.slice(0, stream.chunks.length)).toEqual(stream.chunks);
  const terminals = await cluster.sql`
    select seq from turn_chunks where turn_id = ${turnId} and chunk->>'type' in ('finish', 'abort', 'error')`;
  expect(terminals.map(({ seq }) => seq)).toEqual([replay.chunks.length]);
}

test("I1 I2 I4 I5: killed at the k-th token: readers elsewhere learn the end within lease + 2 s, nothing seen is lost", async () => {
  const turns = await Promise.all([1, 2, 5, 12].map(turnAt));
  const readers = await Promise.all(turns.map(({ turnId }) => cluster.follow(turnId, { server: cluster.b })));
  await Promise.all(readers.map((reader, index) => reader.until(({ text }) => text === turns[index]?.stream.text)));
  await cluster.a.kill("SIGKILL");
  const killedAtMs = performance.now();
  const delays = await Promise.all(
    readers.map(async (reader) => {
      expect(await reader.ended).toBe("terminal");
      return performance.now() - killedAtMs;
    }),
  );
  console.log(`terminal on the surviving server after ${Math.round(Math.max(...delays))} ms (lease ${leaseMs} ms)`);
  expect(Math.max(...delays)).toBeLessThan(underLoad(silenceMs));
  for (const [index, live] of turns.entries()) {
    expect(await live.stream.ended).toBe("reset");
    expect(readers[index]?.comments.filter(({ text }) => text === "heartbeat").length).toBeGreaterThan(1);
    expect(outline(readers[index]?.chunks ?? []).at(-1)).toBe("error");
    await checkInterrupted(live, cluster.b);
  }
  const [first] = turns as [Live];
  const next = await cluster.send("After the crash.", { chatId: first.chatId }, { server: cluster.b });
  expect(await next.ended).toBe("terminal");
});

test("I1 I2 I4 I5: a lone server killed and restarted ends its turns within lease + 2 s of its start", async () => {
  await cluster.b.kill("SIGKILL");
  const [unanswered, ...turns] = (await Promise.all([0, 1, 4].map(turnAt))) as [Live, ...Live[]];
  await cluster.a.kill("SIGKILL");
  cluster.a = await cluster.start({ port: cluster.a.port });
  const readyAtMs = performance.now();
  for (const live of turns) {
    const resumed = await cluster.follow(live.turnId);
    expect(await resumed.ended).toBe("terminal");
    expect(performance.now() - readyAtMs).toBeLessThan(underLoad(silenceMs));
    await checkInterrupted(live, cluster.a);
  }
  // The first turn has no answer, so it looks as if it had begun now.
  const { key, turnId, script } = unanswered;
  const answered = await cluster.follow(turnId);
  await cluster.provider.request(key, 2);
  for (let index = -1; index < 3; index++) cluster.provider.open(gateOf(key, index));
  expect([await answered.ended, answered.text]).toEqual(["terminal", script]);
  expect(await cluster.turn(turnId)).toMatchObject({ status: "complete" });
});

test("I1 I2 I4: killed at any moment: the stored text is a prefix containing everything seen", async () => {
  const random = randomFrom(1);
  const key = newKey();
  const script = Array.from({ length: 400 }, (_, index) => `${index}`).join(" ");
  cluster.provider.on(key, [{ tokens: script, perSecond: 200 }, { gate: key }, { finish: "stop" }]);
  const turns = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const stream = await cluster.send(key);
      return { key, stream, turnId: header(stream, "x-turn-id"), chatId: header(stream, "x-chat-id"), script };
    }),
  );
  const readers = await Promise.all(turns.map(({ turnId }) => cluster.follow(turnId, { server: cluster.b })));
  const [first] = turns as [Live];
  const target = 1 + Math.floor(random() * 1_000);
  await first.stream.until(({ text }) => text.length >= target);
  // A turn without any answer would be run again.
  await Promise.all(turns.map(({ stream }) => stream.until(({ text }) => text !== "")));
  await cluster.a.kill("SIGKILL");
  for (const [index, live] of turns.entries()) {
    const reader = readers[index] as EventStream;
    expect(await live.stream.ended, `seed ${seed}`).toBe("reset");
    expect(await reader.ended, `seed ${seed}`).toBe("terminal");
    expect(reader.text.startsWith(live.stream.text)).toBe(true);
    await checkInterrupted(live, cluster.b);
  }
  const frames = turns.map(({ stream }) => stream.chunks.length);
  console.log(
    `killed at ${target} characters (seed ${seed}); clients had seen ${Math.min(...frames)} to ${Math.max(...frames)} chunks`,
  );
});

test("I10 I4: a server that slept past its lease appends nothing, and its readers learn the end", async () => {
  const live = await turnAt(2);
  const reader = await cluster.follow(live.turnId, { server: cluster.b });
  await reader.until(({ text }) => text === live.stream.text);
  cluster.a.signal("SIGSTOP");
  expect(await reader.ended).toBe("terminal");
  const last = reader.cursor;
  cluster.a.signal("SIGCONT");
  expect(await live.stream.ended).toBe("terminal");
  expect(live.stream.cursor).toBe(last);
  const request = cluster.provider.requests.at(-1);
  expect(await request?.closed).toBe("client");
  await checkInterrupted(live, cluster.b);
});
