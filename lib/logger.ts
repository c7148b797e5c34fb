// The one logger: JSON lines on stdout. Errors are reduced to what an operator may read: providers
// and drivers put keys, prompts and rows into their messages, so only known classes keep theirs.

import pino from "pino";
import { processSingleton } from "./process-singletons";

type Described = { name: string; code?: string; status?: number; message?: string; stack?: string; cause?: Described };

/** Name, code and stack of an error; its message only if we or Node wrote it. */
export function describeError(error: unknown, depth = 0): Described {
  if (!(error instanceof Error)) return { name: typeof error };
  const { name, code, statusCode } = error as Error & { code?: unknown; statusCode?: unknown };
  const described: Described = { name };
  if (typeof code === "string") described.code = code;
  if (typeof statusCode === "number") described.status = statusCode;
  // AI SDK errors quote request and response; Drizzle's quote the statement with its parameters
  // (and have no name of their own); Postgres quotes the value in data exceptions, SQLSTATE class
  // 22.
  const refusedValue = name === "PostgresError" && described.code?.startsWith("22");
  const quotes = name.startsWith("AI_") || "params" in error || refusedValue;
  if (!quotes) described.message = withoutFolder(error.message);
  const frames = error.stack?.split("\n").filter((line) => line.startsWith("    at "));
  if (frames?.length) described.stack = withoutFolder(frames.slice(0, 12).join("\n"));
  if (error.cause && depth < 4) described.cause = describeError(error.cause, depth + 1);
  return described;
}

/** Hides the server's installation path; paths inside it stay. */
function withoutFolder(text: string): string {
  const folder = `${process.cwd()}/`;
  return text.replaceAll(`file://${folder}`, "").replaceAll(folder, "");
}

/**
 * Escapes control and bidi characters that JSON.stringify leaves as they are, in JSON's own
 * notation: a terminal would act on them. They only occur inside strings.
 */
export function terminalSafe(line: string): string {
  return line.replace(
    /[^\P{Cc}\n]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Every write wakes the log's reader, and ending turns log a hundred lines per second: batch those.
 */
const gatherMs = 100;
const maxGatheredBytes = 8_192;
const { warn = 40 } = pino.levels.values;

type Output = { stream: ReturnType<typeof pino.destination>; flush(): void; flushSoon(): void };

/** Shared, so that lines keep their order. */
const logOutput = processSingleton<Output>("log-output", () => {
  const stream = pino.destination({ sync: true, minLength: maxGatheredBytes });
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    stream.flushSync();
  };
  const flushSoon = () => {
    timer ??= setTimeout(flush, gatherMs).unref();
  };
  process.on("exit", flush);
  return { stream, flush, flushSoon };
});
const output = logOutput();

export const logger = pino(
  {
    hooks: {
      streamWrite: terminalSafe,
      /** Warnings and errors are written immediately: the process may be about to die. */
      logMethod(args, method, level) {
        method.apply(this, args);
        if (level >= warn) output.flush();
        else output.flushSoon();
      },
    },
    level: process.env.LOG_LEVEL || "info",
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level) => ({ level }) },
    serializers: { err: describeError },
  },
  output.stream,
);
