// EventSources that people use outside of browsers, unmodified. All of them resume: each is cut off within an answer.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type FaultProxy, startFaultProxy } from "@/test/fault-proxy";
import { header, newKey, testCluster } from "@/test/server/cluster";
import { load } from "./install";

const cluster = testCluster();
let proxy: FaultProxy;
beforeAll(async () => {
  proxy = await startFaultProxy(cluster.a.port);
});
afterAll(() => proxy.close());

type Asked = { url: string; token: string; body?: string };
/** Reads until `take` returns true, then closes. Rejects when the server refuses. */
type Read = (asked: Asked, take: (data: string) => boolean) => Promise<void>;

const headersOf = ({ token, body }: Asked) => ({
  authorization: `Bearer ${token}`,
  ...(body !== undefined && { "content-type": "application/json", accept: "text/event-stream" }),
});

const { EventSource } = await load("eventsource");
const eventsource: Read = ({ url, token }, take) =>
  new Promise((resolve, reject) => {
    const source = new EventSource(url, {
      fetch: (input: string, init: RequestInit) =>
        fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } }),
    });
    source.onmessage = ({ data }: MessageEvent<string>) => {
      if (!take(data)) return;
      source.close();
      resolve();
    };
    source.onerror = ({ code }: { code?: number }) => {
      if (source.readyState === source.CLOSED) reject(new Error(`status ${code}`));
    };
  });

const { createEventSource } = await load("eventsource-client");
const eventsourceClient: Read = async (asked, take) => {
  let refused: number | undefined;
  const source = createEventSource({
    url: asked.url,
    method: asked.body === undefined ? "GET" : "POST",
    body: asked.body,
    headers: headersOf(asked),
    // It tries again whatever the status is: this is the place to give up.
    fetch: async (input: string, init: RequestInit) => {
      const response = await fetch(input, init);
      if (!response.ok) {
        refused = response.status;
        source.close();
      }
      return response;
    },
  });
  for await (const { data } of source) if (take(data)) break;
  source.close();
  if (refused) throw new Error(`status ${refused}`);
};

const { EventSourcePlus } = await load("event-source-plus");
const eventSourcePlus: Read = (asked, take) =>
  new Promise((resolve, reject) => {
    const source = new EventSourcePlus(asked.url, {
      method: asked.body === undefined ? "get" : "post",
      body: asked.body,
      headers: headersOf(asked),
    });
    const controller = source.listen({
      onMessage({ data }: { data: string }) {
        if (!take(data)) return;
        controller.abort();
        resolve();
      },
      onResponseError({ response }: { response: Response }) {
        controller.abort();
        reject(new Error(`status ${response.status}`));
      },
    });
  });

const { fetchEventSource } = await load("@microsoft/fetch-event-source");
const microsoft: Read = async (asked, take) => {
  const finished = new AbortController();
  await fetchEventSource(asked.url, {
    method: asked.body === undefined ? "GET" : "POST",
    body: asked.body,
    headers: headersOf(asked),
    signal: finished.signal,
    openWhenHidden: true,
    onmessage({ data }: { data: string }) {
      if (take(data)) finished.abort();
    },
    async onopen({ status }: Response) {
      if (status !== 200) throw new Error(`status ${status}`);
    },
    onerror(error: Error) {
      if (error.message.startsWith("status")) throw error;
    },
  });
};

const { JSDOM } = await load("jsdom");
const { SSE } = await load("sse.js");
const sseJs: Read = (asked, take) =>
  new Promise((resolve, reject) => {
    const source = new SSE(asked.url, {
      headers: headersOf(asked),
      payload: asked.body,
      autoReconnect: true,
      reconnectDelay: 100,
    });
    source.onmessage = ({ data }: { data: string }) => {
      if (!take(data)) return;
      source.close();
      resolve();
    };
    source.onerror = ({ responseCode }: { responseCode: number }) => {
      // 0: there was no answer.
      if (responseCode < 400) return;
      source.close();
      reject(new Error(`status ${responseCode}`));
    };
  });

beforeAll(() => {
  // On the own origin: the browser asks no other one before it sends a token.
  const { window } = new JSDOM("", { url: proxy.url });
  // sse.js looks for XMLHttpRequest, fetch-event-source for the window's timers and the document.
  vi.stubGlobal("XMLHttpRequest", window.XMLHttpRequest);
  vi.stubGlobal("window", { setTimeout, clearTimeout, fetch });
  vi.stubGlobal("document", window.document);
});
afterAll(() => void vi.unstubAllGlobals());

const half = "Half";
const rest = [" an", " answer."];

/** Cuts the connection when the first half is there, and lets the second one follow. */
function cutWithin(key: string) {
  cluster.provider.on(key, [{ text: half }, { gate: key }, ...rest.map((text) => ({ text })), { finish: "stop" }]);
  let cut = false;
  return (text: string) => {
    if (cut || text !== half) return;
    cut = true;
    proxy.down();
    proxy.up();
    cluster.provider.open(key);
  };
}

const readers: [string, Read][] = [
  ["eventsource", eventsource],
  ["eventsource-client", eventsourceClient],
  ["event-source-plus", eventSourcePlus],
  ["@microsoft/fetch-event-source", microsoft],
  ["sse.js", sseJs],
];

describe.each(readers)("%s", (_, read) => {
  test("follows a turn to its end across a cut, without loss or repeats", async () => {
    const key = newKey();
    const cut = cutWithin(key);
    const turnId = await startTurn(key);
    let text = "";
    const types: string[] = [];
    await read({ url: `${proxy.url}/api/turns/${turnId}/stream`, token: cluster.user.token }, (data) => {
      if (data === "[DONE]") return true;
      const chunk = JSON.parse(data);
      types.push(chunk.type);
      if (chunk.type === "text-delta") text += chunk.delta;
      cut(text);
      return false;
    });
    expect([text, types.at(-1)]).toEqual([[half, ...rest].join(""), "finish"]);
  });

  test("throws when the server refuses", async () => {
    const url = `${proxy.url}/api/turns/${crypto.randomUUID()}/stream`;
    await expect(read({ url, token: cluster.user.token }, () => false)).rejects.toThrow("status 404");
    await expect(read({ url, token: "wrong" }, () => false)).rejects.toThrow("status 401");
  });
});

describe.each(readers.slice(1))("%s that POSTs", (_, read) => {
  test("starts one turn, and resumes by repeating its POST", async () => {
    const key = newKey();
    const cut = cutWithin(key);
    let text = "";
    const body = JSON.stringify({ message: key, stream: true, search_mode: "none" });
    await read({ url: `${proxy.url}/api/v1/chat`, token: cluster.user.token, body }, (data) => {
      const { type, content = "" } = JSON.parse(data);
      text += content;
      cut(text);
      return type === "metadata";
    });
    expect(text).toBe([half, ...rest].join(""));
    expect(cluster.requestsFor(key)).toHaveLength(1);
  });
});

/** Asks, and leaves the turn to itself. */
async function startTurn(key: string): Promise<string> {
  const stream = await cluster.send(key, { searchMode: "none" });
  stream.close();
  return header(stream, "x-turn-id");
}
