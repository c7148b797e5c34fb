// Rivulet's own client in React: the hook `useChatStream` supports every dialect, here `agent` with
// its tools. `npm pack` in packages/client makes the package; then, in your project:
// npm install ./rivulet-client-0.1.0.tgz
import { useState } from "react";
import { useChatStream } from "rivulet-client/react";

type ChatProps = { url: string; token: string; userId: string };

// #region chat
export function Chat({ url, token, userId }: ChatProps) {
  const chat = useChatStream({ baseUrl: url, token, userId, dialect: "agent" });
  const [question, setQuestion] = useState("What is a rivulet?");
  const answer = chat.isStreaming
    ? chat.streamedText
    : chat.messages.findLast(({ role }) => role === "assistant")?.text;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void chat.send(question);
      }}
    >
      <input name="question" value={question} onChange={(event) => setQuestion(event.target.value)} />
      <button type="submit" disabled={chat.isStreaming}>
        Ask
      </button>
      <button type="button" onClick={chat.cancel} disabled={!chat.isStreaming}>
        Stop
      </button>
      {chat.toolCalls.map(({ id, name, done }) => (
        <p key={id}>
          {name} {done ? "done" : "…"}
        </p>
      ))}
      <div id="answer" style={{ whiteSpace: "pre-wrap" }}>
        {answer}
      </div>
      <p role="status">
        {chat.error
          ? `Failed: ${chat.error.message}`
          : chat.isStreaming
            ? (chat.status ?? "Asking …")
            : answer && "Done."}
      </p>
      <button type="button" onClick={chat.retry} disabled={!chat.error}>
        Retry
      </button>
    </form>
  );
}
// #endregion
