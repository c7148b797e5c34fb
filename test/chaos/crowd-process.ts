// Thousands of readers in a separate process, so that their cost counts neither for the server nor
// for the test. Started and controlled by crowd.ts. Each reader checks that its ids are 1, 2, 3 …
// without gap or repeat.
import { get } from "node:http";
import type { CrowdVerbs, Gaps } from "./crowd.ts";

type Reader = {
  rest: string;
  seq: number;
  text: string;
  terminal: boolean;
  lastMs: number;
  textMs: number;
  beats: number;
};

/** Below the server's accept backlog. */
const openAtOnce = 100;
const readers: Reader[] = [];
const gaps: number[] = [];
const breaches: string[] = [];
let closed = 0;
let watchers: (() => void)[] = [];

/** The machine's monotonic clock, the same in all processes. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function wake(): void {
  const looking = watchers;
  watchers = [];
  for (const look of looking) look();
}

async function until(fact: () => boolean): Promise<void> {
  while (!fact()) await new Promise<void>((resolve) => watchers.push(resolve));
}

/** Resolves with the stream's first bytes. */
function open(url: string, token: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const reader: Reader = { rest: "", seq: 0, text: "", terminal: false, lastMs: 0, textMs: 0, beats: 0 };
    const headers = { authorization: `Bearer ${token}`, accept: "text/event-stream" };
    const request = get(url, { agent: false, headers }, (response) => {
      if (response.statusCode !== 200) return reject(new Error(`${url} answered ${response.statusCode}`));
      readers.push(reader);
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        take(reader, text);
        resolve();
        wake();
      });
      response.on("error", (error) => breaches.push(String(error)));
      response.on("close", () => {
        closed += 1;
        wake();
      });
    });
    request.on("error", reject);
  });
}

function take(reader: Reader, text: string): void {
  const atMs = nowMs();
  let { rest } = reader;
  rest += text;
  for (;;) {
    // A comment ends with its line, a block with a blank line.
    const isComment = rest.startsWith(":");
    const end = rest.indexOf(isComment ? "\n" : "\n\n");
    if (end < 0) break;
    const block = rest.slice(0, end).replace(/^retry: .*\n/, "");
    rest = rest.slice(end + (isComment ? 1 : 2));
    if (block === ": heartbeat") {
      reader.beats += 1;
      gaps.push(atMs - reader.lastMs);
    }
    reader.lastMs = atMs;
    const match = /^data: (.*)\nid: [0-9a-f-]{36}\.(\d+)$/s.exec(block);
    if (!match) continue;
    reader.seq += 1;
    if (Number(match[2]) !== reader.seq || reader.terminal) breaches.push(`${match[2]} where ${reader.seq} was due`);
    const chunk = JSON.parse(match[1] as string) as { type: string; delta?: string };
    if (chunk.type === "finish") reader.terminal = true;
    if (chunk.type !== "text-delta") continue;
    reader.text += chunk.delta;
    reader.textMs = atMs;
  }
  reader.rest = rest;
}

function spread(values: number[]): Gaps {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

const verbs: CrowdVerbs = {
  async open(urls, token, count) {
    let next = 0;
    const worker = async () => {
      for (let index = next++; index < count; index = next++) await open(urls[index % urls.length] as string, token);
    };
    await Promise.all(Array.from({ length: openAtOnce }, worker));
  },
  async listen() {
    gaps.length = 0;
    for (const reader of readers) reader.beats = 0;
  },
  async beats() {
    const silence = readers.map(({ lastMs }) => nowMs() - lastMs);
    const perReader = readers.map(({ beats }) => beats);
    const gapsMs = spread(gaps);
    return { alive: readers.length - closed, fewest: Math.min(...perReader), gapsMs, silentMs: Math.max(...silence) };
  },
  async received(text, sinceMs) {
    await until(() => readers.every((reader) => reader.text === text));
    return spread(readers.map(({ textMs }) => textMs - sinceMs));
  },
  async ended() {
    await until(() => closed === readers.length);
    return { terminals: readers.filter(({ terminal }) => terminal).length, breaches };
  },
};

type Call = { id: number; verb: keyof CrowdVerbs; values: unknown[] };

process.on("message", async ({ id, verb, values }: Call) => {
  try {
    const run = verbs[verb] as (...values: unknown[]) => Promise<unknown>;
    process.send?.({ id, value: await run(...values) });
  } catch (error) {
    process.send?.({ id, error: String(error) });
  }
});
process.on("disconnect", () => process.exit());
