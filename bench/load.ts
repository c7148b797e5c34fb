// The bench's readers: a separate process on raw sockets, so that it never is the bottleneck.
// Receives jobs over IPC; during a job it only counts marks and stores bytes, and validates every
// answer after the clock stops.
import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import { connect, type Socket } from "node:net";
import { answerOf, mark } from "./answer.ts";

export type Target = {
  port: number;
  method?: string;
  path: string;
  headers: Record<string, string>;
  body: string;
  bearers?: string[];
};

export type Job = Target & {
  streams: number;
  /** Sequential turns per stream. */
  turns: number;
  tokens: number;
  rate: number;
  /** Spread of the starts. */
  spreadMs: number;
  /** Opens the streams, reports `open` when all tokens have arrived, and stays until `leave`. */
  hold?: boolean;
};

export type Measured = {
  /** From the request to the first token, per turn. */
  firstTokenMs: number[];
  /** The longest gap between two texts, per turn. */
  gapMs: number[];
  tokensPerSecond: number;
  tokens: number;
};

/**
 * Messages to the parent: `open` or `measured`, then `checked`; for held streams, `checked`
 * immediately when one fails.
 */
export type Report = { open: true } | { measured: Measured } | { checked: string[] };

type Turn = { sentMs: number; firstMs: number; lastMs: number; gapMs: number; tokens: number; bytes: Buffer[] };

const left = new EventEmitter();

/** Arrived tokens in buckets of 10 ms, finer than any commit. */
const bucketMs = 10;
const end = Buffer.from("0\r\n\r\n");

async function run(job: Job): Promise<void> {
  const errors: string[] = [];
  const turns: Turn[] = [];
  const arrivals: number[] = [];
  const startMs = performance.now();
  let held = 0;
  let leaving = false;
  const sockets: Socket[] = [];

  async function stream(index: number): Promise<void> {
    const waitMs = (index * job.spreadMs) / job.streams;
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const socket = connect({ host: "127.0.0.1", port: job.port, noDelay: true });
    sockets.push(socket);
    try {
      for (let turn = 0; turn < job.turns; turn++)
        turns.push(await ask(socket, job.bearers?.[index % job.bearers.length] ?? ""));
    } catch (error) {
      errors.push((error as Error).message);
      if (job.hold && !leaving) send({ checked: errors });
    }
    socket.destroy();
  }

  function ask(socket: Socket, token: string): Promise<Turn> {
    const body = job.body
      .replaceAll("{uuid}", () => randomUUID())
      .replace("{prompt}", `tokens=${job.tokens} rate=${job.rate}${job.hold ? " hold" : ""}`);
    const headers = Object.entries({
      Host: "127.0.0.1",
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(body),
      ...job.headers,
    });
    const lines = headers
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join("")
      .replace("{token}", token);
    socket.write(`${job.method ?? "POST"} ${job.path} HTTP/1.1\r\n${lines}\r\n${body}`);
    const turn: Turn = { sentMs: performance.now(), firstMs: 0, lastMs: 0, gapMs: 0, tokens: 0, bytes: [] };
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => {
        socket.removeAllListeners();
        socket.on("error", () => {});
        reject(new Error(reason));
      };
      let tail = Buffer.alloc(0);
      socket.on("error", (error) => fail(error.message));
      socket.on("close", () => fail(`closed after ${turn.tokens} tokens`));
      socket.on("data", (bytes) => {
        turn.bytes.push(bytes);
        let count = 0;
        for (let at = 0; at < bytes.length; at++) if (bytes[at] === mark) count++;
        if (count > 0) {
          const nowMs = performance.now();
          if (turn.firstMs === 0) turn.firstMs = nowMs;
          else turn.gapMs = Math.max(turn.gapMs, nowMs - turn.lastMs);
          turn.lastMs = nowMs;
          turn.tokens += count;
          const bucket = Math.floor((nowMs - startMs) / bucketMs);
          arrivals[bucket] = (arrivals[bucket] ?? 0) + count;
          if (job.hold && turn.tokens === job.tokens && ++held === job.streams) send({ open: true });
        }
        tail =
          bytes.length >= end.length ? bytes.subarray(-end.length) : Buffer.concat([tail, bytes]).subarray(-end.length);
        if (!tail.equals(end)) return;
        socket.removeAllListeners();
        resolve(turn);
      });
    });
  }

  const all = Promise.all(Array.from({ length: job.streams }, (_, index) => stream(index)));
  if (job.hold) {
    await new Promise((resolve) => left.once("leave", resolve));
    leaving = true;
    for (const socket of sockets) socket.destroy();
    await all;
    return send({ checked: errors.filter((error) => !error.startsWith(`closed after ${job.tokens} `)) });
  }
  await all;
  const tokens = turns.reduce((sum, turn) => sum + turn.tokens, 0);
  const lastMs = turns.reduce((last, turn) => Math.max(last, turn.lastMs), 0);
  const whole = (tokens * 1_000) / (lastMs - startMs);
  const tokensPerSecond = (job.rate > 0 && steadyRate(turns, arrivals, startMs)) || whole;
  send({
    measured: {
      firstTokenMs: turns.map((turn) => turn.firstMs - turn.sentMs),
      gapMs: turns.map((turn) => turn.gapMs),
      tokensPerSecond,
      tokens,
    },
  });
  const expected = answerOf(job.tokens);
  for (const turn of turns) {
    const problem = problemOf(Buffer.concat(turn.bytes), expected);
    if (problem) errors.push(problem);
  }
  send({ checked: errors });
}

/**
 * Tokens per second while all streams ran, from the last first token to the first last one. A
 * regression over all points, since arrivals come in steps of one commit and two points say little.
 * Null when the first stream ended before the last began.
 */
function steadyRate(turns: Turn[], arrivals: number[], startMs: number): number | null {
  const from = Math.ceil((Math.max(...turns.map((turn) => turn.firstMs)) - startMs) / bucketMs);
  const to = Math.floor((Math.min(...turns.map((turn) => turn.lastMs)) - startMs) / bucketMs);
  if (!(to - from > 20)) return null;
  let total = 0;
  const points = Array.from({ length: to - from }, (_, index) => {
    total += arrivals[from + index] ?? 0;
    return [index, total] as const;
  });
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const variance = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return ((covariance / variance) * 1_000) / bucketMs;
}

/** What is wrong with a whole answer, in either shape; null when nothing is. */
function problemOf(bytes: Buffer, expected: string): string | null {
  const bodyAt = bytes.indexOf("\r\n\r\n") + 4;
  const status = bytes.subarray(9, 12).toString();
  const body = dechunked(bytes.subarray(bodyAt)).toString();
  if (status !== "200") return `status ${status}: ${body.slice(0, 200)}`;
  let text = "";
  let done = false;
  for (const line of body.split("\n")) {
    if (line === "data: [DONE]") done = true;
    else if (line.startsWith("data: ")) text += textOf(JSON.parse(line.slice(6)));
  }
  if (!done) return "an answer without its end";
  return text === expected ? null : `a text of ${text.length} characters in place of ${expected.length}`;
}

type Event = { type?: string; delta?: string; choices?: { delta: { content?: string } }[] };

function textOf(event: Event): string {
  if (event.type === "text-delta") return event.delta ?? "";
  return event.choices?.[0]?.delta.content ?? "";
}

function dechunked(bytes: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    const length = Number.parseInt(bytes.subarray(at, lineEnd).toString("latin1"), 16);
    if (!(length > 0)) break;
    pieces.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
  return Buffer.concat(pieces);
}

function send(report: Report): void {
  process.send?.(report);
}

process.on("message", (message) => {
  if (message === "leave") left.emit("leave");
  else void run(message as Job);
});
