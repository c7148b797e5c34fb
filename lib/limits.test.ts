import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { closePool, pool } from "@/db/client";
import { testDatabase } from "@/test/database";
import { env } from "./env";
import { type Cost, limits, refund, requireRemaining, spend } from "./limits";
import { processSingletons } from "./process-singletons";

const databaseUrl = testDatabase();

const refusal = { code: "rate_limited", retryAfter: expect.any(Number) };

beforeEach(async () => {
  processSingletons.delete("limits");
  await pool().sql`delete from rate_limits`;
});

/** Another server on the same database: the module keeps its process state in one singleton. */
function newServer() {
  let own: object | undefined;
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (own) processSingletons.set("limits", own);
    else processSingletons.delete("limits");
    try {
      return await work();
    } finally {
      own = processSingletons.get("limits");
    }
  };
}

/** How many of these were not refused. */
async function allowed(calls: Promise<void>[]): Promise<number> {
  const results = await Promise.allSettled(calls);
  for (const result of results) if (result.status === "rejected") expect(result.reason).toMatchObject(refusal);
  return results.filter(({ status }) => status === "fulfilled").length;
}

describe("on one server", () => {
  it("allows exactly the limit sequentially", async () => {
    for (let use = 0; use < limits.turn.user.uses; use++) await spend(["turn"], { user: "ada" });
    await expect(spend(["turn"], { user: "ada" })).rejects.toMatchObject(refusal);
    expect(() => requireRemaining(["turn"], { user: "ada" })).toThrow(expect.objectContaining(refusal));
    await spend(["turn"], { user: "bob" });
  });

  it("allows exactly the limit concurrently", async () => {
    const calls = Array.from({ length: 200 }, () => spend(["turn"], { user: "ada" }));
    expect(await allowed(calls)).toBe(limits.turn.user.uses);
  });

  it("says when to retry: after the window, in a readable message", async () => {
    const who = { address: "203.0.113.9", email: "ada@example.com" };
    for (let use = 0; use < limits.signIn.addressAndEmail.uses; use++) await spend(["signIn"], who);
    const error = await spend(["signIn"], who).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      status: 429,
      publicMessage: expect.stringMatching(/^Too many requests\. Nothing was changed; try again in \d+ seconds\.$/),
    });
    const { retryAfter } = error as { retryAfter: number };
    expect(retryAfter).toBeGreaterThan(0);
    expect(retryAfter).toBeLessThanOrEqual(limits.signIn.addressAndEmail.seconds);
  });

  it("counts guesses of one email across addresses, and of many emails from one address", async () => {
    const guessOne = (n: number) => spend(["signIn"], { address: `192.0.2.${n}`, email: "ada@example.com" });
    expect(await allowed(Array.from({ length: 150 }, (_, n) => guessOne(n)))).toBe(limits.signIn.email.uses);
    const guessMany = (n: number) => spend(["signIn"], { address: "198.51.100.7", email: `${n}@example.com` });
    expect(await allowed(Array.from({ length: 150 }, (_, n) => guessMany(n)))).toBe(limits.signIn.address.uses);
  });

  it("counts all callers together for the global limit", async () => {
    const before = env().RATE_LIMITS;
    // Ten sign-ins a minute for everybody, and one per address and email.
    Object.assign(env(), { RATE_LIMITS: 0.01 });
    onTestFinished(() => void Object.assign(env(), { RATE_LIMITS: before }));
    const calls = Array.from({ length: 30 }, (_, n) =>
      spend(["signIn"], { address: `192.0.2.${n}`, email: `${n}@example.com` }),
    );
    expect(await allowed(calls)).toBe(limits.signIn.everyone.uses / 100);
  });

  it("refunds requests that turned out to cost nothing", async () => {
    for (let use = 0; use < 5 * limits.turn.user.uses; use++) {
      await spend(["turn"], { user: "ada" });
      refund(["turn"], { user: "ada" });
    }
    for (let use = 0; use < limits.turn.user.uses; use++) await spend(["turn"], { user: "ada" });
    await expect(spend(["turn"], { user: "ada" })).rejects.toMatchObject(refusal);
  });

  it("resets when the window ends", async () => {
    for (let use = 0; use < limits.turn.user.uses; use++) await spend(["turn"], { user: "ada" });
    await pool().sql`update rate_limits set expires_at = now()`;
    // Like a server that has had no request yet.
    processSingletons.delete("limits");
    await spend(["turn"], { user: "ada" });
  });

  it("queries the database for fewer than one request in three", async () => {
    await pool().sql`create function count_statements() returns trigger language plpgsql as $$ begin
      perform nextval('statements'); return null; end $$`;
    await pool().sql`create sequence statements`;
    await pool().sql`create trigger count_statements after insert on rate_limits execute function count_statements()`;
    for (let use = 0; use < limits.turn.user.uses; use++) await spend(["turn"], { user: "ada" });
    const [row] = await pool().sql`select last_value::int as statements from statements`;
    expect(row?.statements).toBeLessThan(limits.turn.user.uses / 3);
    await pool().sql`drop trigger count_statements on rate_limits`;
  });
});

describe("on several servers", () => {
  it("password guesses share a counter", async () => {
    const [a, b] = [newServer(), newServer()];
    const guess = () => spend(["signIn"], { address: "203.0.113.9", email: "ada@example.com" });
    for (let n = 0; n < limits.signIn.addressAndEmail.uses; n++) await (n % 2 ? a : b)(guess);
    for (const server of [a, b]) await expect(server(guess)).rejects.toMatchObject(refusal);
  });

  it("together they never exceed the limit, and each gets a share", async () => {
    const servers = Array.from({ length: 4 }, newServer);
    const counts = servers.map(() => 0);
    for (let round = 0; round < limits.turn.user.uses; round++)
      for (const [index, server] of servers.entries())
        counts[index] = (counts[index] as number) + (await server(() => allowed([spend(["turn"], { user: "ada" })])));
    const sum = counts.reduce((total, count) => total + count);
    expect(sum).toBeLessThanOrEqual(limits.turn.user.uses);
    // Each server reserves at most a tenth without using it.
    expect(sum).toBeGreaterThanOrEqual(limits.turn.user.uses * 0.6);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  });

  it("a rarely used server leaves its unused share to the other nineteen", async () => {
    const servers = Array.from({ length: 20 }, newServer);
    for (const server of servers) await server(() => spend(["turn"], { user: "ada" }));
    const [row] = await pool().sql`select uses from rate_limits where key = 'turn/user/ada'`;
    expect(row?.uses).toBe(servers.length);
  });
});

describe("old counters", () => {
  it("are deleted from the database", async () => {
    await pool()
      .sql`insert into rate_limits values ('old', 1, now() - interval '1 second'), ('new', 1, now() + interval '1 hour')`;
    const sweptMs = performance.now() - 3_600_000;
    processSingletons.set("limits", { counters: new Map(), sweptMs, unavailableUntilMs: 0 });
    await spend(["turn"], { user: "ada" });
    const keys = async () => (await pool().sql`select key from rate_limits order by key`).map(({ key }) => key);
    await expect.poll(keys).toEqual(["new", "turn/everyone/", "turn/user/ada"]);
  });
});

describe("without the database", () => {
  afterEach(async () => {
    process.env.DATABASE_URL = databaseUrl();
    await closePool();
  });

  it("allows everything: requests that need the database get 503 anyway", async () => {
    await closePool();
    // Nothing listens on the discard port.
    process.env.DATABASE_URL = "postgres://nobody@127.0.0.1:9/nothing";
    for (let use = 0; use < 2 * limits.turn.user.uses; use++) await spend(["turn"], { user: "ada" });
  });
});

it("no single address can exhaust a shared limit", () => {
  for (const [cost, scopes] of Object.entries(limits) as [Cost, Record<string, { uses: number; seconds: number }>][]) {
    const { everyone } = scopes;
    const { address } = { ...limits.request, ...scopes };
    const perSecond = (limit: typeof everyone) => (limit ? limit.uses / limit.seconds : Number.POSITIVE_INFINITY);
    expect(perSecond(everyone) / perSecond(address), cost).toBeGreaterThanOrEqual(5);
  }
});
