// A strict test client: records every byte with its arrival time, parses by docs/protocol.md §2 and
// checks the order of ids itself, across reconnects. A protocol violation rejects `ended` and
// `until`; a test that awaits neither still fails, by an unhandled rejection.
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { isTerminal, type TurnChunk } from "@/lib/turn/chunks";
import { leakWatch } from "./leaks.ts";

export type Frame = { event: string | undefined; data: string; id: string | undefined; atMs: number };

/**
 * `terminal`: after a turn's last frame. `eof`: closed by the server before it. `reset`: the socket
 * broke. `refused`: no stream, but a response with status 400 or higher.
 */
export type Ending = "terminal" | "eof" | "reset" | "closed" | `refused: ${string}`;

export type OpenOptions = {
  token?: string;
  /** Sent as JSON by POST; without it the request is a GET. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Resumes where that stream stopped: sends its cursor and starts from everything it saw. */
  after?: EventStream;
  /**
   * `log`, the default: dialect ai-sdk, every chunk a frame, from seq 1 or right after the cursor.
   * `compacted`: dialect ai-sdk followed without a cursor, where one frame may stand for many
   * chunks.
   * `dialect`: any other; its frames are not chunks, and not every chunk makes one.
   */
  kind?: "log" | "compacted" | "dialect";
  /** For slow readers: does not read until `resume()`. */
  paused?: boolean;
};

export type EventStream = {
  status: number;
  headers: IncomingHttpHeaders;
  /** The whole body when the response is not an event stream; otherwise "". */
  body: string;
  /**
   * Everything below includes what earlier streams in `after` had seen, except `bytes` and
   * `comments`.
   */
  frames: Frame[];
  bytes: { atMs: number; bytes: Buffer }[];
  comments: { text: string; atMs: number }[];
  retryMs: number | undefined;
  /** The chunks of dialect ai-sdk, without `[DONE]`. */
  chunks: TurnChunk[];
  /** The joined text deltas of dialect ai-sdk. */
  text: string;
  /** The last id. */
  cursor: string | undefined;
  ended: Promise<Ending>;
  /** Resolves once the predicate holds, checked per frame and comment. Rejects at the end. */
  until(predicate: (stream: EventStream) => boolean): Promise<void>;
  pause(): void;
  resume(): void;
  close(): void;
};

/** Resolves with the response headers, or with the body if it is not an event stream. */
export async function openStream(url: string, options: OpenOptions = {}): Promise<EventStream> {
  const response = await send(url, options);
  const { after, kind = "log" } = options;
  const ended = Promise.withResolvers<Ending>();
  const watchers = new Set<() => void>();
  let over: Ending | Error | undefined;

  const stream: EventStream = {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: "",
    frames: [...(after?.frames ?? [])],
    bytes: [],
    comments: [],
    retryMs: undefined,
    chunks: [...(after?.chunks ?? [])],
    text: after?.text ?? "",
    cursor: after?.cursor,
    ended: ended.promise,
    until: (predicate) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const met = predicate(stream);
          if (!met && over === undefined) return;
          watchers.delete(look);
          if (met) resolve();
          else reject(over instanceof Error ? over : new Error(`The stream ended (${over}) after ${seenBy(stream)}`));
        };
        watchers.add(look);
        look();
      }),
    pause: () => response.pause(),
    resume: () => response.resume(),
    close() {
      finish("closed");
      response.destroy();
    },
  };
  const wake = () => {
    for (const look of [...watchers]) look();
  };

  function finish(how: Ending | Error): void {
    if (over !== undefined) return;
    over = how;
    if (how instanceof Error) ended.reject(how);
    else ended.resolve(how);
    wake();
  }

  const streaming = /^text\/(event-stream|plain)/.test(response.headers["content-type"] ?? "");
  const ids = idChecker(kind === "log", after?.cursor);
  const watch = leakWatch("answer", url);
  let rest = Buffer.alloc(0);

  function take(bytes: Buffer): void {
    const atMs = performance.now();
    watch(bytes.toString("latin1"));
    stream.bytes.push({ atMs, bytes });
    rest = Buffer.concat([rest, bytes]);
    // Decodes only whole blocks, so that a character split between packets is never torn.
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const block = new TextDecoder("utf-8", { fatal: true }).decode(rest.subarray(0, end));
      rest = rest.subarray(end + 2);
      record(block, atMs);
    }
    // A comment ends with its line.
    while (rest[0] === 58 && rest.includes(10)) {
      const line = rest.subarray(0, rest.indexOf(10)).toString();
      rest = rest.subarray(rest.indexOf(10) + 1);
      record(line, atMs);
    }
    wake();
  }

  function record(block: string, atMs: number): void {
    const { comments, retryMs, frame } = parseBlock(block, atMs);
    stream.comments.push(...comments.map((text) => ({ text, atMs })));
    if (retryMs !== undefined) {
      if (stream.retryMs !== undefined) throw new Error("retry: came twice");
      stream.retryMs = retryMs;
    }
    if (!frame) return;
    if (frame.id !== undefined) {
      ids(frame.id);
      stream.cursor = frame.id;
    }
    const chunk = kind === "dialect" ? undefined : chunkOf(frame);
    const last = stream.chunks.at(-1);
    if (chunk && last && isTerminal(last)) throw new Error(`A chunk after the terminal: ${frame.data}`);
    stream.frames.push(frame);
    if (!chunk) return;
    stream.chunks.push(chunk);
    if (chunk.type === "text-delta") stream.text += chunk.delta;
  }

  function ending(): Ending {
    const last = stream.chunks.at(-1);
    return last && isTerminal(last) ? "terminal" : "eof";
  }

  if (!streaming) {
    for await (const part of response) stream.body += String(part);
    watch(stream.body);
    finish(stream.status < 400 ? "eof" : `refused: ${stream.status} ${stream.body}`);
    return stream;
  }
  response.on("data", (bytes: Buffer) => {
    if (over !== undefined) return;
    try {
      take(bytes);
    } catch (error) {
      finish(new Error(`Protocol breach after ${seenBy(stream)}`, { cause: error }));
      response.destroy();
    }
  });
  response.on("end", () => {
    const cut = rest.length > 0 && ending() === "eof";
    finish(cut ? "reset" : ending());
  });
  response.on("error", () => finish("reset"));
  if (options.paused) response.pause();
  return stream;
}

function send(url: string, { token, body, headers, after }: OpenOptions): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      url,
      {
        method: body === undefined ? "GET" : "POST",
        // Its own connection: closing it must not affect another stream.
        agent: false,
        headers: {
          accept: "text/event-stream",
          ...(token && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { "content-type": "application/json" }),
          ...(after?.cursor && { "last-event-id": after.cursor }),
          ...headers,
        },
      },
      resolve,
    );
    outgoing.on("error", reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/**
 * §2: comments and `retry:` in any block; otherwise `event:`, one `data:`, `id:` last. Anything
 * else is a violation.
 */
export function parseBlock(
  block: string,
  atMs: number,
): { comments: string[]; retryMs: number | undefined; frame: Frame | undefined } {
  const comments: string[] = [];
  const fields: [name: string, value: string][] = [];
  let retryMs: number | undefined;
  if (block.includes("\r")) throw new Error("A carriage return in the stream");
  for (const line of block.split("\n")) {
    const match = /^(|event|data|id|retry): ?(.*)$/su.exec(line);
    if (!match) throw new Error(`Not a field: ${JSON.stringify(line.slice(0, 200))}`);
    const [, name = "", value = ""] = match;
    if (name === "") comments.push(value);
    else if (name === "retry") retryMs = Number(value);
    else fields.push([name, value]);
  }
  if (fields.length === 0) return { comments, retryMs, frame: undefined };
  const order = fields.map(([name]) => name).join(",");
  if (!/^(event,)?data(,id)?$/.test(order)) throw new Error(`The order of fields is ${order}`);
  const field = (wanted: string) => fields.find(([name]) => name === wanted)?.[1];
  const id = field("id");
  if (id !== undefined && !/^[A-Za-z0-9._-]{1,128}$/.test(id)) throw new Error(`Not an id: ${id}`);
  return { comments, retryMs, frame: { event: field("event"), data: field("data") ?? "", id, atMs } };
}

/** Splits a cursor: `<turnId>.<seq>`, or `<turnId>.<seq>.<n>` for a chunk's n-th further frame. */
export function parseCursor(cursor: string): { turnId: string; seq: number; part: number } {
  const match = /^([0-9a-f-]{36})\.([1-9]\d*)(?:\.([1-9]\d*))?$/.exec(cursor);
  if (!match?.[1]) throw new Error(`Not a cursor: ${cursor}`);
  return { turnId: match[1], seq: Number(match[2]), part: Number(match[3] ?? 0) };
}

function idChecker(everyChunk: boolean, after: string | undefined): (id: string) => void {
  let last = after === undefined ? undefined : parseCursor(after);
  return (id) => {
    const next = parseCursor(id);
    const previous = last ?? { turnId: next.turnId, seq: 0, part: 0 };
    last = next;
    if (next.turnId !== previous.turnId) throw new Error(`A frame of another turn: ${id}`);
    const further = next.seq === previous.seq && next.part === previous.part + 1;
    const later = next.seq > previous.seq && (next.part === 0 || !everyChunk);
    const gap = everyChunk && next.seq > previous.seq + 1;
    if (gap || !(further || later)) throw new Error(`${id} follows ${previous.seq}.${previous.part}`);
  };
}

function chunkOf(frame: Frame): TurnChunk | undefined {
  if (frame.data === "[DONE]") return undefined;
  if (frame.id === undefined) throw new Error(`A chunk without an id: ${frame.data}`);
  return JSON.parse(frame.data) as TurnChunk;
}

function seenBy(stream: EventStream): string {
  const last = stream.frames.at(-1);
  return `${stream.frames.length} frames; the last: ${last ? `${last.id} ${last.data.slice(0, 300)}` : "none"}`;
}
