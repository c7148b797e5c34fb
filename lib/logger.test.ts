import { spawnSync } from "node:child_process";
import { APICallError } from "ai";
import { sql } from "drizzle-orm";
import pino from "pino";
import { expect, it, vi } from "vitest";
import { database, pool } from "@/db/client";
import { testDatabase } from "@/test/database";
import { AppError } from "./errors";
import { describeError, logger } from "./logger";

testDatabase();

const canary = "sk-canary-9c1d";

const thrownBy = (work: PromiseLike<unknown>) =>
  Promise.resolve(work).then(
    () => {
      throw new Error("It did not fail.");
    },
    (error: unknown) => error,
  );

const apiCallError = () =>
  new APICallError({
    message: `Incorrect API key provided: ${canary}`,
    url: `https://provider.example/?key=${canary}`,
    requestBodyValues: { prompt: canary },
    statusCode: 401,
    responseBody: canary,
    responseHeaders: { "x-echo": canary },
  });

it("I22: keeps name, status and location of a provider's error, not its content", () => {
  const described = describeError(apiCallError());
  expect(described).toMatchObject({ name: "AI_APICallError", status: 401 });
  expect(described.stack).toMatch(/^ {4}at /);
  expect(JSON.stringify(described)).not.toContain(canary);
});

it("I22: keeps name and code of a failed statement, not its parameters", async () => {
  const described = describeError(await thrownBy(database().execute(sql`select ${canary}::int`)));
  expect(JSON.stringify(described)).not.toContain(canary);
  expect(described.cause).toMatchObject({ name: "PostgresError", code: "22P02" });
});

it("I22: keeps name and code of the driver's own error, not the rejected value", async () => {
  const described = describeError(await thrownBy(pool().sql`select ${canary}::text::int`));
  expect(described).toMatchObject({ name: "PostgresError", code: "22P02" });
  expect(JSON.stringify(described)).not.toContain(canary);
});

it("unwraps nested errors to a depth of five", () => {
  const wrapped = new AppError("internal", "Something.", { cause: new Error("ours", { cause: apiCallError() }) });
  const described = describeError(wrapped);
  expect(described).toMatchObject({
    name: "AppError",
    message: "Something.",
    cause: { name: "Error", message: "ours", cause: { name: "AI_APICallError", status: 401 } },
  });
  expect(JSON.stringify(described)).not.toContain(canary);
  const loop = new Error("loop");
  loop.cause = loop;
  expect(JSON.stringify(describeError(loop)).match(/"name"/g)).toHaveLength(5);
});

it("I22: keeps the message out of the stack, however many lines it has", () => {
  const error = new TypeError(`first\n    in ${canary}`);
  error.name = "AI_TypeValidationError";
  expect(JSON.stringify(describeError(error))).not.toContain(canary);
});

it.each([
  ["text", "string"],
  [42, "number"],
  [undefined, "undefined"],
  [null, "object"],
  [{ message: canary }, "object"],
])("of %j, thrown, keeps only the type", (thrown, name) => expect(describeError(thrown)).toEqual({ name }));

it("I22: stack locations are relative to the server's folder", () => {
  const error = new Error(`ENOENT: no such file, open '${process.cwd()}/db/schema.ts'`);
  const described = describeError(error);
  expect(described.message).toBe("ENOENT: no such file, open 'db/schema.ts'");
  expect(described.stack).toMatch(/^ {4}at .*lib\/logger\.test\.ts:\d+/);
  expect(JSON.stringify(described)).not.toContain(process.cwd());
});

it("I21: escapes terminal control and bidirectional characters, and drops none", () => {
  const lines: string[] = [];
  const stream = (logger as unknown as Record<symbol, { write(line: string): void }>)[pino.symbols.streamSym];
  vi.spyOn(stream as { write(line: string): void }, "write").mockImplementation((line) => void lines.push(line));
  const file = "a\u001b[31m\u009b2J\u202egnp.exe\u2066\u2028\u007fz";
  logger.warn({ file }, "a document could not be read");
  vi.restoreAllMocks();
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toMatch(/[^\n\x20-\x7e]/);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ file });
});

it("writes warnings and errors at once, and buffers other lines until flush or exit", () => {
  const script = `
    import { logger } from "./lib/logger.ts";
    import { writeSync } from "node:fs";
    logger.info("first");
    writeSync(1, "nothing so far\\n");
    logger.warn("second");
    writeSync(1, "both\\n");
    logger.info("third");
    process.exit(0);`;
  const argv = ["--import", "./scripts/imports.mjs", "--input-type=module-typescript", "--eval", script];
  const { stdout } = spawnSync(process.execPath, argv, { encoding: "utf8" });
  const lines = stdout.trim().split("\n");
  const messages = lines.map((line) => (line.startsWith("{") ? JSON.parse(line).msg : line));
  expect(messages).toEqual(["nothing so far", "first", "second", "both", "third"]);
});
