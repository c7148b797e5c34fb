// Real-world clients of dialect `content`. None buffers a partial piece: half an event breaks them.
// They never resume, send no key, and repeat the question after a failure.
import axios from "axios";

export type Caller = { url: string; token: string };
type Content = { type: string; content: string; [name: string]: unknown };
export type Received = { text: string; last: Content | undefined };
type Draw = (text: string) => void;

const headersOf = ({ token }: Caller) => ({
  Authorization: `Bearer ${token}`,
  "Content-Type": "application/json",
  Accept: "text/event-stream",
});

/** Parses one piece from the network on its own. */
function readPiece(piece: string, received: Received, draw?: Draw): void {
  for (const line of piece.split("\n")) {
    if (!line.startsWith("data: ")) continue;
    const event = JSON.parse(line.substring(6)) as Content;
    if (event.type === "content") {
      received.text += event.content;
      draw?.(event.content);
    } else received.last = event;
  }
}

/** `fetch` and its reader, in a browser or in Node. */
export async function byReader(caller: Caller, body: object, draw?: Draw, signal?: AbortSignal): Promise<Received> {
  const received: Received = { text: "", last: undefined };
  const response = await fetch(`${caller.url}/api/v1/chat/`, {
    method: "POST",
    headers: headersOf(caller),
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return received;
    readPiece(decoder.decode(value), received, draw);
  }
}

/** A Node program that takes the body as a stream of buffers. */
export async function byBuffers(caller: Caller, body: object): Promise<Received> {
  const received: Received = { text: "", last: undefined };
  const response = await fetch(`${caller.url}/api/v1/chat/`, {
    method: "POST",
    headers: headersOf(caller),
    body: JSON.stringify({ ...body, stream: true }),
  });
  for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>)
    readPiece(Buffer.from(piece).toString(), received);
  return received;
}

export async function byAxios(caller: Caller, body: object): Promise<Received> {
  const received: Received = { text: "", last: undefined };
  const response = await axios.post(
    `${caller.url}/api/v1/chat/`,
    { ...body, stream: true },
    { headers: headersOf(caller), responseType: "stream" },
  );
  await new Promise((resolve, reject) => {
    response.data.on("data", (piece: Buffer) => {
      try {
        readPiece(piece.toString(), received);
      } catch (error) {
        reject(error);
      }
    });
    response.data.on("end", resolve);
    response.data.on("error", reject);
  });
  return received;
}

/** Draws text ten characters at a time, to spare the page. */
export function inTens(draw: (text: string) => void): { add(text: string): void; end(): void } {
  let held = "";
  const flush = () => {
    if (held) draw(held);
    held = "";
  };
  return {
    add(text) {
      held += text;
      if (held.length >= 10) flush();
    },
    end: flush,
  };
}

/** The same question after streaming failed, for a non-streamed answer. */
export async function inOnePiece(caller: Caller, body: object): Promise<string> {
  const response = await fetch(`${caller.url}/api/v1/chat/`, {
    method: "POST",
    headers: headersOf(caller),
    body: JSON.stringify({ ...body, stream: false }),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return ((await response.json()) as { content: string }).content;
}
