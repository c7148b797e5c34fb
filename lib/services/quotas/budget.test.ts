// Ceilings and token budgets against a real database: what concurrent servers admit together, and
// that a turn's reservation is settled exactly once, however it ends.
import fc from "fast-check";
import { v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { pool } from "@/db/client";
import { type Connections, connect } from "@/db/connect";
import { claimExpiredTurns, commitChunks } from "@/db/log";
import { insertTurn, type TurnRow } from "@/db/turns";
import { pruneUsage, type TurnCeilings, TurnRefused } from "@/db/usage";
import { insertUser } from "@/db/users";
import { env } from "@/lib/env";
import { turnLog } from "@/lib/log/turn-log";
import { deleteChat } from "@/lib/services/chats/chats";
import { followTurn } from "@/lib/services/turns/follow-turn";
import { startTurn } from "@/lib/services/turns/start";
import { stopTurn } from "@/lib/services/turns/stop";
import type { TurnRequest } from "@/lib/services/turns/turn-request";
import { estimateTokens } from "@/lib/turn/usage";
import { noCeilings, testDatabase } from "@/test/database";
import { type Provider, says, startProvider } from "@/test/provider";

testDatabase();

let provider: Provider;
/** The pools of two servers. */
let servers: Connections[];
const runs: Promise<void>[] = [];
const keepAlive = (work: Promise<void>) => void runs.push(work);

beforeAll(async () => {
  provider = await startProvider();
  Object.assign(process.env, {
    MODELS: "openai:scripted,local",
    OPENAI_BASE_URL: provider.url,
    OPENAI_API: "chat",
    OPENAI_API_KEY: "sk-billed",
    GUESTS: "on",
    RATE_LIMITS: "off",
    MAX_RUNNING_TURNS: "3",
    MAX_OUTPUT_TOKENS: "1000",
    BUDGET_USER_TOKENS_PER_DAY: "10000",
    BUDGET_GUEST_TOKENS_PER_DAY: "4000",
    BUDGET_ALL_GUESTS_TOKENS_PER_DAY: "off",
  });
  servers = [connect(8), connect(8)];
});
afterAll(async () => {
  await turnLog().close(0);
  await Promise.all(runs);
  await Promise.all(servers.map(({ sql }) => sql.end({ timeout: 5 })));
  await provider.close();
});

async function newUser(email: string | null = `${uuidv7()}@example.com`): Promise<string> {
  const id = uuidv7();
  await insertUser({ id, email, name: null, passwordHash: null });
  return id;
}

const sqlOf = (server: number) => (servers[server] as Connections).sql;

/** Starts a turn in a new chat on one of the servers; null when refused for this reason. */
async function begin(
  server: number,
  userId: string,
  ceilings: TurnCeilings,
  reason: TurnRefused["reason"],
  leaseMs = 60_000,
) {
  const [id, chatId, question, answer] = [uuidv7(), uuidv7(), uuidv7(), uuidv7()];
  const turn = { id, userId, chatId, userMessageId: question, messageId: answer, clientKey: id, request: {} };
  try {
    return await insertTurn(sqlOf(server), turn, { newTitle: "t" }, [], ceilings, leaseMs);
  } catch (error) {
    expect(error).toBeInstanceOf(TurnRefused);
    expect(error).toMatchObject({ reason });
    return null;
  }
}

function end(server: number, turn: { id: string; epoch: number }, tokens: number | null, written = 0) {
  const usage = { tokens, requests: 1, written };
  const final = { state: "complete", error: null, parts: "[]", metadata: "{}", text: "", usage };
  return commitChunks(sqlOf(server), [{ turnId: turn.id, epoch: turn.epoch, lastSeq: 0, chunks: [], final }], 60_000);
}

async function taken(userIds: string[]): Promise<{ used: number; reserved: number }> {
  const [row] = await pool().sql`
    select
      (select coalesce(sum(tokens), 0)::int from token_usage where user_id = any(${userIds}::uuid[])) as used,
      (select coalesce(sum(reserved_tokens), 0)::int from turns
        where user_id = any(${userIds}::uuid[]) and state = 'running') as reserved`;
  return row as { used: number; reserved: number };
}

describe("concurrent starts", () => {
  it("run no more turns per user than the limit, on two servers", async () => {
    const userId = await newUser();
    const ceilings = { ...noCeilings, running: 5 };
    const started = await Promise.all(
      Array.from({ length: 40 }, (_, index) => begin(index % 2, userId, ceilings, "running")),
    );
    const turns = started.filter((turn) => turn !== null);
    expect(turns).toHaveLength(5);
    await end(0, turns[0] as TurnRow, null);
    expect(await begin(1, userId, ceilings, "running")).not.toBeNull();
    expect(await begin(0, userId, ceilings, "running")).toBeNull();
    // The refused turn left nothing behind.
    expect(await pool().sql`select from chats where user_id = ${userId}`).toHaveLength(6);
  });

  it.each(["account", "guest", "allGuests", "server"] as const)("spend no more than the budget: %s", async (name) => {
    const isGuest = name === "guest" || name === "allGuests";
    const isShared = name === "allGuests" || name === "server";
    await pool().sql`truncate token_usage`;
    await pool().sql`delete from turns`;
    const users = await Promise.all(
      Array.from({ length: isShared ? 10 : 1 }, () => newUser(isGuest ? null : undefined)),
    );
    const ceilings: TurnCeilings = {
      running: 1_000,
      promptTokens: 30,
      outputTokens: 70,
      budgets: { ...noCeilings.budgets, [name]: 1_050 },
    };
    const started = await Promise.all(
      Array.from({ length: 40 }, (_, index) => begin(index % 2, users[index % users.length] as string, ceilings, name)),
    );
    expect(started.filter((turn) => turn !== null)).toHaveLength(10);
    expect(await taken(users)).toEqual({ used: 0, reserved: 1_000 });
    // An answer that used less than its reservation makes room for another.
    await end(0, started.find((turn) => turn !== null) as TurnRow, 20);
    expect(await begin(1, users[0] as string, ceilings, name)).not.toBeNull();
    expect(await begin(0, users[0] as string, ceilings, name)).toBeNull();
    expect(await taken(users)).toEqual({ used: 20, reserved: 1_000 });
  });

  it("guest budgets do not limit accounts, and account budgets do not limit guests", async () => {
    const [guest, account] = [await newUser(null), await newUser()];
    const shared = { running: 10, promptTokens: 0, outputTokens: 100 };
    const tiny = (budgets: Partial<TurnCeilings["budgets"]>) => ({
      ...shared,
      budgets: { ...noCeilings.budgets, ...budgets },
    });
    expect(await begin(0, account, tiny({ guest: 1, allGuests: 1 }), "guest")).not.toBeNull();
    expect(await begin(0, guest, tiny({ account: 1 }), "account")).not.toBeNull();
    expect(await begin(0, guest, tiny({ guest: 1, allGuests: 1 }), "guest")).toBeNull();
    expect(await begin(0, account, tiny({ account: 1 }), "account")).toBeNull();
  });
});

/**
 * Sequential calls in each of 50 workers on both servers. `STARTS=2000` gives the figures of
 * decision 0024.
 */
it("a shared budget admits what fits, with 50 concurrent starts", async () => {
  await pool().sql`truncate token_usage`;
  await pool().sql`delete from turns`;
  const starts = Number(process.env.STARTS ?? 100);
  const users = await Promise.all(Array.from({ length: 50 }, () => newUser()));
  const perSecond = async (server: number | null) => {
    const ceilings: TurnCeilings = {
      running: starts,
      promptTokens: 30,
      outputTokens: 70,
      budgets: { ...noCeilings.budgets, server },
    };
    const admitted: (TurnRow | null)[] = [];
    const startedMs = performance.now();
    await Promise.all(
      users.map(async (userId, worker) => {
        for (let n = 0; n < starts / users.length; n++)
          admitted.push(await begin(worker % 2, userId, ceilings, "server"));
      }),
    );
    const rate = Math.round(starts / ((performance.now() - startedMs) / 1_000));
    await pool().sql`update turns set state = 'complete' where state = 'running'`;
    return { rate, admitted: admitted.filter((turn) => turn !== null).length };
  };
  const free = await perSecond(null);
  const shared = await perSecond(100 * starts);
  console.log(
    `${starts} starts, 50 at a time: ${free.rate} a second without a budget, ${shared.rate} with a shared one`,
  );
  expect([free.admitted, shared.admitted, (await perSecond(100 * (starts - 3))).admitted]).toEqual([
    starts,
    starts,
    starts - 3,
  ]);
}, 120_000);

type Op =
  | { kind: "start"; server: number; user: number; prompt: number; output: number }
  | { kind: "end"; server: number; turn: number; share: number; measured: boolean; repeated: boolean }
  | { kind: "kill"; turn: number };

const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("start" as const),
      server: fc.nat(1),
      user: fc.nat(2),
      prompt: fc.nat(40),
      output: fc.integer({ min: 1, max: 60 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("end" as const),
      server: fc.nat(1),
      turn: fc.nat(30),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      measured: fc.boolean(),
      repeated: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill" as const), turn: fc.nat(30) }) },
);

it("with any sequence on two servers, each turn is settled once and the budget never exceeded", async () => {
  const budget = 300;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(op, { minLength: 1, maxLength: 8 }), { maxLength: 6 }), async (rounds) => {
      await pool().sql`truncate token_usage`;
      await pool().sql`delete from turns`;
      const users = await Promise.all([0, 1, 2].map(() => newUser(null)));
      const running: TurnRow[] = [];
      /** Tokens used by ended turns, each counted once, however often its end was committed. */
      let used = 0;
      const settle = async (turn: TurnRow, server: number, share: number, measured: boolean, times: number) => {
        const written = Math.floor((turn.reservedTokens - turn.promptTokens) * share);
        const tokens = turn.promptTokens + written;
        used += tokens;
        const commits = Array.from({ length: times }, (_, at) =>
          end((server + at) % 2, turn, measured ? tokens : null, measured ? 0 : written),
        );
        expect((await Promise.all(commits)).flat()).toHaveLength(1);
      };
      for (const round of rounds) {
        await Promise.all(
          round.map(async (each) => {
            if (each.kind === "start") {
              const { server, user, prompt, output } = each;
              const budgets = { ...noCeilings.budgets, guest: 200, server: budget };
              const ceilings = { running: 10, promptTokens: prompt, outputTokens: output, budgets };
              const [id, chatId] = [uuidv7(), uuidv7()];
              const row = {
                id,
                chatId,
                userId: users[user] as string,
                userMessageId: id,
                messageId: id,
                clientKey: id,
                request: {},
              };
              const turn = await insertTurn(sqlOf(server), row, { newTitle: "t" }, [], ceilings, 60_000).catch(
                (error) => {
                  expect(error).toBeInstanceOf(TurnRefused);
                  return null;
                },
              );
              if (turn) running.push(turn);
              return;
            }
            const turn = running.splice(each.turn % Math.max(1, running.length), 1)[0];
            if (!turn) return;
            if (each.kind === "end") return settle(turn, each.server, each.share, each.measured, each.repeated ? 2 : 1);
            // The owner dies; another server takes the turn over, and the owner's late commit
            // changes nothing.
            const { sql } = pool();
            await sql`update turns set lease_until = now() - interval '1 second' where id = ${turn.id}`;
            const [claimed] = await claimExpiredTurns([turn.id], 1, 60_000);
            expect(await end(0, turn, 1_000_000)).toEqual([]);
            await settle({ ...turn, epoch: claimed?.epoch as number }, 1, 0, false, 2);
          }),
        );
        const now = await taken(users);
        expect(now.used).toBe(used);
        expect(now.reserved).toBe(running.reduce((sum, { reservedTokens }) => sum + reservedTokens, 0));
        expect(now.used + now.reserved).toBeLessThanOrEqual(budget);
      }
      // Deleting the chats of running turns releases their reservations.
      await pool().sql`delete from chats where user_id = any(${users}::uuid[])`;
      expect(await taken(users)).toEqual({ used, reserved: 0 });
    }),
    { numRuns: 25 },
  );
}, 60_000);

describe("a turn", () => {
  function ask(text: string, model?: string, chatId = uuidv7()): TurnRequest {
    const id = uuidv7();
    const message = { id, parts: [{ type: "text" as const, text }] };
    return { trigger: "submit-message", chatId, clientKey: id, message, searchMode: "none", model };
  }

  async function finished(turn: TurnRow): Promise<void> {
    const reader = await followTurn(turn, null, 0, false);
    while (await reader.next());
  }

  const promptOf = ({ message }: { message: { parts: unknown } }) => estimateTokens(JSON.stringify(message.parts));

  it("is settled with the provider's usage, an estimate without it, and nothing when the provider refuses", async () => {
    const userId = await newUser();
    provider.on("measured", says("Yes.", { input: 40, output: 2 }));
    await finished(await startTurn(userId, ask("measured"), keepAlive));
    expect(await taken([userId])).toEqual({ used: 42, reserved: 0 });

    provider.on("refused", [{ answer: 401, body: { error: { message: "no" } } }]);
    await finished(await startTurn(userId, ask("refused"), keepAlive));
    await finished(await startTurn(userId, ask("costs nothing", "local"), keepAlive));
    expect(await taken([userId])).toEqual({ used: 42, reserved: 0 });

    provider.on("cut off", [{ text: "x".repeat(300) }, { gate: "cut off" }]);
    const request = ask("cut off") as TurnRequest & { trigger: "submit-message" };
    const turn = await startTurn(userId, request, keepAlive);
    expect(turn).toMatchObject({ promptTokens: promptOf(request), reservedTokens: promptOf(request) + 1_000 });
    await provider.reached("cut off");
    const reader = await followTurn(turn, null, 0, false);
    for (let seen = false; !seen; )
      seen = ((await reader.next()) ?? []).some(({ chunk }) => chunk.type === "text-delta");
    reader.close();
    await stopTurn(userId, turn.id);
    expect(await taken([userId])).toEqual({ used: 42 + promptOf(request) + 100, reserved: 0 });
  });

  it("reserves its history's tokens too, and over budget is refused with the reset time", async () => {
    const userId = await newUser(null);
    const chatId = uuidv7();
    provider.on("long story", says("y".repeat(3_000), { input: 10, output: 900 }));
    const first = ask("long story", undefined, chatId);
    await finished(await startTurn(userId, first, keepAlive));
    const next = await startTurn(userId, ask("and then?", undefined, chatId), keepAlive);
    expect(next.promptTokens).toBeGreaterThanOrEqual(1_000);
    await finished(next);
    const { used } = await taken([userId]);
    await pool().sql`update token_usage set tokens = 3900 where user_id = ${userId}`;
    expect(used).toBeLessThan(3_900);
    const refused = ask("one too many");
    const error = await startTurn(userId, refused, keepAlive).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "budget_exhausted", status: 429 });
    const { retryAfter, details } = error as { retryAfter: number; details: { resetsAt: string } };
    expect(retryAfter).toBeGreaterThan(0);
    expect(retryAfter).toBeLessThanOrEqual(86_400);
    expect(details.resetsAt).toMatch(/T00:00:00\.000Z$/);
    expect(await pool().sql`select from turns where client_key = ${refused.clientKey}`).toHaveLength(0);
    // Repeated sends start no new turn, and the local model is free.
    await finished(await startTurn(userId, first, keepAlive));
    await finished(await startTurn(userId, ask("free", "local"), keepAlive));
    // Yesterday's usage does not count.
    await pool().sql`update token_usage set day = day - 1 where user_id = ${userId}`;
    await finished(await startTurn(userId, ask("a new day"), keepAlive));
  });

  it("of a guest is refused while guests are disabled, unless it costs nothing", async () => {
    const guestId = await newUser(null);
    const before = env().GUESTS;
    onTestFinished(() => void Object.assign(env(), { GUESTS: before }));
    Object.assign(env(), { GUESTS: "off" });
    await expect(startTurn(guestId, ask("free"), keepAlive)).rejects.toMatchObject({
      code: "forbidden",
      publicMessage: expect.stringMatching(/Nothing was sent; create an account to continue/),
    });
    await finished(await startTurn(guestId, ask("costs nothing", "local"), keepAlive));
    Object.assign(env(), { GUESTS: "on" });
    provider.on("free", says("Yes.", { input: 40, output: 2 }));
    await finished(await startTurn(guestId, ask("free"), keepAlive));
    expect(await taken([guestId])).toEqual({ used: 42, reserved: 0 });
  });

  it("is refused over the running-turn limit; repeated sends and a busy chat get their usual answers", async () => {
    const userId = await newUser();
    provider.on("holds a place", [{ text: "…" }, { gate: "places" }, { finish: "stop" }]);
    const requests = [1, 2, 3].map((n) => ask(`holds a place ${n}`));
    const turns = await Promise.all(requests.map((request) => startTurn(userId, request, keepAlive)));
    await expect(startTurn(userId, ask("no place"), keepAlive)).rejects.toMatchObject({
      code: "limit_reached",
      status: 429,
    });
    expect(await startTurn(userId, requests[0] as TurnRequest, keepAlive)).toMatchObject({ id: turns[0]?.id });
    const busy = ask("busy chat", undefined, requests[1]?.chatId);
    await expect(startTurn(userId, busy, keepAlive)).rejects.toMatchObject({ code: "turn_running" });
    // Deleting a chat also frees its turn's place.
    await deleteChat(userId, requests[2]?.chatId as string);
    await finished(await startTurn(userId, ask("a place"), keepAlive));
    provider.open("places");
    for (const turn of turns.slice(0, 2)) await finished(turn);
    await finished(await startTurn(userId, ask("places again"), keepAlive));
  });
});

it("prunes old days", async () => {
  const userId = await newUser();
  await pool().sql`
    insert into token_usage (day, user_id, guest, tokens)
    select (now() at time zone 'UTC')::date - age, ${userId}, false, 1 from unnest(array[0, 30, 31, 32, 400]) as age`;
  await pruneUsage(31);
  expect(await taken([userId])).toMatchObject({ used: 3 });
});
