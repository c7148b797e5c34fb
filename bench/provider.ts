// The bench's model provider: streamed Chat Completions over real HTTP, as cheap as possible so
// that it never is the bottleneck. The prompt sets the answer: `tokens=200 rate=50`, rate 0 for
// full speed, and `hold` to stay open until SIGUSR2. At a rate every frame is a separate write, as
// with real providers.
import { type AddressInfo, createServer, type Socket } from "node:net";
import { token } from "./answer.ts";

/** One frame in one HTTP chunk. */
function framed(body: object): Buffer {
  const head = { id: "chatcmpl-bench", object: "chat.completion.chunk", created: 1_790_000_000, model: "bench" };
  return chunked(`data: ${JSON.stringify({ ...head, system_fingerprint: "fp_bench", ...body })}\n\n`);
}

function chunked(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
}

function delta(value: object, finishReason: string | null = null): Buffer {
  return framed({ choices: [{ index: 0, delta: value, logprobs: null, finish_reason: finishReason }] });
}

const head = Buffer.from(
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n",
);
const opening = Buffer.concat([head, delta({ role: "assistant", content: "" })]);
const words = Array.from({ length: 97 }, (_, index) => delta({ content: token(index) }));

function ending(tokens: number): Buffer {
  const usage = { prompt_tokens: 10, completion_tokens: tokens, total_tokens: tokens + 10 };
  return Buffer.concat([
    delta({}, "stop"),
    framed({ choices: [], usage }),
    chunked("data: [DONE]\n\n"),
    Buffer.from("0\r\n\r\n"),
  ]);
}

type Answer = { socket: Socket; tokens: number; rate: number; hold: boolean; startMs: number; sent: number };

/**
 * Frames per write at full speed: with a system call per frame, the bench would measure the
 * provider rather than the server, since the provider shares its core with the readers.
 */
const burst = 10;

const fast = new Set<Answer>();
const paced = new Set<Answer>();
const held = new Set<Answer>();

function begin(socket: Socket, prompt: string): void {
  const [, tokens, rate, hold] = /tokens=(\d+) rate=(\d+)( hold)?/.exec(prompt) ?? [];
  const answer = {
    socket,
    tokens: Number(tokens ?? 1),
    rate: Number(rate ?? 0),
    hold: hold !== undefined,
    startMs: performance.now(),
    sent: 0,
  };
  socket.write(opening);
  if (answer.rate > 0) paced.add(answer);
  else {
    if (fast.size === 0) setImmediate(pass);
    fast.add(answer);
  }
}

/** Writes the next frames at once; true when the answer has ended. */
function say(answer: Answer, count: number): boolean {
  const frames: Buffer[] = [];
  for (; frames.length < count && answer.sent < answer.tokens; answer.sent++)
    frames.push(words[answer.sent % words.length] as Buffer);
  answer.socket.write(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames));
  if (answer.sent < answer.tokens) return false;
  if (answer.hold) held.add(answer);
  else answer.socket.write(ending(answer.tokens));
  return true;
}

/** One write per answer that is being read, round-robin. */
function pass(): void {
  for (const answer of fast) if (!answer.socket.writableNeedDrain && say(answer, burst)) fast.delete(answer);
  if (fast.size > 0) setImmediate(pass);
}

// Well under the 20 ms between two tokens of one answer.
setInterval(() => {
  const nowMs = performance.now();
  for (const answer of paced) {
    const due = Math.min(answer.tokens, 1 + Math.floor(((nowMs - answer.startMs) * answer.rate) / 1_000));
    while (answer.sent < due) if (say(answer, 1)) paced.delete(answer);
  }
}, 2);

process.on("SIGUSR2", () => {
  for (const { socket, tokens } of held) socket.write(ending(tokens));
  held.clear();
});

const server = createServer({ noDelay: true }, (socket) => {
  let pending = "";
  socket.on("error", () => socket.destroy());
  socket.on("close", () => {
    for (const set of [fast, paced, held]) for (const answer of set) if (answer.socket === socket) set.delete(answer);
  });
  socket.on("data", (bytes) => {
    pending += bytes.toString("latin1");
    const bodyAt = pending.indexOf("\r\n\r\n") + 4;
    if (bodyAt < 4) return;
    const length = Number(/^content-length: *(\d+)/im.exec(pending.slice(0, bodyAt))?.[1] ?? 0);
    if (pending.length < bodyAt + length) return;
    begin(socket, pending.slice(bodyAt, bodyAt + length));
    pending = pending.slice(bodyAt + length);
  });
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
