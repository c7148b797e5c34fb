// Every statement in the code, against a busy installation's database: none may scan a large table
// in full, and none that a request waits for may take more than 50 ms.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deleteChat } from "@/db/chats";
import { pool, sweep } from "@/db/client";
import { testDatabase } from "@/test/database";
import { underLoad } from "@/test/under-load";
import { inBackground, ofRoutes } from "./calls";
import { excused } from "./excused";
import { Explainer, forgotten, largeTables, modulesOfDb } from "./explain";
import { heavy, seed } from "./seed";

const url = testDatabase();
const maxMs = 50;
let explainer: Explainer;

beforeAll(async () => {
  await seed(url());
  explainer = new Explainer(url());
  await explainer.begin();
});
afterAll(() => explainer?.end());

it.each(ofRoutes)("$title: no sequential scan of a large table, no statement over 50 ms", (call) =>
  explainer.check(call, maxMs),
);

it.each(inBackground)("$title: no sequential scan of a large table", (call) => explainer.check(call, 20 * maxMs));

describe("the checker", () => {
  const checked = (text: string, values: string[] = [], limitMs = maxMs) =>
    explainer.check({ run: () => pool().sql.unsafe(text, values), standIns: {} }, limitMs);

  it("fails a statement without an index, even if its plan is right for these values", async () => {
    await expect(checked("select count(*) from tokens where name = 'nobody'")).rejects.toThrow("Seq Scan on tokens");
    // With its values known it uses the index.
    const generic = "select name from users where $1::text is null or email = $1";
    await expect(checked(generic, ["user11@example.org"])).rejects.toThrow("Seq Scan on users");
    const wholeIndex = "select email from users where email like '%nobody%'";
    await expect(checked(wholeIndex)).rejects.toThrow(/Scan on users/);
  });

  it("fails a scan inside a function", async () => {
    await pool().sql.unsafe(`
      create function planted() returns bigint language plpgsql as
        $$ begin return (select count(*) from tokens where name = 'nobody'); end $$`);
    await expect(checked("select planted()")).rejects.toThrow("by a function or a trigger");
  });

  it("fails a slow statement, and a call that sends none", async () => {
    await expect(checked("select pg_sleep(0.1)", [], 1)).rejects.toThrow("to be less than");
    await expect(explainer.check({ run: () => {}, standIns: {} }, maxMs)).rejects.toThrow();
  });

  it("sees the statements of a sweep", async () => {
    const run = () => sweep((sql) => sql`delete from turns where error::text = 'never'`);
    await expect(explainer.check({ run, standIns: {} }, 60_000)).rejects.toThrow("Seq Scan on turns");
  });

  it("finds every function of db/ that is neither called nor exempt", async () => {
    const modules = await modulesOfDb();
    expect(Object.keys(modules)).toContain("turns");
    const calls = [...ofRoutes, ...inBackground];
    expect(forgotten(modules, calls, excused)).toEqual([]);
    const planted = { ...modules, planted: { verb: () => {} } };
    expect(forgotten(planted, calls, { ...excused, "turns.gone": "was renamed" })).toEqual([
      "planted.verb",
      "turns.gone",
    ]);
  });

  it("finds no statement on a large table outside db/", () => {
    const table = new RegExp(`\\b(from|into|update|join)\\s+"?(${largeTables.join("|")})\\b`, "i");
    const root = path.join(import.meta.dirname, "../..");
    const withStatements = ["app", "components", "lib"]
      .flatMap((room) =>
        readdirSync(path.join(root, room), { recursive: true, encoding: "utf8" }).map((file) => path.join(room, file)),
      )
      .filter((file) => /(?<!\.test)\.tsx?$/.test(file) && file !== "test/log/scripted-turn.ts")
      .filter((file) => {
        const text = readFileSync(path.join(root, file), "utf8");
        return /\bsql`/.test(text) && table.test(text);
      });
    expect(withStatements).toEqual([]);
  });
});

it("deletes a chat of 2,000 turns, then a user with 18,000 chats, without a table scan per chat", async () => {
  const direct = postgres(url(), { max: 1 });
  const startMs = performance.now();
  await deleteChat(heavy.userId, heavy.bigChatId);
  await direct`delete from users where id = ${heavy.userId}`;
  // Over nine minutes without the foreign key's index, seconds with it: any bound in between works.
  expect(performance.now() - startMs).toBeLessThan(underLoad(90_000));
  await direct.end();
}, 600_000);
