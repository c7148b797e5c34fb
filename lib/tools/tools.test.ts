import { asSchema, type ToolSet } from "ai";
import fc from "fast-check";
import postgres from "postgres";
import { v7 as uuidv7 } from "uuid";
import { describe, expect, it } from "vitest";
import { database } from "@/db/client";
import { users } from "@/db/schema";
import { testDatabase } from "@/test/database";
import { guardTool } from "./guard";
import { toolsFor } from "./registry";
import { ToolFailure } from "./tool-family";

const databaseUrl = testDatabase();

type Task = { task_id: number; title: string; status: string; [field: string]: unknown };
type Result = { task: Task; tasks: Task[]; deleted: Task; has_more: boolean };
type Call = (
  name: string,
  input?: object,
  options?: { toolCallId?: string; abortSignal?: AbortSignal },
) => Promise<Result>;

let calls = 0;

/** Calls tools like the SDK: arguments parsed by the schema, then `execute`. */
function callerOf(tools: ToolSet): Call {
  return async (name, input = {}, options = {}) => {
    const tool = tools[name];
    const parsed = await asSchema(tool?.inputSchema).validate?.(input);
    if (!parsed?.success) throw parsed?.error;
    calls += 1;
    return tool?.execute?.(parsed.value, {
      toolCallId: `call_${calls}`,
      messages: [],
      context: {},
      ...options,
    }) as Result;
  };
}

async function newUser(): Promise<{ userId: string; call: Call; reported: unknown[] }> {
  const userId = uuidv7();
  await database().insert(users).values({ id: userId });
  const reported: unknown[] = [];
  return { userId, reported, call: callerOf(toolsFor(userId, (error) => reported.push(error))) };
}

const noSuchTask = new ToolFailure("There is no task with this task_id. list_tasks tells which there are.");

describe("the task list", () => {
  it("supports add, list, complete, update and delete", async () => {
    const { call, reported } = await newUser();
    const added = await call("add_task", { title: "Buy milk" });
    expect(added).toEqual({
      task: {
        task_id: 1,
        title: "Buy milk",
        description: "",
        status: "pending",
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        completed_at: null,
      },
    });
    await call("add_task", { title: "Call Ann", description: "About Sunday" });
    const { task: done } = await call("complete_task", { task_id: 1 });
    expect(done).toMatchObject({ task_id: 1, status: "completed", completed_at: expect.stringMatching(/Z$/) });
    expect(await call("complete_task", { task_id: 1 })).toEqual({ task: done });

    expect((await call("update_task", { task_id: 2, title: "Call Anna" })).task).toMatchObject({
      title: "Call Anna",
      description: "About Sunday",
      status: "pending",
    });
    expect((await call("update_task", { task_id: 2, description: "" })).task).toMatchObject({ description: "" });
    expect((await call("update_task", { task_id: 1, status: "pending" })).task).toMatchObject({ completed_at: null });
    expect((await call("update_task", { task_id: 1, status: "completed" })).task.status).toBe("completed");

    const titles = async (input: object) => (await call("list_tasks", input)).tasks.map(({ title }) => title);
    expect(await titles({})).toEqual(["Buy milk", "Call Anna"]);
    expect(await titles({ status: "pending" })).toEqual(["Call Anna"]);
    expect(await titles({ status: "completed" })).toEqual(["Buy milk"]);
    expect((await call("delete_task", { task_id: 2 })).deleted.title).toBe("Call Anna");
    expect(await titles({ status: "all" })).toEqual(["Buy milk"]);
    // A number mentioned in the conversation never names another task later.
    expect((await call("add_task", { title: "Third" })).task.task_id).toBe(3);
    expect(reported).toEqual([]);
  });

  it("is paged in order, to the end", async () => {
    const { call, userId } = await newUser();
    await database().execute(`insert into tasks (user_id, number, title)
      select '${userId}', n, 'Task ' || n from generate_series(1, 1000) n`);
    await database().execute(`update users set last_task_number = 1000 where id = '${userId}'`);
    const seen: number[] = [];
    let page: Result | undefined;
    while (!page || page.has_more) {
      page = await call("list_tasks", { after_task_id: seen.at(-1) });
      expect(page.tasks).toHaveLength(100);
      seen.push(...page.tasks.map(({ task_id }) => task_id));
    }
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, index) => index + 1));

    await expect(call("add_task", { title: "One too many" })).rejects.toThrow(
      new ToolFailure("The list is full: it holds 1000 tasks. Delete some to add others."),
    );
    await call("delete_task", { task_id: 500 });
    const tries = await Promise.allSettled(["a", "b", "c"].map((title) => call("add_task", { title })));
    expect(tries.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
  });

  it("numbers concurrently added tasks uniquely", async () => {
    const { call } = await newUser();
    await Promise.all(Array.from({ length: 20 }, (_, index) => call("add_task", { title: `${index}` })));
    const { tasks } = await call("list_tasks");
    expect(tasks.map(({ task_id }) => task_id)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  it("I20: contains only the caller's tasks: other users' look like unknown ones", async () => {
    const [ann, bob] = [await newUser(), await newUser()];
    await ann.call("add_task", { title: "Ann's" });
    for (const [name, input] of [
      ["complete_task", {}],
      ["update_task", { title: "Bob's" }],
      ["delete_task", {}],
    ] as const) {
      for (const task_id of [1, 77, 2_147_483_647])
        await expect(bob.call(name, { task_id, user_id: ann.userId, ...input })).rejects.toThrow(noSuchTask);
    }
    expect((await bob.call("list_tasks", { user_id: ann.userId })).tasks).toEqual([]);
    expect((await bob.call("add_task", { title: "Bob's", user_id: ann.userId })).task.task_id).toBe(1);
    expect((await ann.call("list_tasks")).tasks).toMatchObject([{ title: "Ann's", status: "pending" }]);
    expect([ann.reported, bob.reported]).toEqual([[], []]);
  });
});

describe("arguments", () => {
  it.each<[string, object]>([
    ["add_task", {}],
    ["add_task", { title: "" }],
    ["add_task", { title: " \n\t " }],
    ["add_task", { title: "\0" }],
    ["add_task", { title: "x".repeat(201) }],
    ["add_task", { title: 7 }],
    ["add_task", { title: "x", description: "x".repeat(2_001) }],
    ["list_tasks", { status: "open" }],
    ["list_tasks", { after_task_id: -1 }],
    ["complete_task", {}],
    ["complete_task", { task_id: 0 }],
    ["complete_task", { task_id: 1.5 }],
    ["complete_task", { task_id: 2_147_483_648 }],
    ["complete_task", { task_id: "1 or 1=1" }],
    ["update_task", { task_id: 1, status: "gone" }],
    ["delete_task", { task_id: null }],
  ])("%s refuses %j", async (name, input) => {
    const { call } = await newUser();
    await expect(call(name, input)).rejects.toThrow(/"path"/);
  });

  it("an update without changes is rejected with an explanation", async () => {
    const { call } = await newUser();
    await call("add_task", { title: "x" });
    await expect(call("update_task", { task_id: 1 })).rejects.toThrow(
      new ToolFailure("Nothing to change: give a title, a description or a status."),
    );
  });

  it("the longest texts are accepted; a title is one line", async () => {
    const { call } = await newUser();
    const title = "ü".repeat(200);
    const description = "line\n".repeat(400).trim();
    expect((await call("add_task", { title: `  ${title}\n`, description })).task).toMatchObject({ title, description });
    expect((await call("add_task", { title: "two\r\nlines\tand  tabs" })).task.title).toBe("two lines and tabs");
  });

  it("any text is stored unchanged except for NUL, lone surrogates and white space in titles", async () => {
    const { call } = await newUser();
    const hostile = [
      "'; drop table tasks; --",
      "<script>alert(1)</script>",
      "\u2028data: [DONE]\u2029",
      "{{x}}%s",
      "\0a",
      "a\ud800",
    ];
    const text = fc.oneof(fc.constantFrom(...hostile), fc.string({ unit: "binary", maxLength: 60 }));
    await fc.assert(
      fc.asyncProperty(text, async (value) => {
        const { task } = await call("add_task", { title: `t${value}`, description: value });
        const stored = value.replaceAll("\0", "").toWellFormed();
        expect(task.title).toBe(`t${stored}`.replace(/\s+/g, " ").trim());
        expect(task.description).toBe(stored.trim());
      }),
      { numRuns: 60 },
    );
  });
});

describe("every tool", () => {
  it("runs a repeated call in one step once; the same id in another step is another call", async () => {
    const { call } = await newUser();
    const twice = { toolCallId: "call_same" };
    const [one, two] = await Promise.all([
      call("add_task", { title: "x" }, twice),
      call("add_task", { title: "x" }, twice),
    ]);
    expect(two).toEqual(one);
    await call("add_task", { title: "y" }, twice);
    expect((await call("list_tasks")).tasks.map(({ title }) => title)).toEqual(["x", "y"]);
  });

  it("I22: a database error becomes one fixed message, and is reported", async () => {
    const userId = uuidv7();
    const reported: unknown[] = [];
    const call = callerOf(toolsFor(userId, (error) => reported.push(error)));
    // The list's owner is gone.
    const failure = await call("add_task", { title: "canary" }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ToolFailure);
    expect(String(failure)).toBe(
      "This tool is not working at the moment, and it may or may not have changed something. Check before trying again.",
    );
    expect(reported).toEqual([(failure as Error).cause]);
  });

  it("a stop does not wait for it and reports nothing; no tool starts afterwards", async () => {
    const { call, userId, reported } = await newUser();
    const sql = postgres(databaseUrl(), { max: 2 });
    const stop = new AbortController();
    const options = { abortSignal: stop.signal };
    await sql.begin(async (locked) => {
      await locked`select 1 from users where id = ${userId} for update`;
      const stopped = expect(call("add_task", { title: "under way" }, options)).rejects.toThrow(ToolFailure);
      const waiting = () => sql`
        select 1 from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database() and query like '%last_task_number%'`;
      await expect.poll(waiting, { interval: 10, timeout: 10_000 }).toHaveLength(1);
      stop.abort({ status: "stopped" });
      await stopped;
    });
    await sql.end();
    await expect(call("add_task", { title: "too late" }, options)).rejects.toThrow(ToolFailure);
    // Started work completes, as the contract says.
    const list = async () => (await call("list_tasks")).tasks.map(({ title }) => title);
    await expect.poll(list, { interval: 10, timeout: 10_000 }).toEqual(["under way"]);
    expect(reported).toEqual([]);
  });

  it("a hanging statement is cancelled by the database, and its locks are released", async () => {
    const { userId, call, reported } = await newUser();
    const [blocker, other] = [postgres(databaseUrl(), { max: 1 }), postgres(databaseUrl(), { max: 1 })];
    await blocker.begin(async (locked) => {
      await locked`lock table tasks in exclusive mode`;
      const added = expect(call("add_task", { title: "hangs" })).rejects.toThrow(ToolFailure);
      const waiting = () => other`
        select 1 from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database() and query like '%"tasks"%'`;
      await expect.poll(waiting, { interval: 10, timeout: 10_000 }).toHaveLength(1);
      const lockUser = () => other`select 1 from users where id = ${userId} for update skip locked`;
      // Its transaction counts under the lock on the user's row.
      expect(await lockUser()).toHaveLength(0);
      await added;
      expect(await lockUser()).toHaveLength(1);
      expect(await waiting()).toHaveLength(0);
    });
    await Promise.all([blocker.end(), other.end()]);
    expect(reported).toMatchObject([{ cause: { code: "55P03" } }]);
  });

  it("I22: an exception's message does not reach the model", async () => {
    const reported: unknown[] = [];
    const broken = guardTool(
      { inputSchema: {}, execute: async () => Promise.reject(new Error("postgres://secret")) } as never,
      (error) => reported.push(error),
    );
    const options = { toolCallId: "1", messages: [], context: {} };
    const failure = await Promise.resolve(broken.execute?.({}, options)).catch((error: unknown) => error);
    expect(String(failure)).not.toContain("secret");
    expect(reported).toHaveLength(1);
  });

  it("is abandoned when it does not finish", async () => {
    const reported: unknown[] = [];
    const endless = { inputSchema: {}, execute: () => new Promise<never>(() => {}) } as never;
    const options = { toolCallId: "1", messages: [], context: {} };
    const call = guardTool(endless, (error) => reported.push(error), 20).execute?.({}, options);
    await expect(Promise.resolve(call)).rejects.toThrow(ToolFailure);
    expect(reported).toMatchObject([{ name: "TimeoutError" }]);
  });
});
