// Real-world answers over real sockets, through Node's `fetch` and through our own HTTP layer, in
// the many forms that HTTP allows.
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Readable } from "node:stream";
import {
  brotliCompressSync,
  constants,
  createGzip,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chunk, done, hello, type Meaning, meaningOf, stop, usage } from "@/test/provider-answers";
import { callAnswers } from "@/test/provider-call-answers";
import { textAnswers } from "@/test/provider-text-answers";
import { truncatedReason } from "./answer-events";
import { answerStream } from "./answer-stream";
import { ChatReader } from "./chat-reader";
import { classifyFailure } from "./failure";
import { Normaliser } from "./normaliser";
import { providerFetch } from "./provider-fetch";

type Answer = (socket: Socket) => void | Promise<void>;

let url: string;
/** How the server handles the next request. */
let play: Answer;
let requests = 0;
const server = createServer((socket) => {
  socket.on("error", () => {});
  // Each request of these tests fits in one packet.
  socket.on("data", () => {
    requests += 1;
    void play(socket);
  });
});
beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat/completions`;
});
afterAll(() => {
  server.close();
});

const request = { method: "POST", body: '{"stream":true}', headers: { connection: "close" } };

const transports: [name: string, ask: () => Promise<ReadableStream<Uint8Array> | null>][] = [
  [
    "fetch",
    async () => {
      const { body } = await fetch(url, request);
      const normaliser = new Normaliser(new ChatReader(url));
      return answerStream(Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]), {
        normaliser,
        hold: () => false,
      });
    },
  ],
  ["our HTTP layer", async () => (await providerFetch(url, request)).body],
];

/** The meaning of what arrived, and of the failure. */
async function read(ask: () => Promise<ReadableStream<Uint8Array> | null>, answer: Answer): Promise<Meaning> {
  play = answer;
  let frames = "";
  try {
    for await (const bytes of (await ask()) ?? []) frames += Buffer.from(bytes).toString();
  } catch (error) {
    return meaningOf(frames, error);
  }
  return meaningOf(frames, null);
}

const streamHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const ownFetch = transports[1]?.[1] as () => Promise<ReadableStream<Uint8Array> | null>;

describe.each(transports)("through %s, an answer with", (_, ask) => {
  it.each([...textAnswers, ...callAnswers])("%s is read", async (_name, wire, meaning) => {
    const bytes = Buffer.from(wire);
    expect(await read(ask, (socket) => void socket.end(Buffer.concat([Buffer.from(streamHead), bytes])))).toMatchObject(
      meaning,
    );

    const inPieces: Answer = async (socket) => {
      socket.setNoDelay(true).write(streamHead);
      for (let at = 0; at < bytes.length; at += 29) {
        socket.write(bytes.subarray(at, at + 29));
        await new Promise((resolve) => setImmediate(resolve));
      }
      socket.end();
    };
    expect(await read(ask, inPieces)).toMatchObject(meaning);

    for (const share of [0.3, 0.7]) {
      const cut = bytes.subarray(0, bytes.length * share);
      const outcome = await read(ask, (socket) => void socket.end(Buffer.concat([Buffer.from(streamHead), cut])));
      const { finish = "stop", text = "", calls = [] } = meaning;
      expect([
        { finish: truncatedReason, failed: null },
        { finish, text, calls, failed: null },
      ]).toContainEqual(
        outcome.finish === truncatedReason
          ? { finish: outcome.finish, failed: outcome.failed }
          : expect.objectContaining(outcome),
      );
    }
  });
});

const wire = hello + stop + usage + done;
const good = { text: "Hello world.", finish: "stop", tokens: 7, failed: null };
const json = JSON.stringify({
  choices: [{ index: 0, message: { role: "assistant", content: "Hello world." }, finish_reason: "stop" }],
  usage: { total_tokens: 7 },
});

function http(headers: string, body: string | Buffer, start = "HTTP/1.1 200 OK"): Answer {
  return (socket) => void socket.end(Buffer.concat([Buffer.from(`${start}\r\n${headers}\r\n`), Buffer.from(body)]));
}

const events = "content-type: text/event-stream\r\n";
const chunked = (text: string) => `${Buffer.byteLength(text).toString(16)};name="a chunk's extension"\r\n${text}\r\n`;

describe("an answer is read", () => {
  it.each<[string, Answer]>([
    [
      "in chunks with extensions and trailers",
      http(
        `${events}transfer-encoding: chunked\r\n`,
        `${chunked(hello)}${chunked(stop + usage + done)}0\r\nx-took: 7\r\n\r\n`,
      ),
    ],
    ["in HTTP 1.0", http(events, wire, "HTTP/1.0 200 OK")],
    ["as partial content", http(events, wire, "HTTP/1.1 206 Partial Content")],
    ["with too long a Content-Length", http(`${events}content-length: 9999\r\n`, wire)],
    ["in gzip", http(`${events}content-encoding: gzip\r\n`, gzipSync(wire))],
    ["in gzip, declared as X-GZip", http(`${events}content-encoding: X-GZip\r\n`, gzipSync(wire))],
    ["in deflate", http(`${events}content-encoding: deflate\r\n`, deflateSync(wire))],
    ["in deflate without its header", http(`${events}content-encoding: deflate\r\n`, deflateRawSync(wire))],
    ["in brotli", http(`${events}content-encoding: br\r\n`, brotliCompressSync(wire))],
    ["in zstd", http(`${events}content-encoding: zstd\r\n`, zstdCompressSync(wire))],
    ["in undeclared gzip", http(events, gzipSync(wire))],
    ["in undeclared zstd", http(events, zstdCompressSync(wire))],
    ["not in the declared gzip", http(`${events}content-encoding: gzip\r\n`, wire)],
    ["not in the declared brotli", http(`${events}content-encoding: br\r\n`, wire)],
    ["not in the declared deflate", http(`${events}content-encoding: deflate\r\n`, wire)],
    ["without a type", http("", wire)],
    ["after blank lines", http(events, `\n\n\n${wire}`)],
    ["after a byte order mark", http(events, `\ufeff${wire}`)],
    ["as JSON", http("content-type: application/json\r\n", json)],
    ["as multi-line JSON", http("content-type: application/json\r\n", JSON.stringify(JSON.parse(json), null, 2))],
    ["as JSON after blank lines", http("content-type: application/json\r\n", `\n\n\n${json}`)],
    ["as JSON after a byte order mark", http("content-type: application/json\r\n", `\ufeff${json}`)],
    ["as JSON in gzip", http("content-type: application/json\r\ncontent-encoding: gzip\r\n", gzipSync(json))],
    [
      "as JSON lines",
      http(
        "content-type: application/x-ndjson\r\n",
        (hello + stop + usage).replaceAll("data: ", "").replaceAll("\n\n", "\n"),
      ),
    ],
  ])("%s", async (_, answer) => {
    expect(await read(ownFetch, answer)).toMatchObject(good);
  });

  it("byte by byte, with any compression", async () => {
    for (const [headers, body] of [
      ["content-encoding: gzip\r\n", gzipSync(wire)],
      ["content-encoding: br\r\n", brotliCompressSync(wire)],
      ["", Buffer.from(wire)],
      ["", Buffer.from(`\n\n${json}`)],
    ] as const) {
      const bytewise: Answer = async (socket) => {
        socket.setNoDelay(true).write(`HTTP/1.1 200 OK\r\n${headers}\r\n`);
        for (const byte of body) {
          socket.write(Uint8Array.of(byte));
          await new Promise((resolve) => setImmediate(resolve));
        }
        socket.end();
      };
      expect(await read(ownFetch, bytewise)).toMatchObject(good);
    }
  });

  it("with a character split across reads, between CR LF and LF", async () => {
    const bytes = Buffer.from(`: ping\r\n\r\n${chunk({ content: "Grüße 日本語" })}${stop}`);
    const middle = bytes.indexOf("本") + 1;
    const halves: Answer = async (socket) => {
      socket.setNoDelay(true).write(streamHead);
      socket.write(bytes.subarray(0, middle));
      await new Promise((resolve) => setTimeout(resolve, 20));
      socket.end(bytes.subarray(middle));
    };
    expect(await read(ownFetch, halves)).toMatchObject({ text: "Grüße 日本語", finish: "stop" });
  });
});

describe("an answer that is cut off", () => {
  const packed = async (text: string) => {
    const gzip = createGzip();
    gzip.write(text);
    await new Promise<void>((resolve) => gzip.flush(constants.Z_SYNC_FLUSH, resolve));
    return gzip.read() as Buffer;
  };

  it("inside its gzip is interrupted and keeps its text", async () => {
    const answer = http(`${events}content-encoding: gzip\r\n`, await packed(chunk({ content: "Hello " })));
    expect(await read(ownFetch, answer)).toMatchObject({ text: "Hello ", finish: truncatedReason, failed: null });
  });

  it("in gzip that becomes invalid fails", async () => {
    const bytes = Buffer.concat([await packed(chunk({ content: "Hello " })), Buffer.alloc(64, 0xff)]);
    play = http(`${events}content-encoding: gzip\r\n`, bytes);
    const failure = await providerFetch(url, request)
      .then((response) => response.text())
      .catch((error) => error);
    expect(classifyFailure(failure).code).toBe("provider_unavailable");
  });

  it("without any byte is interrupted", async () => {
    expect(await read(ownFetch, http(events, ""))).toMatchObject({ text: "", finish: truncatedReason, failed: null });
  });

  it("inside its JSON is interrupted", async () => {
    expect(await read(ownFetch, http("", json.slice(0, -9)))).toMatchObject({ finish: truncatedReason, failed: null });
  });

  it("between two lines of JSON is interrupted", async () => {
    const line = chunk({ content: "Hello " }).slice("data: ".length, -1);
    expect(await read(ownFetch, http("", line + line.slice(0, 20)))).toMatchObject({
      text: "Hello ",
      finish: truncatedReason,
    });
  });
});

it("a connection is kept after its answer, and reused", async () => {
  const sockets = new Set<Socket>();
  const keptAlive: Answer = (socket) => {
    sockets.add(socket);
    socket.write(`HTTP/1.1 200 OK\r\n${events}transfer-encoding: chunked\r\n\r\n${chunked(wire)}`);
    // In a packet of its own, as servers send it.
    setTimeout(() => socket.write("0\r\n\r\n"), 20);
  };
  const ask = async () => (await providerFetch(url, { ...request, headers: {} })).body;
  for (const _ of [1, 2]) {
    const before = requests;
    expect(await read(ask, keptAlive)).toMatchObject(good);
    expect(requests).toBe(before + 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(sockets.size).toBe(1);
  for (const socket of sockets) socket.destroy();
});
