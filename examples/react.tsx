// Dialect `rag` in React, with its sources: a hook and a component.
import { useEffect, useRef, useState } from "react";
import { sseEvents } from "./sse-events.mjs";

type Server = {
  url: string;
  token: string;
  /** The chat's number, created if unused. */
  session: number;
};
type Source = { text: string; score: number; metadata: { title: string; chunk_id: string } };
type Answer = { text: string; sources: Source[]; status: string; isStreaming: boolean };

// #region hook
/**
 * One answer at a time: asking again or leaving the page stops reading. The turn continues on the
 * server.
 */
export function useAnswer({ url, token, session }: Server) {
  const [answer, setAnswer] = useState<Answer>({ text: "", sources: [], status: "", isStreaming: false });
  const reading = useRef<AbortController>(null);
  useEffect(() => () => reading.current?.abort(), []);

  async function ask(question: string) {
    reading.current?.abort();
    reading.current = new AbortController();
    const { signal } = reading.current;
    const update = (fields: Partial<Answer>) => {
      if (!signal.aborted) setAnswer((before) => ({ ...before, ...fields }));
    };
    let text = "";
    update({ text, sources: [], status: "Asking …", isStreaming: true });
    try {
      for await (const { data } of answerEvents(`${url}/chat/${session}/stream`, token, question, signal)) {
        const { type, content } = JSON.parse(data);
        if (type === "status") update({ status: content });
        if (type === "sources") update({ sources: content });
        if (type === "chunk") {
          text += content;
          update({ text });
        }
        if (type === "error") throw new Error(content);
        if (type === "done") break;
      }
      update({ status: "Done.", isStreaming: false });
    } catch (error) {
      update({ status: `Failed: ${(error as Error).message}`, isStreaming: false });
    }
  }

  return { ...answer, ask };
}
// #endregion

// #region ask
/** The events of one answer, across lost connections; the caller recognizes the last one. */
async function* answerEvents(url: string, token: string, question: string, signal: AbortSignal) {
  const headers: Record<string, string> = {
    Authorization: `Bearer ${token}`,
    "Content-Type": "application/json",
    // The same request with the same key is the same turn.
    "Idempotency-Key": `${Date.now()}-${Math.random().toString(36).slice(2)}`,
  };
  const body = JSON.stringify({ question });
  for (let failures = 0; failures < 10; failures++) {
    try {
      const response = await fetch(url, { method: "POST", headers, body, signal });
      if (response.status === 204) return;
      if (response.ok) {
        for await (const event of sseEvents(response.body)) {
          headers["Last-Event-ID"] = event.id;
          failures = 0;
          yield event;
        }
      } else if (![429, 502, 503, 504].includes(response.status)) {
        throw new Error((await response.json()).content);
      }
    } catch (error) {
      // fetch throws this on network failures.
      if (!(error instanceof TypeError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  throw new Error("The server cannot be reached. The answer is kept there.");
}
// #endregion

// #region component
export function Ask(server: Server) {
  const [question, setQuestion] = useState("What is a rivulet?");
  const { text, sources, status, isStreaming, ask } = useAnswer(server);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void ask(question);
      }}
    >
      <input name="question" value={question} onChange={(event) => setQuestion(event.target.value)} />
      <button type="submit" disabled={isStreaming}>
        Ask
      </button>
      <div id="answer" style={{ whiteSpace: "pre-wrap" }}>
        {text}
      </div>
      <ol>
        {sources.map(({ metadata }) => (
          <li key={metadata.chunk_id}>{metadata.title}</li>
        ))}
      </ol>
      <p role="status">{status}</p>
    </form>
  );
}
// #endregion
