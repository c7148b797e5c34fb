// Turns that outlive their server. An unanswered one is run by a live server; a broken answer is
// continued, by a user or automatically, and reads as one. A hung run ends all the same.
import { randomUUID } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { continueInstruction } from "@/lib/turn/prompt";
import type { Script } from "@/test/provider";
import { newGuest, type TestServer, type TestUser } from "@/test/server";
import { gated, header, messageBody, newKey, outline, testCluster, textOf } from "@/test/server/cluster";
import { type EventStream, openStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { countCases, sized } from "./trial";

const leaseMs = 2_000;
const cluster = testCluster({ servers: 2, env: { LEASE_MS: String(leaseMs), HEARTBEAT_MS: "250" } });
/** Environment for restarted servers. */
let env: Record<string, string> = {};

async function restartDead(): Promise<void> {
  cluster.a.signal("SIGCONT");
  for (const name of ["a", "b"] as const) {
    const { url, port } = cluster[name];
    const alive = await fetch(`${url}/api/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (!alive) cluster[name] = await cluster.start({ port, env });
  }
}
afterEach(restartDead);

type Live = {
  key: string;
  body: ReturnType<typeof messageBody>;
  user: TestUser;
  stream: EventStream;
  turnId: string;
  chatId: string;
};

/** A turn on A, with the provider's answers to the first request, the second … */
async function begin(scripts: Script[], { user = cluster.user, options = {}, key = newKey() } = {}): Promise<Live> {
  cluster.provider.on(key, ...scripts);
  const body = messageBody(key, options);
  const stream = await openStream(`${cluster.a.url}/api/chat`, { token: user.token, body });
  return { key, body, user, stream, turnId: header(stream, "x-turn-id"), chatId: header(stream, "x-chat-id") };
}

const onB = ({ turnId, user }: Live) => cluster.follow(turnId, { server: cluster.b, user });

/** `POST /api/chat` that continues the chat's last answer, or the named one. */
function goOn({ chatId, user }: Live, server: TestServer, messageId?: string, idempotencyKey: string = randomUUID()) {
  return openStream(`${server.url}/api/chat`, {
    token: user.token,
    headers: { "idempotency-key": idempotencyKey },
    body: { id: chatId, trigger: "continue-message", ...(messageId ? { messageId } : {}) },
  });
}

async function storedTerminals(turnId: string): Promise<number> {
  const [row] = await cluster.sql`
    select count(*)::int as count from turn_chunks
    where turn_id = ${turnId} and chunk->>'type' in ('finish', 'abort', 'error')`;
  return row?.count;
}

const whole = "Every word of this answer is made by the server that lives.";

test("I3 I4 I7 I18: killed before the first token: another server answers in one stream, with one more request", async (context) => {
  const reader = await newGuest(cluster.a.url);
  const silent = (gate: string): Script => [{ gate }];
  const startedScript = (gate: string): Script => [{ headers: true }, { gate }];
  const kinds = [silent, startedScript].flatMap((first) => [cluster.user, reader].map((user) => ({ first, user })));
  const turns = await Promise.all(
    kinds.map(({ first, user }, index) => {
      const key = `${newKey()} What is Rivulet?`;
      return begin([first(`dead ${index}`), [{ tokens: whole }, { finish: "stop" }]], { user, key });
    }),
  );
  await Promise.all(turns.map((_, index) => cluster.provider.reached(`dead ${index}`)));
  const readers = await Promise.all(turns.map(onB));
  await Promise.all(
    turns.map(({ stream }) => stream.until(({ chunks }) => outline(chunks).at(-1) === "generate active")),
  );
  await cluster.a.kill("SIGKILL");
  const killedAtMs = performance.now();

  for (const [index, live] of turns.entries()) {
    const { key, stream, turnId, chatId, body, user } = live;
    expect(await stream.ended).toBe("reset");
    // The client does both: it resumes at its cursor and repeats the send.
    const resumed = await openStream(`${cluster.b.url}/api/turns/${turnId}/stream`, {
      token: user.token,
      after: stream,
    });
    const again = await openStream(`${cluster.b.url}/api/chat`, { token: user.token, body });
    const seen = [readers[index] as EventStream, resumed, again];
    for (const each of seen) {
      expect(await each.ended).toBe("terminal");
      expect(each.chunks).toEqual(seen[0]?.chunks);
      expect(header(again, "x-turn-id")).toBe(turnId);
    }
    expect(resumed.text).toBe(whole);
    const words = outline(resumed.chunks);
    expect(
      words.filter((word) => word === "start" || word === "turn running" || word === "generate active"),
    ).toHaveLength(3);
    expect(words.filter((word) => word.startsWith("retrieve"))).toEqual(
      user === reader ? ["retrieve active", "retrieve done"] : [],
    );
    expect(resumed.chunks.some(({ type }) => type === "source-document")).toBe(user === reader);
    expect(cluster.requestsFor(key).length).toBe(2);
    const answer = await cluster.answer(chatId, { server: cluster.b, user });
    expect(answer.parts.filter(({ type }) => type === "text")).toMatchObject([{ text: whole, state: "done" }]);
    expect(answer.metadata).toMatchObject({ turnId, status: "complete" });
    expect(await storedTerminals(turnId)).toBe(1);
  }
  console.log(`answered by the other server ${Math.round(performance.now() - killedAtMs)} ms after the kill`);
  countCases(context, turns.length);
});

test("I4 I11: a stopped turn, or one that already crashed two servers, is not run again", async () => {
  const poison = await begin([[{ gate: "poison" }]]);
  const unwanted = await begin([[{ gate: "unwanted" }]]);
  await Promise.all([cluster.provider.reached("poison"), cluster.provider.reached("unwanted")]);
  const readers = await Promise.all([onB(poison), onB(unwanted)]);
  // As if B and a third server had crashed on it.
  await cluster.sql`update turns set crashes = 2 where id = ${poison.turnId}`;
  await cluster.a.kill("SIGKILL");
  const stopped = await cluster.api("DELETE", `/api/turns/${unwanted.turnId}`, { server: cluster.b });
  expect(stopped.body).toEqual({ turnId: unwanted.turnId, status: "stopped" });
  expect(await Promise.all(readers.map(({ ended }) => ended))).toEqual(["terminal", "terminal"]);
  expect(outline(readers[0]?.chunks ?? []).slice(-2)).toEqual(["turn interrupted", "error"]);
  expect([cluster.requestsFor(poison.key).length, cluster.requestsFor(unwanted.key).length]).toEqual([1, 1]);
});

test("I10: a server that slept through a takeover appends nothing and drops its request", async () => {
  const live = await begin([
    [{ gate: "asleep" }, { tokens: "from a zombie" }, { finish: "stop" }],
    [{ tokens: whole }, { finish: "stop" }],
  ]);
  await cluster.provider.reached("asleep");
  const reader = await onB(live);
  cluster.a.signal("SIGSTOP");
  expect(await reader.ended).toBe("terminal");
  cluster.provider.open("asleep");
  cluster.a.signal("SIGCONT");
  expect(await live.stream.ended).toBe("terminal");
  expect(live.stream.chunks).toEqual(reader.chunks);
  expect(live.stream.text).toBe(whole);
  await (await cluster.provider.request(live.key)).closed;
  const replay = await onB(live);
  expect(await replay.ended).toBe("terminal");
  expect(replay.chunks).toEqual(reader.chunks);
  expect(cluster.requestsFor(live.key).length).toBe(2);
});

/** Cuts inside a word, inside a code block, and after its end. */
const script = ["Rivers:\n\n```js\n", "const rivu", "let = 1;\n", "```\n\nThat ", "is all."];

test("I2 I12 I18: killed after the k-th token: interrupted, and Continue on the other server gives one whole answer", async (context) => {
  const cuts = sized([2, 4], [1, 2, 3, 4, 5]);
  const turns = await Promise.all(
    cuts.map(async (count) => {
      const key = newKey();
      const live = await begin([gated(key, script.slice(0, count))], { key });
      await cluster.walk(live.stream, key, script.slice(0, count), count - 2);
      await live.stream.until(({ text }) => text === script.slice(0, count).join(""));
      return live;
    }),
  );
  const readers = await Promise.all(turns.map(onB));
  await cluster.a.kill("SIGKILL");
  for (const [index, live] of turns.entries()) {
    expect(await readers[index]?.ended).toBe("terminal");
    const kept = live.stream.text;
    const old = await cluster.answer(live.chatId, { server: cluster.b });
    expect({ status: old.metadata?.status, text: textOf(old) }).toEqual({ status: "interrupted", text: kept });

    const rest = script.join("").slice(kept.length);
    cluster.provider.on(continueInstruction, [{ tokens: rest }, { finish: "stop" }]);
    const before = cluster.provider.requests.length;
    const key = randomUUID();
    const [next, same] = (await Promise.all([1, 2].map(() => goOn(live, cluster.b, old.id, key)))) as [
      EventStream,
      EventStream,
    ];
    expect([await next.ended, await same.ended]).toEqual(["terminal", "terminal"]);
    expect(same.chunks).toEqual(next.chunks);
    expect(next.text).toBe(script.join(""));
    expect(next.chunks[0]).toMatchObject({ type: "start", messageMetadata: { continues: old.id } });
    expect(cluster.provider.requests.length).toBe(before + 1);
    const [question, answer] = await cluster.messages(live.chatId, { server: cluster.b });
    expect(textOf(question)).toBe(live.key);
    expect(answer?.parts.filter(({ type }) => type === "text")).toMatchObject([
      { text: script.join(""), state: "done" },
    ]);
    expect(answer?.id).not.toBe(old.id);
    for (const dialect of ["text", "content"]) {
      const raw = await openStream(
        `${cluster.b.url}/api/turns/${header(next, "x-turn-id")}/stream?dialect=${dialect}`,
        {
          token: live.user.token,
          kind: "dialect",
        },
      );
      await raw.ended;
      const deltas = raw.frames.map(({ data }) => {
        const frame = JSON.parse(data) as string | { type: string; content: string };
        return typeof frame === "string" ? frame : frame.type === "content" ? frame.content : "";
      });
      expect(deltas.join("")).toBe(script.join(""));
    }
    const complete = await goOn(live, cluster.b);
    expect([complete.status, complete.body]).toEqual([400, expect.stringContaining("complete")]);
    const unknown = await goOn(live, cluster.b, randomUUID());
    expect(unknown.status).toBe(404);
  }
  countCases(context, cuts.length);
});

test("I4 I11: a hanging tool delays neither a stop nor the deadline", async () => {
  const strict = await cluster.start({ env: { TURN_DEADLINE_MS: "1500" } });
  // A tool hung in its transaction may lock rows of its user, so each turn has its own user.
  const [first, other] = await Promise.all([cluster.guest(), cluster.guest()]);
  const calls: Script = [
    { text: "Let me see." },
    { tool: "add_task", arguments: ['{"title":"x"}'] },
    { finish: "tool_calls" },
  ];
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const { promise: locked, resolve: lock } = Promise.withResolvers<void>();
  const holding = cluster.sql.begin(async (sql) => {
    await sql`lock table tasks in access exclusive mode`;
    lock();
    await released;
  });
  await locked;
  try {
    const [late, stopped, endless] = [newKey(), newKey(), newKey()];
    cluster.provider.on(late, calls);
    cluster.provider.on(stopped, calls);
    cluster.provider.on(endless, [{ tokens: "word ".repeat(10_000), perSecond: 20 }]);
    const [hanging, talking] = await Promise.all([
      cluster.send(late, {}, { server: strict, user: first }),
      cluster.send(endless, {}, { server: strict }),
    ]);
    const stoppable = await cluster.send(stopped, {}, { user: other });
    await stoppable.until(({ chunks }) => chunks.some(({ type }) => type === "tool-input-available"));
    const askedAtMs = performance.now();
    const stop = await cluster.api<{ status: string }>("POST", `/api/chat/${header(stoppable, "x-chat-id")}/stop`, {
      user: other,
    });
    expect(stop.body.status).toBe("stopped");
    expect(performance.now() - askedAtMs).toBeLessThan(underLoad(2_000));

    for (const [stream, said] of [
      [hanging, "Let me see."],
      [talking, "word "],
    ] as const) {
      expect(await stream.ended).toBe("terminal");
      expect(stream.text.startsWith(said)).toBe(true);
      expect(stream.chunks.at(-2)).toMatchObject({ data: { status: "failed", error: { code: "provider_timeout" } } });
    }
    expect(hanging.chunks).toContainEqual(expect.objectContaining({ type: "tool-output-error" }));
    expect(await (await cluster.provider.request(endless)).closed).toBe("client");
  } finally {
    release();
    await holding;
    await strict.kill("SIGKILL");
  }
});

test("I4 I7 I12: with CONTINUE_INTERRUPTED=auto any surviving server continues an answer, once", async () => {
  env = { CONTINUE_INTERRUPTED: "auto" };
  // Excludes earlier interruptions from continuation.
  await cluster.sql`update turns set ended_at = now() - interval '1 hour' where state = 'interrupted'`;
  await Promise.all([cluster.a.kill("SIGKILL"), cluster.b.kill("SIGKILL")]);
  await restartDead();
  const turnsOf = ({ chatId }: Live) => cluster.sql`
    select id, state, client_key from turns where chat_id = ${chatId} order by created_at`;
  /** The continuation, once it exists. */
  const continuationOf = async (live: Live): Promise<EventStream> => {
    for (;;) {
      const [, next] = await turnsOf(live);
      if (next) return cluster.follow(next.id, { server: cluster.b });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  // Both servers see the provider's interruption; one continues it, and does not continue its own
  // continuation.
  cluster.provider.on(continueInstruction, [{ text: "two " }], [{ text: "three." }, { finish: "stop" }]);
  const before = cluster.requestsFor(continueInstruction).length;
  const early = await begin([[{ text: "One " }]]);
  expect(await early.stream.ended).toBe("terminal");
  const half = await continuationOf(early);
  expect([await half.ended, half.text]).toEqual(["terminal", "One two "]);

  // The owner dies in the middle of the next one.
  const key = newKey();
  const dying = await begin([[{ text: "One two " }, { gate: key }]], { key });
  await dying.stream.until(({ text }) => text === "One two ");
  const reader = await onB(dying);
  await cluster.a.kill("SIGKILL");
  expect(await reader.ended).toBe("terminal");
  const rest = await continuationOf(dying);
  expect([await rest.ended, rest.text]).toEqual(["terminal", "One two three."]);
  expect(textOf(await cluster.answer(dying.chatId, { server: cluster.b }))).toBe("One two three.");

  for (const [live, states] of [
    [early, ["interrupted", "interrupted"]],
    [dying, ["interrupted", "complete"]],
  ] as const) {
    const turns = await turnsOf(live);
    expect(turns.map(({ state }) => state)).toEqual(states);
    expect(turns[1]?.client_key).toBe(`continue:${live.turnId}`);
  }
  expect(cluster.requestsFor(continueInstruction).length).toBe(before + 2);
});
