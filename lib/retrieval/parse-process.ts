// Parses one file in a separate process, so that no file can block the server's event loop, grow
// its memory or access its secrets. parse-queue.ts limits concurrency.
import { type ChildProcess, fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setPriority } from "node:os";
import path from "node:path";
import { z } from "zod";
import { logger } from "@/lib/logger";
import { type ParsedDocument, type ParseFailure, parseDocument, type UploadedFile } from "./parse";
import { maxPassages, type Passage } from "./passages";

export type ParseLimits = {
  /** From the start of the process to its last message. */
  timeoutMs: number;
  /** The V8 heap. */
  maxHeapMiB: number;
  /**
   * The whole process, including buffers and native memory. Monitored where the system supports it
   * (Linux).
   */
  maxResidentMiB: number;
};

/**
 * Several times what the largest file needs: 10 MiB of text take about 2 s and 250 MiB on one core,
 * which may be busy with answers, and those have priority.
 */
export const parseLimits: ParseLimits = { timeoutMs: 30_000, maxHeapMiB: 384, maxResidentMiB: 768 };

/** The process was killed for taking too long or growing too large. */
export type ParseKill = "timeout" | "memory";

/** Resolves the script's imports, as the bundler does for the server. */
const imports = "scripts/imports.mjs";

const watchEveryMs = 100;
/** Below the server's priority: an answer must not wait for a file. */
const niceness = 10;

const passage = z.object({ heading: z.string().max(1_000), text: z.string().max(10_000) });
/** Validates messages: a file might have taken over the process. */
const message = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ready") }),
  z.object({ type: z.literal("passages"), passages: z.array(passage).max(1_000) }),
  z.object({ type: z.literal("document"), title: z.string().max(1_000), mediaType: z.string().max(200) }),
  z.object({
    type: z.literal("failure"),
    failure: z.enum(["unsupported_type", "not_text", "no_text", "too_many_passages"]),
  }),
]);

/**
 * Falls back to parsing in this process where none can be spawned, as on some hosts. Throws a plain
 * Error if the process ends without a result.
 */
export async function parseInProcess(
  file: UploadedFile,
  limits: ParseLimits = parseLimits,
  script = "lib/retrieval/parse-child.ts",
): Promise<ParsedDocument | ParseFailure | ParseKill> {
  const result = await parseIn(start(script, file.filename, limits), file, limits);
  if (result !== "not_started") return result;
  logger.warn({ script }, "a process for parsing could not be started; the server parses this file itself");
  return parseDocument(file);
}

type Result = ParsedDocument | ParseFailure | ParseKill | "not_started";

function parseIn(child: ChildProcess, file: UploadedFile, limits: ParseLimits): Promise<Result> {
  return new Promise((resolve, reject) => {
    const passages: Passage[] = [];
    let ready = false;
    let result: Result | null = null;
    const end = (outcome: Result) => {
      result ??= outcome;
      child.kill("SIGKILL");
    };
    const timer = setTimeout(end, limits.timeoutMs, "timeout");
    const watch = setInterval(async () => {
      if ((await residentMiB(child)) > limits.maxResidentMiB) end("memory");
    }, watchEveryMs);
    const settle = (outcome: Result | Error) => {
      clearTimeout(timer);
      clearInterval(watch);
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    };
    child.on("message", (sent) => {
      const { data } = message.safeParse(sent);
      if (data?.type === "ready") ready = true;
      else if (data?.type === "passages" && passages.length + data.passages.length <= maxPassages)
        for (const each of data.passages) passages.push(each);
      else if (data?.type === "document") end({ title: data.title, mediaType: data.mediaType, passages });
      else if (data?.type === "failure") end(data.failure);
      else child.kill("SIGKILL");
    });
    child.on("error", () => settle("not_started"));
    child.on("close", (code, signal) => {
      // V8 aborts when its heap is full.
      if (ready && (signal === "SIGABRT" || code === 134)) result ??= "memory";
      if (!ready) result ??= "not_started";
      settle(result ?? new Error(`The process that parses a file ended without an answer (${signal ?? code}).`));
    });
    // It may exit before it has read everything; `close` reports that.
    child.stdin?.on("error", () => {});
    child.stdin?.end(file.bytes);
  });
}

function start(script: string, filename: string, limits: ParseLimits): ChildProcess {
  const inRoot = (name: string) => path.join(/* turbopackIgnore: true */ process.cwd(), name);
  const readable = ["lib", "node_modules", "package.json", imports, path.dirname(script)].map(inRoot);
  const child = fork(inRoot(script), [filename], {
    cwd: inRoot("."),
    // No database URL, no keys.
    env: { NODE_ENV: process.env.NODE_ENV ?? "production" },
    execArgv: [
      "--disable-warning=ExperimentalWarning",
      `--max-old-space-size=${limits.maxHeapMiB}`,
      "--permission",
      ...readable.map((place) => `--allow-fs-read=${place}`),
      "--import",
      inRoot(imports),
    ],
    stdio: ["pipe", "ignore", "ignore", "ipc"],
  });
  lowerPriority(child);
  return child;
}

function lowerPriority({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, niceness);
  } catch (error) {
    // Some systems forbid it, or the process has exited: it parses anyway, or `close` reports it.
    logger.debug({ err: error }, "the process that parses a file keeps its priority");
  }
}

/** 0 where unsupported. */
async function residentMiB({ pid }: ChildProcess): Promise<number> {
  try {
    const [, pages] = (await readFile(`/proc/${pid}/statm`, "utf8")).split(" ");
    return (Number(pages) * 4_096) / 1_048_576;
  } catch {
    // Not Linux, or the process has just ended.
    return 0;
  }
}
