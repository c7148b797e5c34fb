// The clients that cuts.test.ts runs over a connection that breaks: the project's own, two
// third-party EventSources, and one that only records. Each reads one turn to its end.
import { fetchEventSource } from "@microsoft/fetch-event-source";
import { EventSource } from "eventsource";
import type { ChatMessage, TurnChunk } from "@/lib/turn/chunks";
import { createChatClient } from "@/packages/client/src/chat-client";
import { ResumableChatTransport } from "@/packages/client/src/transport";
import { type EventStream, openStream } from "@/test/sse";

/** A turn and its request: `text` in `chatId`, with the message's id as the key. */
export type Asked = { turnId: string; chatId: string; messageId: string; text: string; token: string };
/** The result: the text, or every frame for a recording client. */
type Read = (url: string, asked: Asked) => Promise<string>;

/** A connection is cut only once, so reconnects need not wait. */
const backoff = { minMs: 1, maxMs: 5 };

function chatClient(dialect: "ai-sdk" | "openai"): Read {
  return async (url, { text, chatId, messageId, token }) => {
    const client = createChatClient({ baseUrl: url, token, dialect, backoff });
    let read = "";
    let end = "";
    for await (const event of client.send({ text, chat: chatId, searchMode: "none" }, { key: messageId })) {
      if (event.type === "text") read += event.delta;
      end = event.type;
    }
    return end === "done" ? read : `${read} … ${end}`;
  };
}

const pageTransport: Read = async (url, { text, chatId, messageId, token }) => {
  const authorization = `Bearer ${token}`;
  const transport = new ResumableChatTransport({ baseUrl: url, headers: () => ({ authorization }), backoff });
  const message: ChatMessage = { id: messageId, role: "user", parts: [{ type: "text", text }] };
  const stream = await transport.sendMessages({
    trigger: "submit-message",
    chatId,
    messageId: undefined,
    messages: [message],
    // The same request as before: a different one with its key is refused.
    body: { searchMode: "none" },
    abortSignal: undefined,
  });
  let read = "";
  let end = "";
  for await (const chunk of stream) {
    if (chunk.type === "text-delta") read += chunk.delta;
    end = chunk.type;
  }
  return end === "finish" ? read : `${read} … ${end}`;
};

const eventSource: Read = (url, { turnId, token }) =>
  new Promise((resolve, reject) => {
    let read = "";
    const source = new EventSource(`${url}/api/turns/${turnId}/stream`, {
      fetch: (input, init) =>
        fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } as HeadersInit }),
    });
    source.onmessage = ({ data }) => {
      const chunk = JSON.parse(data) as TurnChunk;
      if (chunk.type === "text-delta") read += chunk.delta;
      if (chunk.type !== "finish") return;
      source.close();
      resolve(read);
    };
    source.onerror = ({ code }) => {
      if (source.readyState === source.CLOSED) reject(new Error(`It gave up, status ${code}`));
    };
  });

/** Made for browsers: it needs `window` and `document`. */
const microsoftEventSource: Read = async (url, { turnId, token }) => {
  let read = "";
  const finished = new AbortController();
  await fetchEventSource(`${url}/api/turns/${turnId}/stream`, {
    headers: { authorization: `Bearer ${token}` },
    signal: finished.signal,
    openWhenHidden: true,
    fetch: globalThis.fetch,
    onmessage({ data }) {
      // It delivers a block with only `retry:` as a message without data.
      if (!data || data === "[DONE]") return;
      const chunk = JSON.parse(data) as TurnChunk;
      if (chunk.type === "text-delta") read += chunk.delta;
      if (chunk.type === "finish") finished.abort();
    },
    async onopen({ status }) {
      if (status === 204) finished.abort();
      else if (status !== 200) throw new Error(`status ${status}`);
    },
    onerror: () => backoff.minMs,
  });
  return read;
};

/** Records every frame; test/sse.ts checks them. The trailer has no id and may be lost. */
function recorder(dialect: "ai-sdk" | "openai" | "snapshot"): Read {
  return async (url, { turnId, token }) => {
    const kind = dialect === "ai-sdk" ? "log" : "dialect";
    const path = `${url}/api/turns/${turnId}/stream?dialect=${dialect}`;
    const frames = ({ frames }: EventStream) =>
      JSON.stringify(frames.flatMap(({ event, data, id }) => (id ? [[event, data, id]] : [])));
    let cutHead = false;
    let after: EventStream | undefined;
    for (;;) {
      const stream = await openStream(path, { token, kind, after }).catch((error: Error) => {
        // Cut inside the response head. That happens once.
        if (cutHead) throw error;
        cutHead = true;
      });
      if (!stream) continue;
      if (stream.status === 204 && after) return frames(after);
      if (stream.status !== 200) throw new Error(`status ${stream.status} ${stream.body}`);
      const ending = await stream.ended;
      if (ending === "terminal" || /"done":true|"finish_reason":"stop"/.test(stream.frames.at(-1)?.data ?? ""))
        return frames(stream);
      if (stream.frames.at(-1)?.data === "[DONE]") return frames(stream);
      after = stream;
    }
  };
}

export type CutClient = {
  name: string;
  read: Read;
  /** It reads frames. */
  records?: true;
  losesAtLastLineFeed?: true;
  /** The fast run cuts this one often as well. */
  often?: true;
};

export const cutClients: CutClient[] = [
  { name: "rivulet-client, ai-sdk", read: chatClient("ai-sdk"), often: true },
  { name: "rivulet-client, openai", read: chatClient("openai") },
  { name: "rivulet-client, the page's transport", read: pageTransport },
  { name: "eventsource", read: eventSource, often: true },
  { name: "@microsoft/fetch-event-source", read: microsoftEventSource, losesAtLastLineFeed: true, often: true },
  { name: "recorder, ai-sdk", read: recorder("ai-sdk"), records: true, often: true },
  { name: "recorder, openai", read: recorder("openai"), records: true },
  { name: "recorder, snapshot", read: recorder("snapshot"), records: true },
];
