// Real-world components, and a page's behaviour on the server's own origin.
import { useCallback, useState } from "react";
import { createRoot } from "react-dom/client";
import { readText, streamChat, wholeChat } from "./agent";
import { byReader } from "./content";
import { ask, listen } from "./rag";

declare global {
  interface Window {
    seeds: typeof seeds & { sources: unknown[] };
  }
}

const setting = (name: string) => new URLSearchParams(location.search).get(name) ?? "";
const [url, token, userId, question] = ["url", "token", "userId", "question"].map(setting) as [
  string,
  string,
  string,
  string,
];

/** Updates its text on each event, with a cursor while it streams. */
function ContentAnswer() {
  const [text, setText] = useState("");
  const [streaming, setStreaming] = useState(false);
  const send = async () => {
    setText("");
    setStreaming(true);
    await byReader({ url, token }, { message: question }, (piece) => setText((before) => before + piece));
    setStreaming(false);
  };
  return (
    <section aria-label="content">
      <button type="button" onClick={send}>
        Ask content
      </button>
      <p>
        {text}
        {streaming && <span className="cursor">▊</span>}
      </p>
    </section>
  );
}

/** Text, tools and a cancel button that only changes the page's own state. */
function useAgent() {
  const [isStreaming, setIsStreaming] = useState(false);
  const [streamedText, setStreamedText] = useState("");
  const [toolCalls, setToolCalls] = useState<string[]>([]);
  const sendMessage = useCallback(async (message: string) => {
    setIsStreaming(true);
    setStreamedText("");
    setToolCalls([]);
    await streamChat({ url, userId, token }, message, {
      onChunk(chunk) {
        if (chunk.type === "text" && chunk.content) setStreamedText((before) => before + chunk.content);
        if (chunk.type === "tool_call" && chunk.name) setToolCalls((before) => [...before, chunk.name as string]);
      },
      onDone: () => setIsStreaming(false),
      onError: () => setIsStreaming(false),
      onBroken: (data) => console.error(data),
    });
  }, []);
  const cancel = useCallback(() => setIsStreaming(false), []);
  return { sendMessage, cancel, isStreaming, streamedText, toolCalls };
}

function AgentAnswer() {
  const { sendMessage, cancel, isStreaming, streamedText, toolCalls } = useAgent();
  return (
    <section aria-label="agent">
      <button type="button" onClick={() => sendMessage(question)}>
        Ask agent
      </button>
      <button type="button" onClick={cancel}>
        Cancel
      </button>
      <ul>
        {toolCalls.map((name) => (
          <li key={name}>{name}</li>
        ))}
      </ul>
      <p data-streaming={isStreaming}>{streamedText}</p>
    </section>
  );
}

/** An EventSource with `fetch` options, which browsers ignore: it sends a GET without them. */
function postsEvents(address: string, options: object): Promise<string> {
  return new Promise((resolve) => {
    const source = new (EventSource as unknown as new (address: string, options: object) => EventSource)(
      address,
      options,
    );
    source.onmessage = () => resolve("a message");
    source.onerror = () => {
      source.close();
      resolve("an error");
    };
  });
}

/** The working alternative: `fetch` asks, and GET follows the turn's own URL. */
async function begin(address: string, message: string): Promise<string | null> {
  const response = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ message, stream: true }),
  });
  await response.body?.cancel();
  return response.headers.get("X-Turn-Id");
}

function follow(address: string): Promise<{ text: string; last: unknown }> {
  return new Promise((resolve, reject) => {
    let text = "";
    const source = new EventSource(address);
    source.onmessage = (event) => {
      const data = JSON.parse(event.data);
      if (data.type === "content") text += data.content;
      if (data.type !== "metadata" && data.type !== "error") return;
      source.close();
      resolve({ text, last: data });
    };
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) reject(new Error("the browser gave up"));
    };
  });
}

const seeds = { ask, listen, wholeChat, readText, postsEvents, begin, follow };
window.seeds = { ...seeds, sources: [] };
createRoot(document.body).render(
  <>
    <ContentAnswer />
    <AgentAnswer />
  </>,
);
