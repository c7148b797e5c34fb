// A real-world client of dialect `token`: shows tokens as they arrive, reloads the message list at
// the end, and repeats the whole request when the connection fails. It sends no key.
export type Chunk = { type: string; messageId?: string; content?: string; error?: string };
export type Session = { url: string; token: string; sessionId: string };

export async function sendMessageStream(
  { url, token, sessionId }: Session,
  body: { content: string; role: "user" },
  onChunk: (chunk: Chunk) => void,
): Promise<void> {
  const response = await fetch(`${url}/sessions/${sessionId}/messages/stream`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    rest += decoder.decode(next.value, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data: ")) onChunk(JSON.parse(line.slice(6)) as Chunk);
  }
}

/** What the client shows: tokens while they arrive, then the stored messages in their place. */
export async function chat(
  session: Session,
  content: string,
  onChunk: (chunk: Chunk) => void = () => {},
  retries = 3,
): Promise<{ shown: string; stored: string[] }> {
  for (let attempt = 0; ; attempt++) {
    let shown = "";
    try {
      await sendMessageStream(session, { content, role: "user" }, (chunk) => {
        if (chunk.type === "start") shown = "";
        if (chunk.type === "token") shown += chunk.content;
        onChunk(chunk);
      });
      const answer = await fetch(`${session.url}/sessions/${session.sessionId}/messages`, {
        headers: { Authorization: `Bearer ${session.token}` },
      });
      const messages = (await answer.json()) as { content: string }[];
      return { shown, stored: messages.map((message) => message.content) };
    } catch (error) {
      // `fetch` and its body throw this on network failures; refusals are not retried.
      if (!(error instanceof TypeError) || attempt === retries) throw error;
    }
  }
}
