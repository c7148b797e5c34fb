import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { type ChatStream, useChatStream } from "./use-chat-stream.ts";

test("starts with no messages and with all its actions", () => {
  let stream: ChatStream | undefined;
  function Page() {
    stream = useChatStream({ dialect: "rag", baseUrl: "http://localhost", chat: 1 });
    return <p>{stream.isStreaming ? "streaming" : "ready"}</p>;
  }
  expect(renderToString(<Page />)).toBe("<p>ready</p>");
  expect(stream).toEqual({
    ...{ messages: [], status: null, sources: [], toolCalls: [], isStreaming: false, streamedText: "", error: null },
    ...{ send: expect.any(Function), cancel: expect.any(Function), retry: expect.any(Function) },
  });
});
